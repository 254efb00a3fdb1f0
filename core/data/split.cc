#include "core/data/split.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <numeric>
#include <span>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "core/base/random.h"
#include "core/base/status.h"
#include "core/data/parse_errors.h"

namespace trainyard {
namespace {

// A stream that no stratum has.
constexpr uint64_t kTieStream = uint64_t{1} << 32;

int64_t RoundedShare(double fraction, int64_t count) {
  return static_cast<int64_t>(std::llround(fraction * static_cast<double>(count)));
}

// Appends the first `test` rows to the test set, the next `validation` to the validation set and
// the rest to the training set.
void Deal(std::span<const int64_t> rows, int64_t test, int64_t validation, RowSplit& split) {
  const auto test_end = rows.begin() + test;
  const auto validation_end = test_end + validation;
  split.test.insert(split.test.end(), rows.begin(), test_end);
  split.validation.insert(split.validation.end(), test_end, validation_end);
  split.train.insert(split.train.end(), validation_end, rows.end());
}

void DealShares(std::span<const int64_t> rows, const v1::SplitOptions& options, RowSplit& split) {
  const auto count = static_cast<int64_t>(rows.size());
  const int64_t test = RoundedShare(options.test_fraction(), count);
  const int64_t validation =
      std::min(count - test, RoundedShare(options.validation_fraction(), count));
  Deal(rows, test, validation, split);
}

// A key per row under which equal values of the column meet; missing values are one value.
absl::StatusOr<std::vector<int64_t>> KeysOf(const Table& table, const std::string& column,
                                            absl::string_view field, const GoOnCheck& check) {
  const auto index = table.FindColumn(column);
  if (!index)
    return InvalidFile(std::string(field), absl::StrCat("there is no column ", QuoteValue(column)));
  std::vector<int64_t> keys(static_cast<size_t>(table.row_count()));
  if (table.column(*index).type() == v1::COLUMN_TYPE_CATEGORICAL) {
    const auto codes = table.codes(*index);
    std::copy(codes.begin(), codes.end(), keys.begin());
    return keys;
  }
  absl::flat_hash_map<double, int64_t> numbers;
  const auto values = table.numbers(*index);
  TY_RETURN_IF_ERROR(ForEachRow(values.size(), check, [&](size_t row) {
    keys[row] =
        std::isnan(values[row])
            ? -1
            : numbers.emplace(values[row], static_cast<int64_t>(numbers.size())).first->second;
  }));
  return keys;
}

absl::Status SplitRandomly(std::vector<int64_t> rows, const v1::SplitOptions& options,
                           const GoOnCheck& check, RowSplit& split) {
  Rng rng(static_cast<uint64_t>(options.seed()));
  TY_RETURN_IF_ERROR(ShuffleRows(std::span<int64_t>(rows), rng, check));
  DealShares(rows, options, split);
  return absl::OkStatus();
}

// Shares out `total` among counts in proportion to them, each share rounded down or up: up where
// the remainder is largest, among equal ones in the order of `tie_order`. No share exceeds the
// room.
std::vector<int64_t> Apportion(int64_t total, const std::vector<int64_t>& counts, double fraction,
                               const std::vector<int64_t>& rooms, std::vector<size_t> tie_order) {
  std::vector<int64_t> shares;
  std::vector<double> remainders;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double exact = fraction * static_cast<double>(counts[i]);
    shares.push_back(std::min(rooms[i], static_cast<int64_t>(exact)));
    remainders.push_back(exact - static_cast<double>(shares.back()));
    total -= shares.back();
  }
  std::stable_sort(tie_order.begin(), tie_order.end(),
                   [&](size_t a, size_t b) { return remainders[a] > remainders[b]; });
  for (const size_t i : tie_order) {
    if (total <= 0) break;
    if (shares[i] == rooms[i]) continue;
    ++shares[i];
    --total;
  }
  return shares;
}

absl::Status SplitStratified(const std::vector<int64_t>& rows, const v1::SplitOptions& options,
                             const std::vector<int32_t>& strata, const GoOnCheck& check,
                             RowSplit& split) {
  std::map<int32_t, std::vector<int64_t>> by_stratum;
  TY_RETURN_IF_ERROR(ForEachRow(rows.size(), check, [&](size_t i) {
    by_stratum[strata.empty() ? -1 : strata[static_cast<size_t>(rows[i])]].push_back(rows[i]);
  }));
  const auto seed = static_cast<uint64_t>(options.seed());
  std::vector<int64_t> counts;
  for (auto& [stratum, members] : by_stratum) {
    Rng rng(seed, static_cast<uint64_t>(stratum) + 1);
    TY_RETURN_IF_ERROR(ShuffleRows(std::span<int64_t>(members), rng, check));
    counts.push_back(static_cast<int64_t>(members.size()));
  }
  std::vector<size_t> tie_order(counts.size());
  std::iota(tie_order.begin(), tie_order.end(), size_t{0});
  Rng(seed, kTieStream).Shuffle(std::span<size_t>(tie_order));
  const auto total = static_cast<int64_t>(rows.size());
  const std::vector<int64_t> test = Apportion(RoundedShare(options.test_fraction(), total), counts,
                                              options.test_fraction(), counts, tie_order);
  std::vector<int64_t> rooms(counts.size());
  for (size_t i = 0; i < counts.size(); ++i) rooms[i] = counts[i] - test[i];
  const std::vector<int64_t> validation =
      Apportion(RoundedShare(options.validation_fraction(), total), counts,
                options.validation_fraction(), rooms, tie_order);
  size_t i = 0;
  for (const auto& [stratum, members] : by_stratum) {
    Deal(members, test[i], validation[i], split);
    ++i;
  }
  return absl::OkStatus();
}

// Whole groups in random order fill test, then validation, each until the next group would take it
// further from its share.
absl::Status SplitGrouped(const std::vector<int64_t>& rows, const std::vector<int64_t>& keys,
                          const v1::SplitOptions& options, const GoOnCheck& check,
                          RowSplit& split) {
  std::map<int64_t, std::vector<int64_t>> groups;
  TY_RETURN_IF_ERROR(ForEachRow(rows.size(), check, [&](size_t i) {
    groups[keys[static_cast<size_t>(rows[i])]].push_back(rows[i]);
  }));
  std::vector<int64_t> order;
  order.reserve(groups.size());
  for (const auto& [key, members] : groups) order.push_back(key);
  Rng rng(static_cast<uint64_t>(options.seed()));
  TY_RETURN_IF_ERROR(ShuffleRows(std::span<int64_t>(order), rng, check));
  const auto total = static_cast<int64_t>(rows.size());
  const std::pair<int64_t, std::vector<int64_t>*> sets[] = {
      {RoundedShare(options.test_fraction(), total), &split.test},
      {RoundedShare(options.validation_fraction(), total), &split.validation}};
  return ForEachRow(order.size(), check, [&](size_t i) {
    const std::vector<int64_t>& members = groups[order[i]];
    std::vector<int64_t>* target = &split.train;
    for (const auto& [share, set] : sets) {
      const auto before = std::abs(share - static_cast<int64_t>(set->size()));
      const auto after = std::abs(share - static_cast<int64_t>(set->size() + members.size()));
      if (after < before) {
        target = set;
        break;
      }
    }
    target->insert(target->end(), members.begin(), members.end());
  });
}

absl::Status SplitByTime(const Table& table, std::vector<int64_t> rows,
                         const v1::SplitOptions& options, const GoOnCheck& check, RowSplit& split) {
  const auto index = table.FindColumn(options.time_column());
  if (!index || table.column(*index).type() == v1::COLUMN_TYPE_CATEGORICAL) {
    return InvalidFile("time_column", absl::StrCat("there is no numeric or date column ",
                                                   QuoteValue(options.time_column())));
  }
  const auto times = table.numbers(*index);
  if (std::any_of(rows.begin(), rows.end(),
                  [&](int64_t row) { return std::isnan(times[static_cast<size_t>(row)]); })) {
    return InvalidFile("time_column", absl::StrCat("the column ", QuoteValue(options.time_column()),
                                                   " has missing values; every row needs a time"));
  }
  // Newest first: DealShares gives the first rows to the test set.
  const auto newer = [&](int64_t a, int64_t b) {
    const double time_a = times[static_cast<size_t>(a)];
    const double time_b = times[static_cast<size_t>(b)];
    return time_a != time_b ? time_a > time_b : a > b;
  };
  TY_RETURN_IF_ERROR(SortRows(std::span<int64_t>(rows), newer, check));
  DealShares(rows, options, split);
  return absl::OkStatus();
}

// Puts each set in ascending order, in linear time.
void SortSets(int64_t row_count, RowSplit& split) {
  std::vector<int64_t>* const sets[] = {&split.train, &split.validation, &split.test};
  std::vector<uint8_t> set_of(static_cast<size_t>(row_count), 0);
  for (size_t i = 0; i < std::size(sets); ++i) {
    for (const int64_t row : *sets[i])
      set_of[static_cast<size_t>(row)] = static_cast<uint8_t>(i + 1);
    sets[i]->clear();
  }
  for (size_t row = 0; row < set_of.size(); ++row) {
    if (set_of[row] != 0) sets[set_of[row] - 1]->push_back(static_cast<int64_t>(row));
  }
}

absl::Status CheckNotEmpty(const RowSplit& split, const v1::SplitOptions& options, size_t rows) {
  const auto check = [&](absl::string_view field, double fraction, bool empty) -> absl::Status {
    if (fraction <= 0 || !empty) return absl::OkStatus();
    return InvalidFile(std::string(field),
                       absl::StrCat("is ", fraction, ", which leaves no row of ", rows,
                                    "; at least one is needed"));
  };
  TY_RETURN_IF_ERROR(
      check("validation_fraction", options.validation_fraction(), split.validation.empty()));
  TY_RETURN_IF_ERROR(check("test_fraction", options.test_fraction(), split.test.empty()));
  return check("test_fraction", 1, split.train.empty());
}

}  // namespace

absl::StatusOr<RowSplit> SplitRows(const Table& table, const std::vector<int64_t>& rows,
                                   const v1::SplitOptions& options,
                                   const std::vector<int32_t>& strata, const GoOnCheck& check) {
  RowSplit split;
  switch (options.method()) {
    case v1::SplitOptions::METHOD_STRATIFIED:
      TY_RETURN_IF_ERROR(SplitStratified(rows, options, strata, check, split));
      break;
    case v1::SplitOptions::METHOD_GROUPED: {
      TY_ASSIGN_OR_RETURN(const auto keys,
                          KeysOf(table, options.group_column(), "group_column", check));
      TY_RETURN_IF_ERROR(SplitGrouped(rows, keys, options, check, split));
      break;
    }
    case v1::SplitOptions::METHOD_TIME:
      TY_RETURN_IF_ERROR(SplitByTime(table, rows, options, check, split));
      break;
    default:
      TY_RETURN_IF_ERROR(SplitRandomly(rows, options, check, split));
  }
  TY_RETURN_IF_ERROR(CheckNotEmpty(split, options, rows.size()));
  TY_RETURN_IF_ERROR(Ask(check));
  SortSets(table.row_count(), split);
  return split;
}

}  // namespace trainyard
