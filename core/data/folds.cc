#include <algorithm>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "core/base/random.h"
#include "core/data/split.h"

namespace trainyard {
namespace {

int32_t StratumOf(const std::vector<int32_t>& strata, size_t row) {
  return strata.empty() ? 0 : strata[row];
}

Rng StreamOf(uint64_t seed, int32_t stratum) {
  return Rng(seed, static_cast<uint64_t>(stratum) + 1);
}

// Rows in turn, one stratum after the other.
absl::Status DealRows(const std::vector<int32_t>& strata, size_t folds, uint64_t seed,
                      const GoOnCheck& check, std::vector<int32_t>& assigned) {
  std::map<int32_t, std::vector<size_t>> by_stratum;
  TY_RETURN_IF_ERROR(ForEachRow(assigned.size(), check, [&](size_t row) {
    by_stratum[StratumOf(strata, row)].push_back(row);
  }));
  size_t turn = 0;
  for (auto& entry : by_stratum) {
    std::vector<size_t>& rows = entry.second;
    Rng rng = StreamOf(seed, entry.first);
    TY_RETURN_IF_ERROR(ShuffleRows(std::span<size_t>(rows), rng, check));
    TY_RETURN_IF_ERROR(ForEachRow(rows.size(), check, [&, &rows = rows](size_t i) {
      assigned[rows[i]] = static_cast<int32_t>(turn++ % folds);
    }));
  }
  return absl::OkStatus();
}

// Groups, the largest first, each into the smallest fold. A group belongs to the stratum of its
// first row.
absl::Status DealGroups(const std::vector<int32_t>& strata, const std::vector<int64_t>& groups,
                        size_t folds, uint64_t seed, const GoOnCheck& check,
                        std::vector<int32_t>& assigned) {
  using Group = std::vector<size_t>;
  std::map<int64_t, Group> by_group;
  TY_RETURN_IF_ERROR(ForEachRow(assigned.size(), check,
                                [&](size_t row) { by_group[groups[row]].push_back(row); }));
  std::map<int32_t, std::vector<Group>> by_stratum;
  for (auto& [key, group] : by_group) {
    by_stratum[StratumOf(strata, group.front())].push_back(std::move(group));
  }
  std::vector<size_t> sizes(folds);
  for (auto& entry : by_stratum) {
    std::vector<Group>& members = entry.second;
    Rng rng = StreamOf(seed, entry.first);
    TY_RETURN_IF_ERROR(ShuffleRows(std::span<Group>(members), rng, check));
    TY_RETURN_IF_ERROR(SortRows(
        std::span<Group>(members),
        [](const Group& a, const Group& b) { return a.size() > b.size(); }, check));
    TY_RETURN_IF_ERROR(ForEachRow(members.size(), check, [&, &members = members](size_t i) {
      const auto smallest = std::min_element(sizes.begin(), sizes.end());
      *smallest += members[i].size();
      for (const size_t row : members[i]) {
        assigned[row] = static_cast<int32_t>(smallest - sizes.begin());
      }
    }));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<int32_t>> AssignFolds(size_t rows, const std::vector<int32_t>& strata,
                                                 const std::vector<int64_t>& groups, int folds,
                                                 uint64_t seed, const GoOnCheck& check) {
  std::vector<int32_t> assigned(rows);
  const size_t count = static_cast<size_t>(folds);
  const absl::Status status = groups.empty()
                                  ? DealRows(strata, count, seed, check, assigned)
                                  : DealGroups(strata, groups, count, seed, check, assigned);
  if (!status.ok()) return status;
  return assigned;
}

}  // namespace trainyard
