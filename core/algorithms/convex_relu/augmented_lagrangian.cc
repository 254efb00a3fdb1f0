#include "core/algorithms/convex_relu/augmented_lagrangian.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "core/algorithms/convex_relu/cone_penalty.h"
#include "core/algorithms/convex_relu/regularizer.h"
#include "core/algorithms/convex_relu/smooth_function.h"
#include "core/base/status.h"
#include "core/base/stopwatch.h"

namespace trainyard::convex_relu {
namespace {

constexpr double kFirstDelta = 1000;  // times 1/n

std::vector<ConeBlock> AllBlocks(int outputs, int64_t patterns) {
  std::vector<ConeBlock> blocks;
  for (const int sign : {1, -1}) {
    for (int output = 0; output < outputs; ++output) {
      for (int64_t i = 0; i < patterns; ++i) blocks.push_back({i, sign, output});
    }
  }
  return blocks;
}

// The loss and the penalty. The image is the predictions, then A v and A w.
class LagrangianFunction final : public SmoothFunction<double> {
 public:
  LagrangianFunction(PatternOperator<double>& products, const RowLoss& loss, ConePenalty& penalty)
      : products_(products),
        loss_(loss),
        penalty_(penalty),
        difference_(static_cast<size_t>(penalty.weights_size() / 2)),
        residual_(static_cast<size_t>(loss.size())) {}

  int64_t size() const override { return penalty_.weights_size(); }
  int64_t image_size() const override { return loss_.size() + penalty_.products_size(); }

  void Image(const double* x, double* image) override {
    const double* w = x + difference_.size();
    for (size_t k = 0; k < difference_.size(); ++k) difference_[k] = x[k] - w[k];
    products_.Forward(loss_.outputs(), difference_.data(), image);
    penalty_.Multiply(x, image + loss_.size());
  }
  double Value(const double* image) const override {
    return loss_.Value(image) + penalty_.Value(image + loss_.size());
  }
  double Divergence(const double* next, const double* at) const override {
    return loss_.Divergence(next, at) + penalty_.Divergence(next + loss_.size(), at + loss_.size());
  }
  void Gradient(const double* image, double* gradient) override {
    loss_.Gradient(image, residual_.data());
    products_.Adjoint(loss_.outputs(), residual_.data(), gradient);
    double* w = gradient + difference_.size();
    for (size_t k = 0; k < difference_.size(); ++k) w[k] = -gradient[k];
    penalty_.AddGradient(image + loss_.size(), gradient);
  }
  bool quadratic() const override { return false; }

 private:
  PatternOperator<double>& products_;
  const RowLoss& loss_;
  ConePenalty& penalty_;
  std::vector<double> difference_;  // v - w
  std::vector<double> residual_;
};

class LagrangianRun {
 public:
  LagrangianRun(PatternOperator<double>& products, const ConeRows& rows,
                const PatternBits& patterns, ThreadPool& pool, const RowLoss& loss,
                const LagrangianOptions& options, LagrangianState& state,
                const LagrangianHooks& hooks)
      : loss_(loss),
        options_(options),
        state_(state),
        hooks_(hooks),
        penalty_(rows, patterns, pool, AllBlocks(loss.outputs(), products.patterns())),
        function_(products, loss, penalty_),
        shape_{2 * loss.outputs(), products.patterns(), products.features(), products.stride()},
        regularizer_(MakeRegularizer<double>(RegularizerKind::kGroupL1, options.lambda, shape_)) {}

  absl::StatusOr<SolveEnd> Go() {
    if (state_.multipliers.empty()) {
      state_.multipliers.assign(static_cast<size_t>(penalty_.products_size()), 0.0);
    }
    if (state_.delta == 0) {
      state_.delta =
          options_.delta > 0 ? options_.delta : kFirstDelta / static_cast<double>(loss_.rows());
    }
    if (state_.tolerance == 0) {
      state_.tolerance = state_.in_window ? options_.window_tolerance : options_.tolerance;
    }
    for (;;) {
      TY_ASSIGN_OR_RETURN(const RFistaEnd end, SolveSubproblem());
      if (end == RFistaEnd::kObserver) return end_;
      if (end == RFistaEnd::kIterations) return SolveEnd::kIterations;
      if (end == RFistaEnd::kDiverged) return SolveEnd::kDiverged;
      ++state_.progress.outer_iterations;
      if (state_.in_window) {
        ChooseDelta();
      } else {
        UpdateMultipliers();
        if (2 * state_.progress.violation < state_.tolerance) state_.tolerance *= 0.5;
      }
      state_.iteration.WarmStart(std::move(state_.iteration.x));
      if (options_.release_rules) state_.iteration.step = 0;
    }
  }

 private:
  absl::StatusOr<RFistaEnd> SolveSubproblem() {
    penalty_.set_delta(state_.delta);
    for (size_t k = 0; k < state_.multipliers.size(); ++k) {
      penalty_.shifts()[k] = state_.multipliers[k] / state_.delta;
    }
    RFistaOptions rules = options_.rfista;
    rules.subgradient_tolerance = state_.tolerance;
    rules.max_iterations =
        options_.max_iterations - std::min(options_.max_iterations, state_.iteration.iterations);
    if (options_.release_rules) rules.test_interval = 1;
    return MinimizeByRFista<double>(
        function_, *regularizer_, rules, state_.iteration,
        [this](const Iterate<double>& it) { return Observe(it); }, hooks_.check);
  }

