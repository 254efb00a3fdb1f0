#include "core/algorithms/convex_relu/working_set.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>

#include "core/algorithms/convex_relu/certificate.h"
#include "core/algorithms/convex_relu/inner_solver.h"
#include "core/base/status.h"
#include "core/base/stopwatch.h"

namespace trainyard::convex_relu {
namespace {

// Share of the certified gap that the next working set is solved to, and of the gap asked for.
constexpr double kInnerShare = 0.2;
constexpr double kFinalShare = 0.3;
// The same where a solve begins with weights, which are first brought to the new lambda.
constexpr double kFirstShare = 0.5;

template <typename Real>
class WorkingSetRun {
 public:
  WorkingSetRun(PatternOperator<Real>& products, const RowLoss& loss, const GatedOptions& options,
                GatedState<Real>& state, const GatedHooks& hooks)
      : products_(products),
        loss_(loss),
        options_(options),
        state_(state),
        hooks_(hooks),
        predictions_(static_cast<size_t>(loss.size())),
        residual_(predictions_.size()) {}

  absl::StatusOr<SolveEnd> Go() {
    if (state_.step == 0) state_.step = options_.rfista.initial_step;
    SelectAlive();
    for (;;) {
      TY_RETURN_IF_ERROR(Check());
      Compact();
      TY_RETURN_IF_ERROR(Check());
      Certify();
      TY_RETURN_IF_ERROR(Check());
      if (hooks_.report) hooks_.report(state_.progress);
      if (hooks_.checkpoint) TY_RETURN_IF_ERROR(hooks_.checkpoint());
      if (const std::optional<SolveEnd> end = End()) return *end;
      Extend();
      TY_ASSIGN_OR_RETURN(const RFistaEnd end, SolveWorkingSet());
      if (end == RFistaEnd::kDiverged) return SolveEnd::kDiverged;
    }
  }

 private:
  absl::Status Check() const { return hooks_.check ? hooks_.check() : absl::OkStatus(); }

  WeightShape ShapeOf(size_t patterns) const {
    return {loss_.outputs(), static_cast<int64_t>(patterns), products_.features(),
            products_.stride()};
  }

  void SelectAlive() {
    if (state_.alive.empty()) {
      state_.alive.resize(static_cast<size_t>(products_.patterns()));
      std::iota(state_.alive.begin(), state_.alive.end(), int64_t{0});
    }
    const bool all = static_cast<int64_t>(state_.alive.size()) == products_.patterns();
    alive_products_ = all ? nullptr : products_.Select(state_.alive);
  }

  // Patterns with weights only, and the predictions they give.
  void Compact() {
    DropZeroPatterns(ShapeOf(state_.patterns.size()), state_.patterns, state_.weights);
    working_products_ = products_.Select(state_.patterns);
    working_products_->Forward(loss_.outputs(), state_.weights.data(), predictions_.data());
  }

  // Objective, bound and subgradient over all patterns alive; finds violators and screens.
  void Certify() {
    GatedProgress& progress = state_.progress;
    const WeightShape shape = ShapeOf(state_.patterns.size());
    const auto penalty = MakeRegularizer<Real>(RegularizerKind::kGroupL1, options_.lambda, shape);
    progress.smooth = loss_.Value(predictions_.data());
    progress.objective = progress.smooth + penalty->Value(state_.weights.data());
    loss_.Gradient(predictions_.data(), residual_.data());
    std::vector<Real> gradient(static_cast<size_t>(shape.size()));
    working_products_->Adjoint(shape.outputs, residual_.data(), gradient.data());
    progress.subgradient_norm_squared =
        penalty->SubgradientNormSquared(state_.weights.data(), gradient.data());

    const size_t alive = state_.alive.size();
    std::vector<double> norms(static_cast<size_t>(shape.outputs) * alive);
    PatternOperator<Real>& products = alive_products_ ? *alive_products_ : products_;
    products.AdjointNorms(shape.outputs, residual_.data(), norms.data());
    ++progress.certificates;
    const DualPoint dual =
        GroupDualBound(loss_, options_.lambda, predictions_.data(), std::span(norms));
    progress.bound = std::max(progress.bound, dual.value);
    progress.relative_gap = RelativeGap(progress.objective, progress.bound);
    progress.active_blocks = ActiveBlocks(shape);
    FindViolators(norms);
    Screen(norms, dual);
    progress.alive_patterns = static_cast<int64_t>(state_.alive.size());
  }

