#include "core/algorithms/convex_relu/support_newton.h"

#include <algorithm>
#include <cmath>

#include "core/base/random.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

constexpr int kLanes = 8;  // strides are multiples of it
// The preconditioner's share of the mean diagonal entry: most eigenvalues are smaller.
constexpr double kDiagonalShare = 0.3;
// Bounds of what a system leaves of the slope.
constexpr double kLeastForcing = 1e-3;
constexpr double kMostForcing = 0.1;
// A selection is made where it leaves out more than this share of the patterns.
constexpr double kSelectBelow = 0.75;
// Damping grows after steps of which less than this share was taken.
constexpr double kGoodShare = 0.5;
constexpr double kFirstDamping = 0.1;
constexpr double kLeastDamping = 0.01;
constexpr double kDampingFactor = 10;
// There is no damping after a step that lowered the objective as the quadratic model says, by half
// of the slope, up to this share of the slope.
constexpr double kModelError = 0.2;
constexpr double kArmijo = 1e-4;
constexpr int kMaxHalvings = 6;

// Sums in double precision in an order of their own: Eigen's depends on addresses.
template <typename Real>
double Dot(const Real* a, const Real* b, int64_t size) {
  double sums[kLanes] = {};
  for (int64_t i = 0; i < size; i += kLanes) {
    for (int k = 0; k < kLanes; ++k) {
      sums[k] += static_cast<double>(a[i + k]) * static_cast<double>(b[i + k]);
    }
  }
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

template <typename Real>
double Norm(const Real* a, int64_t size) {
  return std::sqrt(Dot(a, a, size));
}

// The norm of gradient + factor x.
template <typename Real>
double NormOfSum(const Real* gradient, double factor, const Real* x, int64_t size) {
  double sum = 0;
  for (int64_t i = 0; i < size; ++i) {
    const double value = static_cast<double>(gradient[i]) + factor * static_cast<double>(x[i]);
    sum += value * value;
  }
  return std::sqrt(sum);
}

}  // namespace

template <typename Real>
SupportNewton<Real>::SupportNewton(PatternOperator<Real>& products, const RowLoss& loss,
                                   double lambda, double damping)
    : all_(products),
      loss_(loss),
      lambda_(lambda),
      shape_{loss.outputs(), products.patterns(), products.features(), products.stride()},
      curvature_(static_cast<size_t>(loss.size())),
      rows_(curvature_.size()),
      shifted_(curvature_.size()),
      damping_(damping) {}

template <typename Real>
typename SupportNewton<Real>::Residuals SupportNewton<Real>::Measure(const Real* x,
                                                                     const Real* gradient) const {
  Residuals residuals;
  for (int64_t b = 0; b < shape_.blocks(); ++b) {
    const Real* const slope = gradient + b * shape_.stride;
    const double norm = Norm(x + b * shape_.stride, shape_.stride);
    if (norm == 0) {
      residuals.zero = std::max(residuals.zero, Norm(slope, shape_.stride) - lambda_);
    } else {
      residuals.support =
          std::max(residuals.support,
                   NormOfSum(slope, lambda_ / norm, x + b * shape_.stride, shape_.stride));
    }
  }
  return residuals;
}

// The blocks that are not zero with their slopes. False where there is none.
template <typename Real>
bool SupportNewton<Real>::Gather(const Real* x, const Real* gradient) {
  const int64_t stride = shape_.stride;
  std::vector<double> norms(static_cast<size_t>(shape_.blocks()));
  std::vector<int64_t> patterns;
  for (int64_t i = 0; i < shape_.patterns; ++i) {
    bool used = false;
    for (int64_t b = i; b < shape_.blocks(); b += shape_.patterns) {
      norms[static_cast<size_t>(b)] = Norm(x + b * stride, stride);
      used = used || norms[static_cast<size_t>(b)] > 0;
    }
    if (used) patterns.push_back(i);
  }
  const double kept = static_cast<double>(patterns.size());
  if (kept >= kSelectBelow * static_cast<double>(shape_.patterns)) {
    patterns.clear();
    for (int64_t i = 0; i < shape_.patterns; ++i) patterns.push_back(i);
    selection_.reset();
  } else if (patterns != patterns_ && !patterns.empty()) {
    selection_ = all_.Select(patterns);
  }
  patterns_ = std::move(patterns);

  const int64_t count = static_cast<int64_t>(patterns_.size());
  const size_t size = static_cast<size_t>(shape_.outputs * count * stride);
  for (std::vector<Real>* each :
       {&point_, &slope_, &residual_, &scaled_, &direction_, &curved_, &solution_, &move_}) {
    each->assign(size, Real{0});
  }
  blocks_.clear();
  for (int64_t o = 0; o < shape_.outputs; ++o) {
    for (int64_t k = 0; k < count; ++k) {
      const int64_t b = o * shape_.patterns + patterns_[static_cast<size_t>(k)];
      const double norm = norms[static_cast<size_t>(b)];
      if (norm == 0) continue;
      const Block block = {b * stride, (o * count + k) * stride, norm, lambda_ / norm};
      for (int64_t i = 0; i < stride; ++i) {
        const Real value = x[block.from + i];
        point_[static_cast<size_t>(block.at + i)] = value;
        slope_[static_cast<size_t>(block.at + i)] =
            static_cast<Real>(static_cast<double>(gradient[block.from + i]) +
                              block.curvature * static_cast<double>(value));
      }
      blocks_.push_back(block);
    }
  }
  return !blocks_.empty();
}

