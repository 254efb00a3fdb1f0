// The best splits of several leaves of one tree at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/trees/cart.h"
#include "core/trees/growing_node.h"
#include "core/trees/presort.h"
#include "core/trees/split_search.h"
#include "core/trees/stop_token.h"

namespace trainyard {

// A leaf to be searched, with its depth and its rows (presorted rows of positive weight).
struct LeafToSearch {
  int32_t depth = 0;
  std::vector<uint32_t> rows;
};

// What is known of a leaf: its size and impurity by the target searched, and its best split.
struct SearchedLeaf {
  double weight = 0;
  double impurity = 0;
  Split split;           // not found() where none is allowed or none reduces the error
  double reduction = 0;  // of the split, in units of the target squared
};

// Searches all leaves for the splits of least squared error of `target` (a regression) within the
// limits of `options`; `total_weight` is that of all training rows. One pass over each feature's
// order serves all leaves: O(rows of the presort * features), whatever the number of leaves.
std::vector<SearchedLeaf> SearchLeaves(const PresortedFeatures& features, const TreeTarget& target,
                                       std::span<const double> weights,
                                       std::span<const LeafToSearch> leaves,
                                       const v1::CartOptions& options, double total_weight,
                                       ThreadPool& pool, StopToken& stop);

}  // namespace trainyard
