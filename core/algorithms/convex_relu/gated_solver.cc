#include "core/algorithms/convex_relu/gated_solver.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "core/algorithms/convex_relu/certificate.h"
#include "core/algorithms/convex_relu/gated_function.h"
#include "core/algorithms/convex_relu/stall_detector.h"
#include "core/algorithms/convex_relu/working_set.h"
#include "core/base/status.h"
#include "core/base/stopwatch.h"

namespace trainyard::convex_relu {
namespace {

// Blocks that are not zero.
template <typename Real>
int64_t CountActive(const WeightShape& shape, const Real* weights) {
  int64_t count = 0;
  for (int64_t b = 0; b < shape.blocks(); ++b) {
    const Real* block = weights + b * shape.stride;
    count += std::any_of(block, block + shape.features, [](Real w) { return w != 0; }) ? 1 : 0;
  }
  return count;
}

// All patterns at once, by the plain iteration.
template <typename Real>
class FullRun {
 public:
  FullRun(PatternOperator<Real>& products, const RowLoss& loss, const GatedOptions& options,
          GatedState<Real>& state, const GatedHooks& hooks)
      : loss_(loss), options_(options), state_(state), hooks_(hooks), function_(products, loss) {}

  absl::StatusOr<SolveEnd> Go() {
    const WeightShape shape = function_.shape();
    if (state_.iteration.search.empty()) Spread(shape);
    const auto penalty = MakeRegularizer<Real>(options_.regularizer, options_.lambda, shape);
    RFistaOptions rules = options_.rfista;
    rules.max_iterations -= std::min(rules.max_iterations, state_.progress.iterations);
    if (state_.step > 0) rules.initial_step = state_.step;
    const RFistaObserver<Real> observe = [this](const Iterate<Real>& it) { return Observe(it); };
    TY_ASSIGN_OR_RETURN(
        const RFistaEnd end,
        MinimizeByRFista(function_, *penalty, rules, state_.iteration, observe, hooks_.check));
    Gather(shape);
    switch (end) {
      case RFistaEnd::kSubgradient:
        return SolveEnd::kSubgradient;
      case RFistaEnd::kObserver:
        return observed_end_;
      case RFistaEnd::kIterations:
        return SolveEnd::kIterations;
      case RFistaEnd::kDiverged:
        break;
    }
    return SolveEnd::kDiverged;
  }

 private:
  // The state's blocks as a dense starting point.
  void Spread(const WeightShape& shape) {
    std::vector<Real> dense(static_cast<size_t>(shape.size()), Real{0});
    const int64_t known = static_cast<int64_t>(state_.patterns.size());
    for (int o = 0; o < shape.outputs; ++o) {
      for (int64_t k = 0; k < known; ++k) {
        std::copy_n(state_.weights.data() + (o * known + k) * shape.stride, shape.stride,
                    dense.data() + (o * shape.patterns + state_.patterns[static_cast<size_t>(k)]) *
                                       shape.stride);
      }
    }
    state_.iteration.WarmStart(std::move(dense));
  }

  // The patterns of the iterate that have weights.
  void Gather(const WeightShape& shape) {
    state_.patterns.resize(static_cast<size_t>(shape.patterns));
    std::iota(state_.patterns.begin(), state_.patterns.end(), int64_t{0});
    state_.weights = state_.iteration.x;
    DropZeroPatterns(shape, state_.patterns, state_.weights);
    state_.step = state_.iteration.step;
  }