// The mean diagonal entry of A^T phi'' A from E||A_i^T s||^2 over random signs of the roots of the
// curvature.
template <typename Real>
absl::Status SupportNewton<Real>::EstimateDiagonal(const std::function<absl::Status()>& check) {
  Rng rng(1);
  const int64_t n = loss_.rows();
  for (int64_t i = 0; i < loss_.size(); ++i) {
    double curvature = static_cast<double>(curvature_[static_cast<size_t>(i)]);
    if (loss_.kind() == LossKind::kSoftmax) {
      double total = 0;
      for (int64_t o = 0; o < shape_.outputs; ++o) {
        total += static_cast<double>(curvature_[static_cast<size_t>(o * n + i % n)]);
      }
      curvature *= total > 0 ? 1 - curvature / total : 0;
    }
    const double root = std::sqrt(std::max(curvature, 0.0));
    rows_[static_cast<size_t>(i)] = static_cast<Real>((rng.NextUint64() >> 63) != 0 ? root : -root);
  }
  products().Adjoint(shape_.outputs, rows_.data(), curved_.data());
  if (check) TY_RETURN_IF_ERROR(check());
  double sum = 0;
  double least_curvature = INFINITY;
  for (const Block& block : blocks_) {
    sum += Dot(curved_.data() + block.at, curved_.data() + block.at, shape_.stride);
    least_curvature = std::min(least_curvature, block.curvature);
  }
  const double mean = sum / (static_cast<double>(blocks_.size()) * shape_.features);
  tau_ = mean > 0 ? kDiagonalShare * mean : least_curvature;
  return absl::OkStatus();
}

// curved = (A^T phi'' A + C) direction.
template <typename Real>
absl::Status SupportNewton<Real>::MultiplyHessian(const std::function<absl::Status()>& check) {
  products().Forward(shape_.outputs, direction_.data(), rows_.data());
  if (check) TY_RETURN_IF_ERROR(check());
  loss_.CurvatureProduct(curvature_.data(), rows_.data(), rows_.data());
  products().Adjoint(shape_.outputs, rows_.data(), curved_.data());
  if (check) TY_RETURN_IF_ERROR(check());
  for (const Block& block : blocks_) {
    const Real* const point = point_.data() + block.at;
    const Real* const direction = direction_.data() + block.at;
    Real* const curved = curved_.data() + block.at;
    const Real own = static_cast<Real>(block.curvature);
    const Real along =
        static_cast<Real>((1 - damping_) * block.curvature * Dot(point, direction, shape_.stride) /
                          (block.norm * block.norm));
    for (int64_t i = 0; i < shape_.stride; ++i) curved[i] += own * direction[i] - along * point[i];
  }
  return absl::OkStatus();
}

// scaled = (C + tau I)^-1 residual; returns their product.
template <typename Real>
double SupportNewton<Real>::Precondition() {
  double sum = 0;
  for (const Block& block : blocks_) {
    const Real* const point = point_.data() + block.at;
    const Real* const residual = residual_.data() + block.at;
    Real* const scaled = scaled_.data() + block.at;
    const double across = 1 / (block.curvature + tau_);
    const double along = (1 / (damping_ * block.curvature + tau_) - across) *
                         Dot(point, residual, shape_.stride) / (block.norm * block.norm);
    for (int64_t i = 0; i < shape_.stride; ++i) {
      scaled[i] = static_cast<Real>(across) * residual[i] + static_cast<Real>(along) * point[i];
    }
    sum += Dot(residual, scaled, shape_.stride);
  }
  return sum;
}

template <typename Real>
absl::Status SupportNewton<Real>::SolveSystem(const std::function<absl::Status()>& check,
                                              const NewtonLimits& limits, NewtonStep& step) {
  const auto longest = [&] {
    double greatest = 0;
    for (const Block& block : blocks_) {
      greatest = std::max(greatest, Norm(residual_.data() + block.at, shape_.stride));
    }
    return greatest;
  };
  for (size_t i = 0; i < residual_.size(); ++i) residual_[i] = -slope_[i];
  const double begin = longest();
  const double forcing = last_left_ < 0 ? kMostForcing
                                        : std::clamp(std::abs(begin - last_left_) / last_slope_,
                                                     kLeastForcing, kMostForcing);
  const double target = std::max(forcing * begin, limits.target);
  double left = begin;
  double product = Precondition();
  direction_ = scaled_;
  for (int64_t i = 0; i < limits.max_products && left > target; ++i) {
    TY_RETURN_IF_ERROR(MultiplyHessian(check));
    ++step.products;
    double curved = 0;
    for (const Block& block : blocks_) {
      curved += Dot(direction_.data() + block.at, curved_.data() + block.at, shape_.stride);
    }
    if (!(curved > 0) || !(product > 0)) break;
    const Real share = static_cast<Real>(product / curved);
    for (size_t k = 0; k < solution_.size(); ++k) solution_[k] += share * direction_[k];
    for (const Block& block : blocks_) {  // the padding and zero blocks stay zero
      Real* const residual = residual_.data() + block.at;
      const Real* const change = curved_.data() + block.at;
      for (int64_t k = 0; k < shape_.stride; ++k) residual[k] -= share * change[k];
    }
    left = longest();
    const double next = Precondition();
    const Real beta = static_cast<Real>(next / product);
    product = next;
    for (size_t k = 0; k < direction_.size(); ++k)
      direction_[k] = scaled_[k] + beta * direction_[k];
  }
  last_slope_ = begin;
  last_left_ = left;
  return absl::OkStatus();
}

