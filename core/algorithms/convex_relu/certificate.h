// Lower bounds of penalised problems from their duals.
#pragma once

#include <optional>
#include <span>

#include "core/algorithms/convex_relu/regularizer.h"
#include "core/algorithms/convex_relu/row_loss.h"

namespace trainyard::convex_relu {

// The dual norm of a penalty at a gradient, its lambda left out: the penalty's problem has the
// solution 0 where lambda is at least that of the gradient at 0. For kGroupL1, kL1 and
// kFeatureGroupL1.
template <typename Real>
double DualNorm(RegularizerKind kind, const WeightShape& shape, const Real* gradient);

// Lower bound of min over u of phi(A u) + R(u), from predictions z = A u of any u and the gradient
// A^T phi'(z): the dual objective at the best multiple of phi'(z) that is feasible. nullopt for
// RegularizerKind::kNone, where none but an exact solution gives one.
template <typename Real>
std::optional<double> DualBound(const RowLoss& loss, RegularizerKind kind, double lambda,
                                const WeightShape& shape, const Real* predictions,
                                const Real* gradient);

// The same for the group penalty, from the norms of the gradient's blocks.
template <typename Real>
DualPoint GroupDualBound(const RowLoss& loss, double lambda, const Real* predictions,
                         std::span<const double> block_norms);

// (objective - bound) / objective; 0 where the objective is 0.
double RelativeGap(double objective, double bound);

}  // namespace trainyard::convex_relu