  absl::StatusOr<Verdict> Observe(const Iterate<Real>& it) {
    GatedProgress& progress = state_.progress;
    const WeightShape shape = function_.shape();
    const std::optional<double> bound =
        DualBound(loss_, options_.regularizer, options_.lambda, shape, it.image, it.gradient);
    progress.bound = std::max(progress.bound, bound.value_or(0));
    progress.objective = it.objective;
    progress.smooth = it.smooth;
    progress.relative_gap =
        bound.has_value() ? RelativeGap(it.objective, progress.bound) : INFINITY;
    progress.subgradient_norm_squared = it.subgradient_norm_squared;
    progress.step = it.step;
    progress.iterations = it.iteration;
    progress.backtracks = it.backtracks;
    progress.restarts = it.restarts;
    progress.active_blocks = CountActive(shape, it.x);
    progress.working_patterns = progress.alive_patterns = shape.patterns;
    ++progress.certificates;
    if (hooks_.report) hooks_.report(progress);
    if (hooks_.checkpoint) TY_RETURN_IF_ERROR(hooks_.checkpoint());
    if (progress.relative_gap <= options_.relative_gap) {
      observed_end_ = SolveEnd::kGap;
      return Verdict::kStop;
    }
    if (options_.time_seconds > 0 && watch_.Seconds() > options_.time_seconds) {
      observed_end_ = SolveEnd::kTime;
      return Verdict::kStop;
    }
    // Without a bound the subgradient takes the gap's place.
    const double measure = bound.has_value() ? progress.relative_gap : it.subgradient_norm_squared;
    if (stall_.Stalled(it.iteration, measure)) {
      observed_end_ = SolveEnd::kStalled;
      return Verdict::kStop;
    }
    return Verdict::kGoOn;
  }

  const RowLoss& loss_;
  const GatedOptions& options_;
  GatedState<Real>& state_;
  const GatedHooks& hooks_;
  GatedFunction<Real> function_;
  Stopwatch watch_;
  StallDetector stall_;
  SolveEnd observed_end_ = SolveEnd::kGap;
};

}  // namespace

template <typename Real>
void GatedState<Real>::Restart() {
  alive.clear();
  inner_gap = 0;
  progress = GatedProgress();
  iteration = RFistaState<Real>();
}

template <typename Real>
absl::StatusOr<SolveEnd> SolveGated(PatternOperator<Real>& products, const RowLoss& loss,
                                    const GatedOptions& options, GatedState<Real>& state,
                                    const GatedHooks& hooks) {
  if (options.working_sets && options.regularizer == RegularizerKind::kGroupL1 &&
      options.lambda > 0) {
    return SolveByWorkingSets(products, loss, options, state, hooks);
  }
  return FullRun<Real>(products, loss, options, state, hooks).Go();
}

template <typename Real>
double LargestLambda(PatternOperator<Real>& products, const RowLoss& loss) {
  const std::vector<Real> zero(static_cast<size_t>(loss.size()), Real{0});
  std::vector<Real> gradient(zero.size());
  loss.Gradient(zero.data(), gradient.data());
  std::vector<double> norms(static_cast<size_t>(loss.outputs() * products.patterns()));
  if (norms.empty()) return 0;
  products.AdjointNorms(loss.outputs(), gradient.data(), norms.data());
  return *std::max_element(norms.begin(), norms.end());
}

template <typename Real>
std::optional<double> LargestPenalty(PatternOperator<Real>& products, const RowLoss& loss,
                                     RegularizerKind kind) {
  if (kind == RegularizerKind::kGroupL1) return LargestLambda(products, loss);
  if (kind == RegularizerKind::kNone || kind == RegularizerKind::kSquaredL2) return std::nullopt;
  GatedFunction<Real> function(products, loss);
  const std::vector<Real> zero(static_cast<size_t>(function.image_size()), Real{0});
  std::vector<Real> gradient(static_cast<size_t>(function.size()));
  function.Gradient(zero.data(), gradient.data());
  return DualNorm(kind, function.shape(), gradient.data());
}

template struct GatedState<float>;
template struct GatedState<double>;
template absl::StatusOr<SolveEnd> SolveGated(PatternOperator<float>&, const RowLoss&,
                                             const GatedOptions&, GatedState<float>&,
                                             const GatedHooks&);
template absl::StatusOr<SolveEnd> SolveGated(PatternOperator<double>&, const RowLoss&,
                                             const GatedOptions&, GatedState<double>&,
                                             const GatedHooks&);
template std::optional<double> LargestPenalty(PatternOperator<float>&, const RowLoss&,
                                              RegularizerKind);
template std::optional<double> LargestPenalty(PatternOperator<double>&, const RowLoss&,
                                              RegularizerKind);
template double LargestLambda(PatternOperator<float>&, const RowLoss&);
template double LargestLambda(PatternOperator<double>&, const RowLoss&);

}  // namespace trainyard::convex_relu
