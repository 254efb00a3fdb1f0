#include "core/algorithms/convex_relu/inner_solver.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/algorithms/convex_relu/certificate.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

// Iterations between evaluations of the gap.
constexpr int64_t kGapInterval = 5;
// Iterations of R-FISTA before Newton's method is tried, at the least: on a working set of a solve
// whose working sets have not needed it yet, and after a run of Newton's method that was worth it.
constexpr int64_t kFirstPatience = 40;
constexpr int64_t kLeastPatience = 5;
constexpr int64_t kPatienceFactor = 4;
// Products that a run of Newton's method may take: this many, or this share of all iterations on
// the working set so far.
constexpr int64_t kLeastProducts = 200;
constexpr double kProductsShare = 0.5;
// What Newton's systems may leave of the greatest slope at which the gap is the one wanted.
constexpr double kSlopeShare = 0.3;

}  // namespace

template <typename Real>
InnerSolver<Real>::InnerSolver(PatternOperator<Real>& products, const RowLoss& loss,
                               const GatedOptions& options, GatedState<Real>& state,
                               const GatedHooks& hooks, const Stopwatch& watch)
    : function_(products, loss),
      loss_(loss),
      options_(options),
      state_(state),
      hooks_(hooks),
      watch_(watch),
      penalty_(MakeRegularizer<Real>(RegularizerKind::kGroupL1, options.lambda, function_.shape())),
      newton_(products, loss, options.lambda, state.damping),
      start_(state.progress),
      patience_(state.patience > 0 ? std::min(state.patience, kFirstPatience) : kFirstPatience) {}

template <typename Real>
absl::StatusOr<RFistaEnd> InnerSolver<Real>::Solve() {
  RFistaState<Real> iteration;
  iteration.WarmStart(std::move(state_.weights));
  iteration.step = state_.step;
  RFistaEnd end = RFistaEnd::kObserver;
  while (end == RFistaEnd::kObserver && !done_) {
    RFistaOptions rules = options_.rfista;
    rules.subgradient_tolerance = -1;
    rules.max_iterations -= std::min(rules.max_iterations, state_.progress.iterations);
    run_began_ = iteration.iterations;
    gap_before_ = least_gap_;
    TY_ASSIGN_OR_RETURN(end,
                        MinimizeByRFista<Real>(
                            function_, *penalty_, rules, iteration,
                            [this](const Iterate<Real>& it) { return Observe(it); }, hooks_.check));
    if (end == RFistaEnd::kObserver && !done_) TY_RETURN_IF_ERROR(RunNewton(iteration));
  }
  state_.weights = std::move(iteration.x);
  state_.step = iteration.step;
  state_.damping = newton_.damping();
  state_.patience = patience_;
  return end;
}

template <typename Real>
absl::StatusOr<Verdict> InnerSolver<Real>::Observe(const Iterate<Real>& it) {
  GatedProgress& progress = state_.progress;
  progress.iterations = start_.iterations + newton_iterations_ + it.iteration;
  progress.backtracks = start_.backtracks + it.backtracks;
  progress.restarts = start_.restarts + it.restarts;
  progress.objective = it.objective;
  progress.smooth = it.smooth;
  progress.step = it.step;
  progress.subgradient_norm_squared = it.subgradient_norm_squared;
  if (it.iteration % kGapInterval != 0) return Verdict::kGoOn;
  LookAtGap(it.image, it.gradient);
  if (done_) return Verdict::kStop;
  if (it.iteration < run_began_ + patience_) return Verdict::kGoOn;
  return SupportMatters(it.x, it.gradient) ? Verdict::kStop : Verdict::kGoOn;
}

template <typename Real>
bool InnerSolver<Real>::SupportMatters(const Real* x, const Real* gradient) const {
  const auto slopes = newton_.Measure(x, gradient);
  return slopes.support > slopes.zero;
}

