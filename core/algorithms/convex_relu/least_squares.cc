#include "core/algorithms/convex_relu/least_squares.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "core/algorithms/convex_relu/certificate.h"
#include "core/algorithms/convex_relu/working_set.h"
#include "core/base/status.h"
#include "core/base/stopwatch.h"

namespace trainyard::convex_relu {
namespace {

// Iterations between exact evaluations of objective and gradient.
constexpr int64_t kTestInterval = 20;
// Tests without a smaller gradient after which the arithmetic is at its end.
constexpr int kPatience = 10;

// A plane rotation that takes (a, b) to (r, 0).
struct Rotation {
  Rotation(double a, double b) : r(std::hypot(a, b)), c(r > 0 ? a / r : 1), s(r > 0 ? b / r : 0) {}
  double r, c, s;
};

template <typename Real>
class Lsmr {
 public:
  Lsmr(PatternOperator<Real>& products, const RowLoss& loss, const GatedOptions& options,
       LsmrState<Real>& lsmr, GatedState<Real>& state, const GatedHooks& hooks)
      : products_(products),
        loss_(loss),
        options_(options),
        s_(lsmr),
        state_(state),
        hooks_(hooks),
        shape_{loss.outputs(), products.patterns(), products.features(), products.stride()},
        roots_(static_cast<size_t>(loss.size())),
        image_(roots_.size()),
        adjoint_(static_cast<size_t>(shape_.size())) {
    PrepareRows();
  }

  absl::StatusOr<SolveEnd> Go() {
    if (s_.x.empty()) Begin();
    for (;;) {
      if (s_.iterations % kTestInterval == 0 || std::abs(s_.zeta_bar) == 0) {
        TY_ASSIGN_OR_RETURN(const std::optional<SolveEnd> end, Test());
        if (end.has_value()) {
          Finish();
          return *end;
        }
      }
      if (hooks_.check) TY_RETURN_IF_ERROR(hooks_.check());
      Iterate();
    }
  }

 private:
  void PrepareRows() {
    // The squared loss's gradient at the image z is w (z - y) / N: its difference between the
    // images 1 and 0 is w / N.
    scaled_.assign(roots_.size(), Real{1});
    loss_.Gradient(scaled_.data(), roots_.data());
    scaled_.assign(roots_.size(), Real{0});
    loss_.Gradient(scaled_.data(), image_.data());
    right_side_.resize(roots_.size());
    for (size_t j = 0; j < roots_.size(); ++j) {
      const double weight = static_cast<double>(roots_[j]) - static_cast<double>(image_[j]);
      roots_[j] = static_cast<Real>(std::sqrt(weight));
      right_side_[j] = weight > 0
                           ? static_cast<Real>(-static_cast<double>(image_[j]) / std::sqrt(weight))
                           : Real{0};
    }
  }

  using Array = Eigen::Map<Eigen::Array<Real, Eigen::Dynamic, 1>>;
  static Array View(std::vector<Real>& values) {
    return {values.data(), static_cast<Eigen::Index>(values.size())};
  }
  // Scales to unit norm; returns the norm before.
  static double Normalize(std::vector<Real>& values) {
    const double norm = std::sqrt(View(values).template cast<double>().square().sum());
    if (norm > 0) View(values) *= static_cast<Real>(1 / norm);
    return norm;
  }

  // image_ = A x, rows scaled.
  void Apply(std::vector<Real>& x) {
    products_.Forward(shape_.outputs, x.data(), image_.data());
    View(image_) *= View(roots_);
  }
  // adjoint_ = A^T u.
  void ApplyTransposed(std::vector<Real>& u) {
    scaled_ = u;
    View(scaled_) *= View(roots_);
    products_.Adjoint(shape_.outputs, scaled_.data(), adjoint_.data());
  }

  void Begin() {
    s_.x.assign(adjoint_.size(), Real{0});
    s_.h_bar = s_.x;
    s_.u = right_side_;
    const double beta = Normalize(s_.u);
    ApplyTransposed(s_.u);
    s_.v = adjoint_;
    s_.alpha = Normalize(s_.v);
    s_.alpha_bar = s_.alpha;
    s_.zeta_bar = s_.alpha * beta;
    s_.h = s_.v;
  }

  void Iterate() {
    Apply(s_.v);
    View(s_.u) = View(image_) - static_cast<Real>(s_.alpha) * View(s_.u);
    const double beta = Normalize(s_.u);
    ApplyTransposed(s_.u);
    View(s_.v) = View(adjoint_) - static_cast<Real>(beta) * View(s_.v);
    s_.alpha = Normalize(s_.v);

    const Rotation hat(s_.alpha_bar, std::sqrt(options_.lambda));
    const double old_rho = s_.rho;
    const Rotation first(hat.r, beta);
    s_.rho = first.r;
    const double theta = first.s * s_.alpha;
    s_.alpha_bar = first.c * s_.alpha;

    const double old_rho_bar = s_.rho_bar;
    const double theta_bar = s_.s_bar * s_.rho;
    const Rotation second(s_.c_bar * s_.rho, theta);
    s_.c_bar = second.c;
    s_.s_bar = second.s;
    s_.rho_bar = second.r;
    const double zeta = s_.c_bar * s_.zeta_bar;
    s_.zeta_bar *= -s_.s_bar;

    const double keep = theta_bar * s_.rho / (old_rho * old_rho_bar);
    View(s_.h_bar) = View(s_.h) - static_cast<Real>(keep) * View(s_.h_bar);
    const double size = s_.rho * s_.rho_bar;
    if (size > 0) View(s_.x) += static_cast<Real>(zeta / size) * View(s_.h_bar);
    View(s_.h) = View(s_.v) - static_cast<Real>(s_.rho > 0 ? theta / s_.rho : 0) * View(s_.h);
    ++s_.iterations;
  }

