// What the search of one node tells about others with nearly the same rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace trainyard::quant_bnb {

// Rows of a node whose rank by a feature is at most `rank` on the left, the others on the right,
// either side with a tree of one level less than the node's: lower bounds of what these cost.
struct KnownCut {
  uint32_t rank;
  double left;
  double right;
};

// Cuts of a node. What holds for a node holds for any that has its rows and others, and, less the
// cost of the rows taken away on either side, for any that has part of them.
struct KnownCuts {
  // Lower bound of what a tree of one level less costs on all rows of the node.
  double whole = 0;
  // By search feature f at [begin[f], begin[f + 1]), by ascending rank. Empty: nothing is known.
  std::vector<int32_t> begin;
  std::vector<KnownCut> cuts;

  bool empty() const { return begin.empty(); }
  void clear() {
    whole = 0;
    begin.clear();
    cuts.clear();
  }
  std::span<const KnownCut> Of(int feature) const {
    if (empty()) return {};
    const size_t at = static_cast<size_t>(feature);
    return std::span<const KnownCut>(cuts).subspan(static_cast<size_t>(begin[at]),
                                                   static_cast<size_t>(begin[at + 1] - begin[at]));
  }
};

}  // namespace trainyard::quant_bnb