  int64_t ActiveBlocks(const WeightShape& shape) const {
    int64_t count = 0;
    for (int64_t b = 0; b < shape.blocks(); ++b) {
      const Real* block = state_.weights.data() + b * shape.stride;
      count += std::any_of(block, block + shape.features, [](Real w) { return w != 0; }) ? 1 : 0;
    }
    return count;
  }

  // Patterns outside the working set with a gradient longer than lambda, the longest first, and
  // what they add to the subgradient.
  void FindViolators(const std::vector<double>& norms) {
    violators_.clear();
    const size_t alive = state_.alive.size();
    for (size_t a = 0; a < alive; ++a) {
      const int64_t pattern = state_.alive[a];
      if (std::binary_search(state_.patterns.begin(), state_.patterns.end(), pattern)) continue;
      double greatest = 0;
      for (int o = 0; o < loss_.outputs(); ++o) {
        const double norm = norms[static_cast<size_t>(o) * alive + a];
        const double excess = std::max(norm - options_.lambda, 0.0);
        state_.progress.subgradient_norm_squared += excess * excess;
        greatest = std::max(greatest, norm);
      }
      if (greatest > options_.lambda) violators_.emplace_back(greatest, pattern);
    }
    std::sort(violators_.begin(), violators_.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
  }

  // A pattern is zero in every solution where its dual constraint holds strictly in the whole ball
  // of dual points that the gap allows: radius^2 = 2 gap x Lipschitz constant of the loss.
  void Screen(const std::vector<double>& norms, const DualPoint& dual) {
    if (options_.data_norm <= 0) return;
    const double gap = std::max(state_.progress.objective - dual.value, 0.0);
    const double reach = options_.data_norm * std::sqrt(2 * gap * loss_.Smoothness());
    const size_t alive = state_.alive.size();
    std::vector<int64_t> left;
    for (size_t a = 0; a < alive; ++a) {
      double greatest = 0;
      for (int o = 0; o < loss_.outputs(); ++o) {
        greatest = std::max(greatest, norms[static_cast<size_t>(o) * alive + a]);
      }
      const bool kept =
          std::abs(dual.scale) * greatest + reach >= options_.lambda ||
          std::binary_search(state_.patterns.begin(), state_.patterns.end(), state_.alive[a]);
      if (kept) left.push_back(state_.alive[a]);
    }
    // A new selection costs about as much as a certificate saves on a few patterns.
    if (left.empty() || left.size() > alive - alive / 8) return;
    state_.alive = std::move(left);
    SelectAlive();
  }

  std::optional<SolveEnd> End() {
    const GatedProgress& progress = state_.progress;
    if (progress.relative_gap <= options_.relative_gap) return SolveEnd::kGap;
    if (progress.iterations >= options_.rfista.max_iterations) return SolveEnd::kIterations;
    if (options_.time_seconds > 0 && watch_.Seconds() > options_.time_seconds) {
      return SolveEnd::kTime;
    }
    if (exhausted_ && violators_.empty()) return SolveEnd::kStalled;
    return std::nullopt;
  }

  // Adds the worst violators, as many as there are patterns with weights. A solve that begins with
  // weights goes on with those alone at first: most violators of another lambda's solution are none
  // of the next one's.
  void Extend() {
    const GatedProgress& progress = state_.progress;
    const bool first = state_.inner_gap == 0 && !state_.patterns.empty();
    const double gap = progress.objective - progress.bound;
    state_.inner_gap = std::max((first ? kFirstShare : kInnerShare) * gap,
                                kFinalShare * options_.relative_gap * std::abs(progress.objective));
    const size_t most = std::max(static_cast<size_t>(options_.least_added), state_.patterns.size());
    const size_t added = first ? 0 : std::min(violators_.size(), most);
    std::vector<int64_t> patterns = state_.patterns;
    for (size_t i = 0; i < added; ++i) patterns.push_back(violators_[i].second);
    std::sort(patterns.begin(), patterns.end());
    const size_t stride = static_cast<size_t>(products_.stride());
    std::vector<Real> weights(static_cast<size_t>(loss_.outputs()) * patterns.size() * stride);
    for (int o = 0; o < loss_.outputs(); ++o) {
      for (size_t k = 0, known = 0; k < patterns.size(); ++k) {
        if (known == state_.patterns.size() || state_.patterns[known] != patterns[k]) continue;
        const size_t from = static_cast<size_t>(o) * state_.patterns.size() + known++;
        std::copy_n(state_.weights.begin() + static_cast<int64_t>(from * stride), stride,
                    weights.begin() + static_cast<int64_t>(
                                          (static_cast<size_t>(o) * patterns.size() + k) * stride));
      }
    }
    state_.patterns = std::move(patterns);
    state_.weights = std::move(weights);
    working_products_ = products_.Select(state_.patterns);
  }

  absl::StatusOr<RFistaEnd> SolveWorkingSet() {
    InnerSolver<Real> inner(*working_products_, loss_, options_, state_, hooks_, watch_);
    TY_ASSIGN_OR_RETURN(const RFistaEnd end, inner.Solve());
    exhausted_ = inner.exhausted();
    return end;
  }

  PatternOperator<Real>& products_;
  const RowLoss& loss_;
  const GatedOptions& options_;
  GatedState<Real>& state_;
  const GatedHooks& hooks_;
  const Stopwatch watch_;
  std::unique_ptr<PatternOperator<Real>> alive_products_;  // null: all
  std::unique_ptr<PatternOperator<Real>> working_products_;
  std::vector<Real> predictions_;
  std::vector<Real> residual_;
  std::vector<std::pair<double, int64_t>> violators_;  // length of the gradient, pattern
  bool exhausted_ = false;
};

}  // namespace

template <typename Real>
void DropZeroPatterns(const WeightShape& shape, std::vector<int64_t>& patterns,
                      std::vector<Real>& weights) {
  std::vector<int64_t> kept;
  for (int64_t k = 0; k < shape.patterns; ++k) {
    bool used = false;
    for (int o = 0; o < shape.outputs && !used; ++o) {
      const Real* block = weights.data() + (o * shape.patterns + k) * shape.stride;
      used = std::any_of(block, block + shape.features, [](Real w) { return w != 0; });
    }
    if (used) kept.push_back(k);
  }
  Real* to = weights.data();
  for (int o = 0; o < shape.outputs; ++o) {
    for (const int64_t k : kept) {
      const Real* from = weights.data() + (o * shape.patterns + k) * shape.stride;
      std::copy(from, from + shape.stride, to);
      to += shape.stride;
    }
  }
  weights.resize(static_cast<size_t>(to - weights.data()));
  for (int64_t& k : kept) k = patterns[static_cast<size_t>(k)];
  patterns = std::move(kept);
}

template <typename Real>
absl::StatusOr<SolveEnd> SolveByWorkingSets(PatternOperator<Real>& products, const RowLoss& loss,
                                            const GatedOptions& options, GatedState<Real>& state,
                                            const GatedHooks& hooks) {
  return WorkingSetRun<Real>(products, loss, options, state, hooks).Go();
}

template void DropZeroPatterns(const WeightShape&, std::vector<int64_t>&, std::vector<float>&);
template void DropZeroPatterns(const WeightShape&, std::vector<int64_t>&, std::vector<double>&);
template absl::StatusOr<SolveEnd> SolveByWorkingSets(PatternOperator<float>&, const RowLoss&,
                                                     const GatedOptions&, GatedState<float>&,
                                                     const GatedHooks&);
template absl::StatusOr<SolveEnd> SolveByWorkingSets(PatternOperator<double>&, const RowLoss&,
                                                     const GatedOptions&, GatedState<double>&,
                                                     const GatedHooks&);

}  // namespace trainyard::convex_relu