// move = share of the solution, or to zero where that passes it; returns the slope along it.
template <typename Real>
double SupportNewton<Real>::PlaceMove(double share) {
  double slope = 0;
  for (const Block& block : blocks_) {
    const Real* const point = point_.data() + block.at;
    const Real* const solution = solution_.data() + block.at;
    Real* const move = move_.data() + block.at;
    const double along = share * Dot(point, solution, shape_.stride);
    const bool vanishes = along <= -block.norm * block.norm;
    for (int64_t i = 0; i < shape_.stride; ++i) {
      move[i] = vanishes ? -point[i] : static_cast<Real>(share) * solution[i];
    }
    slope += Dot(slope_.data() + block.at, move, shape_.stride);
  }
  return slope;
}

// sum of ||u + m|| - ||u|| - m.u/||u||, without cancellation.
template <typename Real>
double SupportNewton<Real>::Excess() const {
  double sum = 0;
  for (const Block& block : blocks_) {
    const Real* const point = point_.data() + block.at;
    const Real* const move = move_.data() + block.at;
    const double along = Dot(point, move, shape_.stride) / block.norm;
    const double next = NormOfSum(move, 1, point, shape_.stride);
    const double across = std::max(Dot(move, move, shape_.stride) - along * along, 0.0);
    sum += along > -0.5 * block.norm ? across / (next + block.norm + along)
                                     : next - block.norm - along;
  }
  return sum;
}

template <typename Real>
absl::Status SupportNewton<Real>::Search(const std::function<absl::Status()>& check,
                                         std::vector<Real>& x, std::vector<Real>& image,
                                         NewtonStep& step) {
  double share = 1;
  for (int trial = 0; trial <= kMaxHalvings; ++trial, share *= 0.5) {
    const double slope = PlaceMove(share);
    if (!(slope < 0)) continue;
    products().Forward(shape_.outputs, move_.data(), rows_.data());
    if (check) TY_RETURN_IF_ERROR(check());
    for (size_t j = 0; j < image.size(); ++j) shifted_[j] = image[j] + rows_[j];
    const double change =
        slope + loss_.Divergence(shifted_.data(), image.data()) + lambda_ * Excess();
    if (!(change <= kArmijo * slope)) continue;
    image.swap(shifted_);
    for (const Block& block : blocks_) {
      for (int64_t i = 0; i < shape_.stride; ++i) {
        x[static_cast<size_t>(block.from + i)] += move_[static_cast<size_t>(block.at + i)];
      }
    }
    step.lower = true;
    Adapt(share, change / slope);
    return absl::OkStatus();
  }
  Adapt(0, 0);
  return absl::OkStatus();
}

// The damping of the next step from the share of this one that was taken, and what it lowered the
// objective by over the slope along it.
template <typename Real>
void SupportNewton<Real>::Adapt(double share, double ratio) {
  if (share == 1) {
    const bool exact = std::abs(ratio - 0.5) <= kModelError;
    damping_ = exact ? 0 : std::min(damping_, std::max(damping_ / kDampingFactor, kLeastDamping));
  } else if (share < kGoodShare) {
    damping_ = std::clamp(kDampingFactor * damping_, kFirstDamping, 1.0);
  }
  if (share != 1) last_left_ = -1;
}

template <typename Real>
absl::StatusOr<NewtonStep> SupportNewton<Real>::Step(const std::function<absl::Status()>& check,
                                                     const NewtonLimits& limits,
                                                     const Real* gradient, std::vector<Real>& x,
                                                     std::vector<Real>& image) {
  NewtonStep step;
  if (!Gather(x.data(), gradient)) return step;
  loss_.Curvature(image.data(), curvature_.data());
  TY_RETURN_IF_ERROR(EstimateDiagonal(check));
  TY_RETURN_IF_ERROR(SolveSystem(check, limits, step));
  TY_RETURN_IF_ERROR(Search(check, x, image, step));
  ++step.products;  // the estimate's and the search's
  return step;
}

template class SupportNewton<float>;
template class SupportNewton<double>;

}  // namespace trainyard::convex_relu
