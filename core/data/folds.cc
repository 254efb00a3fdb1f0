#include <algorithm>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "core/base/random.h"
#include "core/data/split.h"

namespace trainyard {
namespace {

// Rows that stay together, as positions in the list of rows.
using Unit = std::vector<size_t>;

// The units of each stratum: the groups, or single rows where there are no groups. A group belongs
// to the stratum of its first row.
std::map<int32_t, std::vector<Unit>> GatherUnits(size_t row_count,
                                                 const std::vector<int32_t>& strata,
                                                 const std::vector<int64_t>& groups) {
  std::map<int32_t, std::vector<Unit>> units;
  const auto stratum_of = [&](size_t i) { return strata.empty() ? 0 : strata[i]; };
  if (groups.empty()) {
    for (size_t i = 0; i < row_count; ++i) units[stratum_of(i)].push_back({i});
    return units;
  }
  std::map<int64_t, Unit> by_group;
  for (size_t i = 0; i < row_count; ++i) by_group[groups[i]].push_back(i);
  for (auto& [group, unit] : by_group) units[stratum_of(unit.front())].push_back(std::move(unit));
  return units;
}

}  // namespace

std::vector<int32_t> AssignFolds(const std::vector<int64_t>& rows,
                                 const std::vector<int32_t>& strata,
                                 const std::vector<int64_t>& groups, int folds, uint64_t seed) {
  std::vector<int32_t> assigned(rows.size());
  std::vector<size_t> sizes(static_cast<size_t>(folds));
  size_t turn = 0;
  for (auto& [stratum, units] : GatherUnits(rows.size(), strata, groups)) {
    Rng rng(seed, static_cast<uint64_t>(stratum) + 1);
    rng.Shuffle(std::span<Unit>(units));
    // Large groups first, each into the smallest fold; single rows in turn.
    std::stable_sort(units.begin(), units.end(),
                     [](const Unit& a, const Unit& b) { return a.size() > b.size(); });
    for (const Unit& unit : units) {
      const size_t fold =
          groups.empty()
              ? turn++ % sizes.size()
              : static_cast<size_t>(std::min_element(sizes.begin(), sizes.end()) - sizes.begin());
      sizes[fold] += unit.size();
      for (const size_t member : unit) assigned[member] = static_cast<int32_t>(fold);
    }
  }
  return assigned;
}

}  // namespace trainyard
