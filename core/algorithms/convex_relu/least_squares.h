// Gated networks with the squared loss and no penalty or a squared one: linear least squares.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/gated_solver.h"

namespace trainyard::convex_relu {

// Where a run of LSMR stands between iterations; enough to go on bit for bit. Names are those of
// Fong and Saunders, "LSMR: an iterative algorithm for sparse least-squares problems", SIAM J. Sci.
// Comput. 33(5), 2011.
template <typename Real>
struct LsmrState {
  std::vector<Real> x, v, h, h_bar;  // [output][pattern][stride]
  std::vector<Real> u;               // [output][row]
  double alpha = 0, alpha_bar = 0, rho = 1, rho_bar = 1, c_bar = 1, s_bar = 0, zeta_bar = 0;
  int64_t iterations = 0;
};

// Minimises phi(sum_i D_i X u_i) + lambda/2 ||u||^2 by LSMR with damping sqrt(lambda) on the
// implicit operator; `loss` must be squared. Uses of `options` its lambda, limits and tolerances:
// with lambda > 0 it stops at the relative gap, else (and where that is negative) at the squared
// norm of the gradient. The penalty of `options` is not looked at. The solution is left in
// `state.patterns` and `state.weights`, its figures in `state.progress`.
template <typename Real>
absl::StatusOr<SolveEnd> SolveLeastSquares(PatternOperator<Real>& products, const RowLoss& loss,
                                           const GatedOptions& options, LsmrState<Real>& lsmr,
                                           GatedState<Real>& state, const GatedHooks& hooks);

}  // namespace trainyard::convex_relu
