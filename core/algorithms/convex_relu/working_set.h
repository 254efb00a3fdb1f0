// Gated ReLU networks with the group penalty, solved on the few patterns that matter.
#pragma once

#include <cstdint>
#include <vector>

#include "core/algorithms/convex_relu/gated_solver.h"

namespace trainyard::convex_relu {

// SolveGated for the group penalty. Alternates between a certificate over all patterns alive, which
// also names the patterns whose dual constraints are violated most, and R-FISTA on those and the
// non-zero ones, to a gap that shrinks with the certificate's.
template <typename Real>
absl::StatusOr<SolveEnd> SolveByWorkingSets(PatternOperator<Real>& products, const RowLoss& loss,
                                            const GatedOptions& options, GatedState<Real>& state,
                                            const GatedHooks& hooks);

// Leaves out the patterns that have no weight in any output; `shape` is theirs before.
template <typename Real>
void DropZeroPatterns(const WeightShape& shape, std::vector<int64_t>& patterns,
                      std::vector<Real>& weights);

}  // namespace trainyard::convex_relu