  absl::StatusOr<Verdict> Observe(const Iterate<double>& it) {
    Measure(it);
    if (hooks_.report) hooks_.report(state_.progress);
    if (hooks_.checkpoint) TY_RETURN_IF_ERROR(hooks_.checkpoint());
    const LagrangianProgress& progress = state_.progress;
    const bool complementary =
        options_.release_rules ||
        progress.complementarity <= options_.complementarity * progress.objective;
    if (progress.violation <= options_.tolerance && complementary &&
        progress.subgradient_norm_squared <= options_.tolerance) {
      // The Lagrangian that this is the subgradient of has the next multipliers.
      if (!options_.release_rules) UpdateMultipliers(it.image);
      end_ = SolveEnd::kSubgradient;
      return Verdict::kStop;
    }
    if (options_.time_seconds > 0 && watch_.Seconds() > options_.time_seconds) {
      end_ = SolveEnd::kTime;
      return Verdict::kStop;
    }
    return Verdict::kGoOn;
  }

  // The gradient of L_delta is that of the Lagrangian at (gamma - delta A v)_+.
  void Measure(const Iterate<double>& it) {
    LagrangianProgress& progress = state_.progress;
    progress.smooth = loss_.Value(it.image);
    progress.objective = progress.smooth + regularizer_->Value(it.x);
    progress.subgradient_norm_squared = it.subgradient_norm_squared;
    progress.delta = state_.delta;
    progress.step = it.step;
    progress.iterations = it.iteration;
    progress.backtracks = it.backtracks;
    progress.violation = 0;
    progress.complementarity = 0;
    const double* products = it.image + loss_.size();
    for (size_t k = 0; k < state_.multipliers.size(); ++k) {
      const double product = products[k];
      const double next = std::max(state_.multipliers[k] - state_.delta * product, 0.0);
      const double outside = std::max(-product, 0.0);
      progress.violation += outside * outside;
      progress.complementarity += next * std::abs(product);
    }
    progress.active_blocks = 0;
    for (int64_t b = 0; b < shape_.blocks(); ++b) {
      const double* block = it.x + b * shape_.stride;
      progress.active_blocks +=
          std::any_of(block, block + shape_.features, [](double w) { return w != 0; }) ? 1 : 0;
    }
  }

  // Strengthens or weakens the penalty until the violation is within the window.
  void ChooseDelta() {
    if (state_.progress.violation > options_.window_high) {
      state_.delta *= 2;
    } else if (state_.progress.violation < options_.window_low) {
      state_.delta *= 0.5;
      state_.tolerance *= 0.5;
    } else {
      state_.in_window = false;
      state_.tolerance = options_.tolerance;
    }
  }

  void UpdateMultipliers() { UpdateMultipliers(state_.iteration.image.data()); }

  void UpdateMultipliers(const double* image) {
    const double* products = image + loss_.size();
    for (size_t k = 0; k < state_.multipliers.size(); ++k) {
      const double product = options_.release_rules ? std::min(products[k], 0.0) : products[k];
      state_.multipliers[k] = std::max(state_.multipliers[k] - state_.delta * product, 0.0);
    }
  }

  const RowLoss& loss_;
  const LagrangianOptions& options_;
  LagrangianState& state_;
  const LagrangianHooks& hooks_;
  const Stopwatch watch_;
  ConePenalty penalty_;
  LagrangianFunction function_;
  const WeightShape shape_;
  const std::unique_ptr<Regularizer<double>> regularizer_;
  SolveEnd end_ = SolveEnd::kSubgradient;
};

}  // namespace

void LagrangianState::Restart() {
  iteration.WarmStart(std::move(iteration.x));
  iteration.iterations = iteration.backtracks = iteration.restarts = 0;
  tolerance = 0;
  progress = LagrangianProgress();
}

absl::StatusOr<SolveEnd> SolveByLagrangian(PatternOperator<double>& products, const ConeRows& rows,
                                           const PatternBits& patterns, ThreadPool& pool,
                                           const RowLoss& loss, const LagrangianOptions& options,
                                           LagrangianState& state, const LagrangianHooks& hooks) {
  return LagrangianRun(products, rows, patterns, pool, loss, options, state, hooks).Go();
}

ConeWeights BlocksOf(const LagrangianState& state, int outputs, int64_t patterns, int stride) {
  ConeWeights point;
  point.stride = stride;
  const std::vector<double>& x = state.iteration.x;
  std::vector<ConeBlock> blocks = AllBlocks(outputs, patterns);
  point.Add(blocks);
  for (size_t b = 0; b < point.blocks.size() && !x.empty(); ++b) {
    const ConeBlock block = point.blocks[b];
    const int64_t from = ((block.sign > 0 ? 0 : outputs) + block.output) * patterns + block.pattern;
    std::copy_n(x.begin() + from * stride, stride, point.block(b));
  }
  point.DropZeros();
  return point;
}

}  // namespace trainyard::convex_relu