  // Objective, gradient and bound at x, without LSMR's recurrences.
  absl::StatusOr<std::optional<SolveEnd>> Test() {
    const RegularizerKind kind =
        options_.lambda > 0 ? RegularizerKind::kSquaredL2 : RegularizerKind::kNone;
    const auto penalty = MakeRegularizer<Real>(kind, options_.lambda, shape_);
    products_.Forward(shape_.outputs, s_.x.data(), image_.data());
    scaled_.resize(image_.size());
    loss_.Gradient(image_.data(), scaled_.data());
    products_.Adjoint(shape_.outputs, scaled_.data(), adjoint_.data());
    if (hooks_.check) TY_RETURN_IF_ERROR(hooks_.check());
    GatedProgress& progress = state_.progress;
    progress.smooth = loss_.Value(image_.data());
    progress.objective = progress.smooth + penalty->Value(s_.x.data());
    progress.subgradient_norm_squared =
        penalty->SubgradientNormSquared(s_.x.data(), adjoint_.data());
    const std::optional<double> bound =
        DualBound(loss_, kind, options_.lambda, shape_, image_.data(), adjoint_.data());
    progress.bound = std::max(progress.bound, bound.value_or(0));
    progress.relative_gap =
        bound.has_value() ? RelativeGap(progress.objective, progress.bound) : INFINITY;
    progress.iterations = s_.iterations;
    progress.active_blocks = shape_.blocks();
    progress.working_patterns = progress.alive_patterns = shape_.patterns;
    ++progress.certificates;
    if (hooks_.report) hooks_.report(progress);
    if (hooks_.checkpoint) TY_RETURN_IF_ERROR(hooks_.checkpoint());
    return End();
  }

  std::optional<SolveEnd> End() {
    const GatedProgress& progress = state_.progress;
    if (progress.relative_gap <= options_.relative_gap) return SolveEnd::kGap;
    const double squared = progress.subgradient_norm_squared;
    if (squared <= options_.rfista.subgradient_tolerance || squared == 0) {
      return SolveEnd::kSubgradient;
    }
    if (s_.iterations >= options_.rfista.max_iterations) return SolveEnd::kIterations;
    if (options_.time_seconds > 0 && watch_.Seconds() > options_.time_seconds) {
      return SolveEnd::kTime;
    }
    without_progress_ = squared < 0.9 * least_squared_ ? 0 : without_progress_ + 1;
    least_squared_ = std::min(least_squared_, squared);
    if (without_progress_ >= kPatience || s_.alpha == 0) return SolveEnd::kStalled;
    return std::nullopt;
  }

  void Finish() {
    state_.patterns.resize(static_cast<size_t>(shape_.patterns));
    std::iota(state_.patterns.begin(), state_.patterns.end(), int64_t{0});
    state_.weights = s_.x;
    DropZeroPatterns(shape_, state_.patterns, state_.weights);
  }

  PatternOperator<Real>& products_;
  const RowLoss& loss_;
  const GatedOptions& options_;
  LsmrState<Real>& s_;
  GatedState<Real>& state_;
  const GatedHooks& hooks_;
  const WeightShape shape_;
  const Stopwatch watch_;
  std::vector<Real> roots_;       // sqrt(w / N)
  std::vector<Real> right_side_;  // y, likewise scaled
  std::vector<Real> image_;
  std::vector<Real> scaled_;
  std::vector<Real> adjoint_;
  double least_squared_ = INFINITY;
  int without_progress_ = 0;
};

}  // namespace

template <typename Real>
absl::StatusOr<SolveEnd> SolveLeastSquares(PatternOperator<Real>& products, const RowLoss& loss,
                                           const GatedOptions& options, LsmrState<Real>& lsmr,
                                           GatedState<Real>& state, const GatedHooks& hooks) {
  return Lsmr<Real>(products, loss, options, lsmr, state, hooks).Go();
}

template absl::StatusOr<SolveEnd> SolveLeastSquares(PatternOperator<float>&, const RowLoss&,
                                                    const GatedOptions&, LsmrState<float>&,
                                                    GatedState<float>&, const GatedHooks&);
template absl::StatusOr<SolveEnd> SolveLeastSquares(PatternOperator<double>&, const RowLoss&,
                                                    const GatedOptions&, LsmrState<double>&,
                                                    GatedState<double>&, const GatedHooks&);

}  // namespace trainyard::convex_relu
