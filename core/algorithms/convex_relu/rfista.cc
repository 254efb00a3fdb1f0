#include "core/algorithms/convex_relu/rfista.h"

#include <Eigen/Core>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

constexpr double kDivergedFactor = 1000;

template <typename Real>
class Run {
 public:
  Run(SmoothFunction<Real>& function, const Regularizer<Real>& regularizer,
      const RFistaOptions& options, RFistaState<Real>& state, const RFistaObserver<Real>& observer,
      const std::function<absl::Status()>& check)
      : function_(function),
        regularizer_(regularizer),
        options_(options),
        state_(state),
        observer_(observer),
        check_(check),
        gradient_(static_cast<size_t>(function.size())),
        trial_(gradient_.size()),
        trial_image_(static_cast<size_t>(function.image_size())) {}

  absl::StatusOr<RFistaEnd> Go() {
    TY_RETURN_IF_ERROR(Begin());
    if (fresh_) {
      TY_ASSIGN_OR_RETURN(const std::optional<RFistaEnd> end, Test());
      if (end.has_value()) return *end;
    }
    for (int64_t i = 0; i < options_.max_iterations; ++i) {
      TY_RETURN_IF_ERROR(Descend());
      const double beta = Extrapolate();
      TY_RETURN_IF_ERROR(Check());
      function_.Gradient(state_.search_image.data(), gradient_.data());
      TY_RETURN_IF_ERROR(Check());  // products that were stopped mean nothing
      ++state_.iterations;
      UpdateGradientOfIterate(beta);
      if (!function_.quadratic() && (i + 1) % options_.test_interval != 0 &&
          i + 1 < options_.max_iterations) {
        continue;
      }
      TY_ASSIGN_OR_RETURN(const std::optional<RFistaEnd> end, Test());
      if (end.has_value()) return *end;
    }
    return RFistaEnd::kIterations;
  }

 private:
  using ConstArray = Eigen::Map<const Eigen::Array<Real, Eigen::Dynamic, 1>>;
  using Array = Eigen::Map<Eigen::Array<Real, Eigen::Dynamic, 1>>;

  static ConstArray View(const std::vector<Real>& values) {
    return {values.data(), static_cast<Eigen::Index>(values.size())};
  }
  static Array View(std::vector<Real>& values) {
    return {values.data(), static_cast<Eigen::Index>(values.size())};
  }

  absl::Status Check() const { return check_ ? check_() : absl::OkStatus(); }

  absl::Status Begin() {
    if (state_.x.empty()) state_.x.assign(gradient_.size(), Real{0});
    if (state_.step == 0) state_.step = options_.initial_step;
    const std::vector<Real> zero(trial_image_.size(), Real{0});
    zero_objective_ = function_.Value(zero.data());
    fresh_ = state_.search.empty();
    if (fresh_) {
      TY_RETURN_IF_ERROR(Check());
      state_.image.resize(trial_image_.size());
      function_.Image(state_.x.data(), state_.image.data());
      state_.search = state_.x;
      state_.search_image = state_.image;
      state_.t = 1;
    }
    TY_RETURN_IF_ERROR(Check());
    function_.Gradient(state_.search_image.data(), gradient_.data());
    if (fresh_) state_.x_gradient = gradient_;
    return Check();
  }

  // Proximal gradient steps from the search point, shorter ones until f is below its quadratic
  // upper bound; the accepted one is in `trial_`.
  absl::Status Descend() {
    for (int trial = 1;; ++trial) {
      TY_RETURN_IF_ERROR(Check());
      const bool last = trial > options_.max_trials;
      const double step = last ? options_.last_step : state_.step;
      View(trial_) = View(state_.search) - static_cast<Real>(step) * View(gradient_);
      regularizer_.Prox(step, trial_.data());
      function_.Image(trial_.data(), trial_image_.data());
      const double divergence =
          function_.Divergence(trial_image_.data(), state_.search_image.data());
      const double moved =
          (View(trial_).template cast<double>() - View(state_.search).template cast<double>())
              .square()
              .sum();
      state_.step = step;
      if (last || moved == 0 || 2 * step * divergence <= moved) {
        next_step_ = moved > options_.forward_margin * 2 * step * divergence
                         ? step * options_.forward
                         : step;
        return absl::OkStatus();
      }
      ++state_.backtracks;
      state_.step *= options_.backtrack;
    }
  }