// The gap over the patterns of the working set at the iterate of `state_.progress.objective`, and
// whether the solution ends there.
template <typename Real>
void InnerSolver<Real>::LookAtGap(const Real* image, const Real* gradient) {
  GatedProgress& progress = state_.progress;
  progress.working_patterns = function_.shape().patterns;
  const double norm = DualNorm(RegularizerKind::kGroupL1, function_.shape(), gradient);
  // Multiples above 1 could be infeasible for patterns outside that are no violators: a certificate
  // over all patterns would find a greater gap and nothing to add.
  const double scale = norm > options_.lambda ? options_.lambda / norm : 1.0;
  const double gap = progress.objective - loss_.DualValue(image, scale).value;
  least_gap_ = std::min(least_gap_, gap);
  progress.relative_gap = RelativeGap(progress.objective, progress.bound);
  if (hooks_.report) hooks_.report(progress);
  done_ = gap <= state_.inner_gap ||
          (options_.time_seconds > 0 && watch_.Seconds() > options_.time_seconds);
  if (done_) return;
  done_ = exhausted_ = stall_.Stalled(progress.iterations - start_.iterations, gap);
}

template <typename Real>
NewtonLimits InnerSolver<Real>::LimitsOfStep(int64_t run_began) const {
  const GatedProgress& progress = state_.progress;
  NewtonLimits limits;
  const double penalty = progress.objective - progress.smooth;
  // Slopes of this length let the feasible multiple of the dual point be 1 - length / lambda, which
  // costs that share of the penalty.
  limits.target = penalty > 0 ? kSlopeShare * options_.lambda * state_.inner_gap / penalty : 0;
  const int64_t so_far = progress.iterations - start_.iterations;
  limits.max_products =
      std::max(kLeastProducts, static_cast<int64_t>(kProductsShare * static_cast<double>(so_far))) -
      (newton_iterations_ - run_began);
  return limits;
}

// Newton's steps from the iterate at which R-FISTA was stopped.
template <typename Real>
absl::Status InnerSolver<Real>::RunNewton(RFistaState<Real>& iteration) {
  GatedProgress& progress = state_.progress;
  const double least_gap_before = least_gap_;
  const int64_t newton_before = newton_iterations_;
  bool lower = false;
  for (;;) {
    const NewtonLimits limits = LimitsOfStep(newton_before);
    if (limits.max_products <= 0) break;
    TY_ASSIGN_OR_RETURN(const NewtonStep step,
                        newton_.Step(hooks_.check, limits, iteration.x_gradient.data(), iteration.x,
                                     iteration.image));
    newton_iterations_ += step.products;
    progress.iterations += step.products;
    if (!step.lower) break;
    lower = true;
    function_.Gradient(iteration.image.data(), iteration.x_gradient.data());
    if (hooks_.check) TY_RETURN_IF_ERROR(hooks_.check());
    progress.smooth = loss_.Value(iteration.image.data());
    progress.objective = progress.smooth + penalty_->Value(iteration.x.data());
    progress.subgradient_norm_squared =
        penalty_->SubgradientNormSquared(iteration.x.data(), iteration.x_gradient.data());
    LookAtGap(iteration.image.data(), iteration.x_gradient.data());
    if (done_ || progress.iterations >= options_.rfista.max_iterations ||
        !SupportMatters(iteration.x.data(), iteration.x_gradient.data())) {
      break;
    }
  }
  Judge(least_gap_before, newton_before, iteration.iterations);
  if (lower) iteration.WarmStart(std::move(iteration.x));
  return absl::OkStatus();
}

// Compares how fast the gap has shrunk by Newton's method and by R-FISTA just before.
template <typename Real>
void InnerSolver<Real>::Judge(double least_gap_before, int64_t newton_before, int64_t iterations) {
  const double rate = std::log(least_gap_before / least_gap_) /
                      static_cast<double>(std::max<int64_t>(newton_iterations_ - newton_before, 1));
  const double rate_before =
      std::isfinite(gap_before_)
          ? std::log(gap_before_ / least_gap_before) / static_cast<double>(iterations - run_began_)
          : 0;
  patience_ = rate > 0 && rate >= rate_before ? kLeastPatience : kPatienceFactor * patience_;
}

template class InnerSolver<float>;
template class InnerSolver<double>;

}  // namespace trainyard::convex_relu
