// R-FISTA: proximal gradient with momentum, restarts and a line search that goes both ways
// (section 4 of the paper's appendix; Beck and Teboulle, O'Donoghue and Candes).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/regularizer.h"
#include "core/algorithms/convex_relu/smooth_function.h"

namespace trainyard::convex_relu {

// Sequence of momentum parameters.
enum class Momentum {
  kTextbook,  // t' = (1 + sqrt(1 + 4 t^2)) / 2
  kRelease,   // t' = 1 + sqrt(1 + 4 t^2) / 2, as the authors' library has it
  kNone,      // plain proximal gradient
};

struct RFistaOptions {
  Momentum momentum = Momentum::kTextbook;
  // Restart when the momentum points uphill of the gradient mapping.
  bool restart = true;
  // First step size, unless the state has one.
  double initial_step = 10;
  // A trial that fails the descent test multiplies the step by this.
  double backtrack = 0.8;
  // After a trial that passes it by `forward_margin` the next iteration starts with this multiple.
  double forward = 1.25;
  double forward_margin = 5;
  int max_trials = 50;
  // Step taken when all trials failed.
  double last_step = 1e-8;
  // Stop when the squared norm of the shortest subgradient is at most this; negative: never.
  double subgradient_tolerance = 1e-6;
  int64_t max_iterations = 10000;
  // Iterations between stop tests where f is not quadratic (each costs an adjoint).
  int test_interval = 5;
};

// Where a run stands between iterations; enough to go on bit for bit. Sizes are those of the
// function; empty at first, which stands for zero.
template <typename Real>
struct RFistaState {
  std::vector<Real> x;             // the iterate
  std::vector<Real> image;         // A x
  std::vector<Real> x_gradient;    // f'(x), kept where f is quadratic
  std::vector<Real> search;        // v, the point of the next gradient
  std::vector<Real> search_image;  // A v
  double t = 1;
  double step = 0;         // step size that the next iteration tries first; 0: initial_step
  int64_t iterations = 0;  // of all runs with this state
  int64_t backtracks = 0;  // trials that failed
  int64_t restarts = 0;

  // Starts afresh from `point` with the step size kept.
  void WarmStart(std::vector<Real> point);
};

// The iterate after an iteration at which the stop rule was tested.
template <typename Real>
struct Iterate {
  const Real* x;
  const Real* image;
  const Real* gradient;  // f'(x)
  double objective;      // f + R
  double smooth;         // f
  double subgradient_norm_squared;
  double step;
  int64_t iteration;
  int64_t backtracks;
  int64_t restarts;
};

enum class RFistaEnd { kSubgradient, kObserver, kIterations, kDiverged };

// What a run is asked to do after a tested iterate.
enum class Verdict { kGoOn, kStop };

// Called after every tested iteration; an error ends the run with it.
template <typename Real>
using RFistaObserver = std::function<absl::StatusOr<Verdict>(const Iterate<Real>&)>;

// Minimises f + R from `state`, which is left at the last iterate. The stop rules are tested at the
// state, too: one that was kept while they were tested goes on as the run it is of did. The run has
// diverged when the objective is not finite or beyond 1000 times that of zero weights. `check` is
// asked before every product.
template <typename Real>
absl::StatusOr<RFistaEnd> MinimizeByRFista(SmoothFunction<Real>& function,
                                           const Regularizer<Real>& regularizer,
                                           const RFistaOptions& options, RFistaState<Real>& state,
                                           const RFistaObserver<Real>& observer,
                                           const std::function<absl::Status()>& check);

}  // namespace trainyard::convex_relu