  // The next search point; returns its distance along x' - x beyond x'.
  double Extrapolate() {
    const double uphill = ((View(trial_) - View(state_.x)).template cast<double>() *
                           (View(state_.search) - View(trial_)).template cast<double>())
                              .sum();
    double beta = 0;
    if (options_.momentum == Momentum::kNone || (options_.restart && uphill > 0)) {
      state_.restarts += options_.momentum == Momentum::kNone ? 0 : 1;
      state_.t = 1;
    } else {
      const double root = std::sqrt(1 + 4 * state_.t * state_.t);
      const double t = options_.momentum == Momentum::kTextbook ? 0.5 * (1 + root) : 1 + 0.5 * root;
      beta = (state_.t - 1) / t;
      state_.t = t;
    }
    const Real b = static_cast<Real>(beta);
    View(state_.search) = View(trial_) + b * (View(trial_) - View(state_.x));
    View(state_.search_image) = View(trial_image_) + b * (View(trial_image_) - View(state_.image));
    state_.x.swap(trial_);
    state_.image.swap(trial_image_);
    last_step_ = state_.step;
    state_.step = next_step_;
    return beta;
  }

  // With v = x' + beta (x' - x) and an affine f': f'(x') = (f'(v) + beta f'(x)) / (1 + beta).
  void UpdateGradientOfIterate(double beta) {
    extrapolated_ = beta != 0;
    if (!function_.quadratic()) return;
    View(state_.x_gradient) =
        (View(gradient_) + static_cast<Real>(beta) * View(state_.x_gradient)) *
        static_cast<Real>(1 / (1 + beta));
  }

  absl::StatusOr<std::optional<RFistaEnd>> Test() {
    if (!function_.quadratic()) {
      if (extrapolated_) {
        TY_RETURN_IF_ERROR(Check());
        function_.Gradient(state_.image.data(), state_.x_gradient.data());
        TY_RETURN_IF_ERROR(Check());
      } else {
        state_.x_gradient = gradient_;
      }
    }
    const double smooth = function_.Value(state_.image.data());
    const double objective = smooth + regularizer_.Value(state_.x.data());
    if (!std::isfinite(objective) || objective > kDivergedFactor * zero_objective_) {
      return RFistaEnd::kDiverged;
    }
    const double norm =
        regularizer_.SubgradientNormSquared(state_.x.data(), state_.x_gradient.data());
    if (observer_) {
      TY_ASSIGN_OR_RETURN(const Verdict verdict,
                          observer_({state_.x.data(), state_.image.data(), state_.x_gradient.data(),
                                     objective, smooth, norm, last_step_, state_.iterations,
                                     state_.backtracks, state_.restarts}));
      if (verdict == Verdict::kStop) return RFistaEnd::kObserver;
    }
    if (norm <= options_.subgradient_tolerance) return RFistaEnd::kSubgradient;
    return std::nullopt;
  }

  SmoothFunction<Real>& function_;
  const Regularizer<Real>& regularizer_;
  const RFistaOptions& options_;
  RFistaState<Real>& state_;
  const RFistaObserver<Real>& observer_;
  const std::function<absl::Status()>& check_;
  std::vector<Real> gradient_;  // f'(search)
  std::vector<Real> trial_;
  std::vector<Real> trial_image_;
  double zero_objective_ = 0;
  double last_step_ = 0;
  double next_step_ = 0;
  bool fresh_ = true;
  bool extrapolated_ = false;
};

}  // namespace

template <typename Real>
void RFistaState<Real>::WarmStart(std::vector<Real> point) {
  x = std::move(point);
  image.clear();
  x_gradient.clear();
  search.clear();
  search_image.clear();
  t = 1;
}

template <typename Real>
absl::StatusOr<RFistaEnd> MinimizeByRFista(SmoothFunction<Real>& function,
                                           const Regularizer<Real>& regularizer,
                                           const RFistaOptions& options, RFistaState<Real>& state,
                                           const RFistaObserver<Real>& observer,
                                           const std::function<absl::Status()>& check) {
  return Run<Real>(function, regularizer, options, state, observer, check).Go();
}

template struct RFistaState<float>;
template struct RFistaState<double>;
template absl::StatusOr<RFistaEnd> MinimizeByRFista(SmoothFunction<float>&,
                                                    const Regularizer<float>&, const RFistaOptions&,
                                                    RFistaState<float>&,
                                                    const RFistaObserver<float>&,
                                                    const std::function<absl::Status()>&);
template absl::StatusOr<RFistaEnd> MinimizeByRFista(SmoothFunction<double>&,
                                                    const Regularizer<double>&,
                                                    const RFistaOptions&, RFistaState<double>&,
                                                    const RFistaObserver<double>&,
                                                    const std::function<absl::Status()>&);

}  // namespace trainyard::convex_relu
