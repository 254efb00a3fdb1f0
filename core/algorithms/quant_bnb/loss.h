// Trees on the rows that a search is about, computed plainly, row by row: an account apart from
// that of the search itself.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "core/algorithms/quant_bnb/optimal_tree.h"
#include "core/trees/tree.h"

namespace trainyard {

// Entries of OptimalTreeInput::rows.
using RowPositions = std::vector<uint32_t>;

// The rows of positive weight.
RowPositions UsedRows(const OptimalTreeInput& input);

// The rows that go left and right at an inner node of `tree`, in their order.
std::pair<RowPositions, RowPositions> DivideRows(const OptimalTreeInput& input, const Tree& tree,
                                                 int node, std::span<const uint32_t> rows);

// Loss of one leaf with these rows, without penalty: what the class of least cost, or the mean,
// costs them. 0 for no rows. Squared errors are summed around the mean.
double LeafLoss(const OptimalTreeInput& input, std::span<const uint32_t> rows);

// `tree` with those inner nodes made leaves for which that makes the loss of `spec`, penalty
// included, least; of equal losses the smallest tree. Also where a child has fewer than
// spec.min_samples_leaf() rows. O(rows * depth).
Tree PruneToLeastLoss(const OptimalTreeInput& input, const v1::QuantBnbSpec& spec,
                      const Tree& tree);

}  // namespace trainyard
