// One split: the best of a node by each feature.
#pragma once

#include <cstdint>
#include <span>

#include "core/algorithms/quant_bnb/search_node.h"
#include "core/algorithms/quant_bnb/search_problem.h"

namespace trainyard::quant_bnb {

// The best tree of at most one split.
struct Stump {
  // Loss, penalty included; infinite where no leaf is large enough.
  double loss = 0;
  int feature = -1;  // number in the node's features(); -1: a leaf
  // The cut comes after this place of the feature's order.
  int place = 0;
};

// The best split by one feature, or the leaf where no split beats it; the lowest place among
// equals. Leaves of less than `min_samples` given rows are not made. O(rows x outputs).
Stump BestStumpOf(const SearchNode& node, int feature, int64_t min_samples);

// The best over all features, the lowest among equals.
Stump BestStump(const SearchNode& node, int64_t min_samples);

// The tree that a stump is.
SearchTree TreeOf(const SearchNode& node, const Stump& stump);

}  // namespace trainyard::quant_bnb
