#include "core/trees/presort.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "core/trees/stop_token.h"

namespace trainyard {
namespace {

struct KeyedRow {
  uint64_t key;
  uint32_t row;
};

constexpr uint64_t kMissingKey = std::numeric_limits<uint64_t>::max();

// Orders like the numbers, with NaN last.
uint64_t SortKey(double value) {
  if (std::isnan(value)) return kMissingKey;
  const uint64_t bits = std::bit_cast<uint64_t>(value == 0 ? 0.0 : value);
  return (bits >> 63) != 0 ? ~bits : bits | (uint64_t{1} << 63);
}

// Stable least-significant-digit radix sort; digits that all keys share cost nothing but a count.
void RadixSort(std::vector<KeyedRow>& rows, std::vector<KeyedRow>& scratch, StopToken& stop) {
  constexpr int kDigitBits = 11;
  constexpr size_t kDigits = 6;
  constexpr size_t kBuckets = size_t{1} << kDigitBits;
  constexpr size_t kSmall = 1024;
  if (rows.size() < kSmall) {
    std::stable_sort(rows.begin(), rows.end(),
                     [](const KeyedRow& a, const KeyedRow& b) { return a.key < b.key; });
    return;
  }
  std::vector<std::array<uint32_t, kBuckets>> counts(kDigits);
  for (const KeyedRow& row : rows) {
    for (size_t d = 0; d < kDigits; ++d) {
      ++counts[d][(row.key >> (kDigitBits * d)) & (kBuckets - 1)];
    }
  }
  scratch.resize(rows.size());
  for (size_t d = 0; d < kDigits && !stop.Ask(); ++d) {
    std::array<uint32_t, kBuckets>& count = counts[d];
    const auto digit_of = [d](const KeyedRow& row) {
      return (row.key >> (kDigitBits * d)) & (kBuckets - 1);
    };
    if (count[digit_of(rows.front())] == rows.size()) continue;
    uint32_t offset = 0;
    for (uint32_t& c : count) offset += std::exchange(c, offset);
    for (const KeyedRow& row : rows) scratch[count[digit_of(row)]++] = row;
    rows.swap(scratch);
  }
}

struct SortScratch {
  std::vector<KeyedRow> rows;
  std::vector<KeyedRow> spare;
};

void SortNumbers(std::span<const double> numbers, std::span<const int64_t> rows,
                 SortScratch& scratch, StopToken& stop, std::vector<OrderEntry>& order,
                 std::vector<double>& values) {
  scratch.rows.resize(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    scratch.rows[i] = {SortKey(numbers[static_cast<size_t>(rows[i])]), static_cast<uint32_t>(i)};
  }
  RadixSort(scratch.rows, scratch.spare, stop);
  order.resize(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const KeyedRow& row = scratch.rows[i];
    const bool missing = row.key == kMissingKey;
    if (!missing && (i == 0 || row.key != scratch.rows[i - 1].key)) {
      values.push_back(numbers[static_cast<size_t>(rows[row.row])]);
    }
    order[i] = {row.row, static_cast<uint32_t>(missing ? values.size() : values.size() - 1)};
  }
}

void SortCodes(const FeatureColumn& column, std::span<const int64_t> rows,
               std::vector<OrderEntry>& order) {
  const uint32_t levels = static_cast<uint32_t>(column.level_count);
  const auto rank_of = [&](int64_t row) {
    const int32_t code = column.codes[static_cast<size_t>(row)];
    return code < 0 || code >= column.level_count ? levels : static_cast<uint32_t>(code);
  };
  std::vector<uint32_t> next(levels + 2, 0);
  for (const int64_t row : rows) ++next[rank_of(row) + 1];
  for (size_t i = 1; i < next.size(); ++i) next[i] += next[i - 1];
  order.resize(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const uint32_t rank = rank_of(rows[i]);
    order[next[rank]++] = {static_cast<uint32_t>(i), rank};
  }
}

}  // namespace

absl::StatusOr<PresortedFeatures> PresortedFeatures::Build(
    std::span<const FeatureColumn> features, std::span<const int64_t> rows, ThreadPool& pool,
    const std::function<absl::Status()>& check) {
  if (rows.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return absl::InvalidArgumentError(
        absl::StrCat(rows.size(), " rows to train on; at most 2147483647 are supported"));
  }
  PresortedFeatures result;
  result.row_count_ = static_cast<int64_t>(rows.size());
  result.features_.resize(features.size());
  std::vector<SortScratch> scratch(static_cast<size_t>(pool.threads()));
  StopToken stop(check);
  pool.Run(static_cast<int64_t>(features.size()), [&](int64_t index, int thread) {
    if (stop.Ask()) return;
    const FeatureColumn& column = features[static_cast<size_t>(index)];
    Feature& feature = result.features_[static_cast<size_t>(index)];
    feature.categorical = column.categorical;
    if (column.categorical) {
      SortCodes(column, rows, feature.order);
      feature.missing_rank = static_cast<uint32_t>(column.level_count);
    } else {
      SortNumbers(column.numbers, rows, scratch[static_cast<size_t>(thread)], stop, feature.order,
                  feature.values);
      feature.missing_rank = static_cast<uint32_t>(feature.values.size());
    }
  });
  if (stop.stopped()) return stop.status();
  return result;
}

}  // namespace trainyard
