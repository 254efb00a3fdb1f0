// The problem of one working set: R-FISTA and Newton's method on the support in turn.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/gated_function.h"
#include "core/algorithms/convex_relu/gated_solver.h"
#include "core/algorithms/convex_relu/stall_detector.h"
#include "core/algorithms/convex_relu/support_newton.h"
#include "core/base/stopwatch.h"

namespace trainyard::convex_relu {

// R-FISTA finds which blocks are not zero; where their slopes are longer than what lets other
// blocks become non-zero, Newton's method takes over, as long as the gap shrinks faster by it, a
// product with the second derivative counted as an iteration. Where it does not, R-FISTA is left
// alone four times as long before the next attempt.
template <typename Real>
class InnerSolver {
 public:
  // `products` are of the patterns that `state.weights` is for. `watch` has measured the time of
  // the whole solve. All must outlive the solver.
  InnerSolver(PatternOperator<Real>& products, const RowLoss& loss, const GatedOptions& options,
              GatedState<Real>& state, const GatedHooks& hooks, const Stopwatch& watch);

  // Moves `state.weights` until the gap over these patterns is `state.inner_gap`, or a limit of the
  // options is reached. Keeps step size, damping and progress in the state. Errors are the hooks'.
  absl::StatusOr<RFistaEnd> Solve();

  // Whether the solution ended because the arithmetic's precision gives no smaller gap.
  bool exhausted() const { return exhausted_; }

 private:
  absl::StatusOr<Verdict> Observe(const Iterate<Real>& it);
  bool SupportMatters(const Real* x, const Real* gradient) const;
  void LookAtGap(const Real* image, const Real* gradient);
  absl::Status RunNewton(RFistaState<Real>& iteration);
  NewtonLimits LimitsOfStep(int64_t run_began) const;
  void Judge(double least_gap_before, int64_t newton_before, int64_t iterations);

  GatedFunction<Real> function_;
  const RowLoss& loss_;
  const GatedOptions& options_;
  GatedState<Real>& state_;
  const GatedHooks& hooks_;
  const Stopwatch& watch_;
  const std::unique_ptr<Regularizer<Real>> penalty_;
  SupportNewton<Real> newton_;
  const GatedProgress start_;  // before this working set
  int64_t newton_iterations_ = 0;
  int64_t run_began_ = 0;  // R-FISTA's iterations before the run under way
  int64_t patience_;       // its least length
  double least_gap_ = INFINITY;
  double gap_before_ = INFINITY;  // the least one when R-FISTA's run began
  StallDetector stall_;
  bool exhausted_ = false;
  bool done_ = false;
};

}  // namespace trainyard::convex_relu
