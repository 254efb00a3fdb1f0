// FIGS, fast interpretable greedy-tree sums (Tan, Singh, Nasseri, Agarwal, Duncan, Ronen, Epland,
// Kornblith, Yu 2022): several trees that grow together and predict by their sum.
#pragma once

#include <cstdint>
#include <span>

#include "absl/status/statusor.h"
#include "core/base/thread_pool.h"
#include "core/trees/cart.h"
#include "core/trees/ensemble.h"
#include "core/trees/presort.h"
#include "trainyard/v1/hierarchical_shrinkage.pb.h"

namespace trainyard {

// Grows a sum of trees by `figs` and the limits of `cart` (min_samples_split, min_samples_leaf,
// min_weight_fraction_leaf, max_depth, min_impurity_decrease), all fields with values; other
// arguments as for GrowCart. Targets of a classification are learned by least squares on the shares
// of the classes, 0 or 1, one output per class; the ensemble's link then clips.
//
// Every tree learns what the other trees leave over, y minus their sum. A step takes, of all leaves
// of all trees and of the root of a new tree, the split that reduces the squared error most (of
// equal ones that of the lowest tree and node, a new tree last) and carries it out: the children
// predict the means of what is left over for them then; other leaves keep their values. It ends
// after `max_splits` splits, or when no split is allowed or none reduces the error.
//
// N is the weight of a node's rows; m of a leaf is its value, m of an inner node the mean of its
// children's by N, so that shrinkage keeps the N-weighted mean of every tree. Impurities are those
// of a node's own target when it was split, of a leaf when it was made.
//
// A step costs O(rows * features) for each tree that has leaves to be searched: those whose rows
// were touched by the last split. Memory: 4 bytes per row and tree and 8 per row and output and
// tree, beside what one search of all rows needs. Does not depend on the number of threads. Errors:
// INVALID_ARGUMENT for no row of positive weight, and the status of `hooks.check`.
absl::StatusOr<TreeEnsemble> GrowFigs(const PresortedFeatures& features, const TreeTarget& target,
                                      std::span<const double> weights,
                                      std::span<const uint32_t> rows, const v1::CartOptions& cart,
                                      const v1::FigsOptions& figs, ThreadPool& pool,
                                      const GrowthHooks& hooks);

}  // namespace trainyard
