#include "core/algorithms/convex_relu/row_loss.h"

#include <algorithm>
#include <cmath>

namespace trainyard::convex_relu {
namespace {

// log(1 + exp(z)).
double Softplus(double z) { return z > 0 ? z + std::log1p(std::exp(-z)) : std::log1p(std::exp(z)); }

double Sigmoid(double z) {
  if (z >= 0) return 1 / (1 + std::exp(-z));
  const double e = std::exp(z);
  return e / (1 + e);
}

// p log p, 0 at 0.
double Entropy(double p) { return p > 0 ? p * std::log(p) : 0; }

// One row of a softmax.
template <typename Real>
class SoftmaxRow {
 public:
  SoftmaxRow(const Real* predictions, int64_t rows, int outputs, int64_t row)
      : predictions_(predictions + row), rows_(rows), outputs_(outputs) {
    for (int o = 0; o < outputs; ++o) greatest_ = std::max(greatest_, at(o));
    for (int o = 0; o < outputs; ++o) sum_ += std::exp(at(o) - greatest_);
  }
  double at(int output) const { return static_cast<double>(predictions_[output * rows_]); }
  double LogSum() const { return greatest_ + std::log(sum_); }
  double Probability(int output) const { return std::exp(at(output) - greatest_) / sum_; }
  int outputs() const { return outputs_; }

 private:
  const Real* predictions_;
  int64_t rows_;
  int outputs_;
  double greatest_ = -INFINITY;
  double sum_ = 0;
};

// log(sum_k p_k exp(change_k)) - sum_k p_k change_k, the Bregman distance of the log-sum-exp: of
// terms exp(d) - 1 - d, all of one sign, about the mean change.
template <typename Real>
double SoftmaxDivergence(const SoftmaxRow<Real>& at, const SoftmaxRow<Real>& next) {
  double mean = 0;
  for (int o = 0; o < at.outputs(); ++o) mean += at.Probability(o) * (next.at(o) - at.at(o));
  double excess = 0;
  for (int o = 0; o < at.outputs(); ++o) {
    const double change = next.at(o) - at.at(o) - mean;
    excess += at.Probability(o) * (std::expm1(change) - change);
  }
  return std::isfinite(excess) ? std::log1p(std::max(excess, 0.0))
                               : next.LogSum() - at.LogSum() - mean;
}

}  // namespace

RowLoss::RowLoss(const Targets& targets)
    : targets_(targets),
      outputs_(targets.outputs),
      scale_(1 / static_cast<double>(targets.rows *
                                     (targets.loss == LossKind::kSoftmax ? 1 : targets.outputs))) {}

RowLoss::RowLoss(const Targets& targets, int output) : RowLoss(targets) {
  first_output_ = output;
  outputs_ = 1;
}

template <typename Real>
double RowLoss::Value(const Real* predictions) const {
  double sum = 0;
  const int64_t n = rows();
  if (kind() == LossKind::kSoftmax) {
    for (int64_t j = 0; j < n; ++j) {
      const SoftmaxRow<Real> row(predictions, n, outputs_, j);
      double own = 0;
      for (int o = 0; o < outputs_; ++o) own += targets()[o * n + j] * row.at(o);
      sum += weight(j) * (row.LogSum() - own);
    }
    return scale_ * sum;
  }
  for (int o = 0; o < outputs_; ++o) {
    const double* y = targets() + o * n;
    const Real* z = predictions + o * n;
    for (int64_t j = 0; j < n; ++j) {
      const double prediction = static_cast<double>(z[j]);
      const double error = prediction - y[j];
      sum += weight(j) * (quadratic() ? 0.5 * error * error : Softplus(-y[j] * prediction));
    }
  }
  return scale_ * sum;
}

template <typename Real>
void RowLoss::Gradient(const Real* predictions, Real* gradient) const {
  const int64_t n = rows();
  if (kind() == LossKind::kSoftmax) {
    for (int64_t j = 0; j < n; ++j) {
      const SoftmaxRow<Real> row(predictions, n, outputs_, j);
      const double w = scale_ * weight(j);
      for (int o = 0; o < outputs_; ++o) {
        gradient[o * n + j] = static_cast<Real>(w * (row.Probability(o) - targets()[o * n + j]));
      }
    }
    return;
  }
  for (int o = 0; o < outputs_; ++o) {
    const double* y = targets() + o * n;
    const Real* z = predictions + o * n;
    for (int64_t j = 0; j < n; ++j) {
      const double prediction = static_cast<double>(z[j]);
      const double slope = quadratic() ? prediction - y[j] : -y[j] * Sigmoid(-y[j] * prediction);
      gradient[o * n + j] = static_cast<Real>(scale_ * weight(j) * slope);
    }
  }
}

template <typename Real>
double RowLoss::Divergence(const Real* next, const Real* at) const {
  double sum = 0;
  const int64_t n = rows();
  if (kind() == LossKind::kSoftmax) {
    for (int64_t j = 0; j < n; ++j) {
      sum += weight(j) * SoftmaxDivergence(SoftmaxRow<Real>(at, n, outputs_, j),
                                           SoftmaxRow<Real>(next, n, outputs_, j));
    }
    return scale_ * sum;
  }
  for (int o = 0; o < outputs_; ++o) {
    const double* y = targets() + o * n;
    for (int64_t j = 0; j < n; ++j) {
      const double from = static_cast<double>(at[o * n + j]);
      const double change = static_cast<double>(next[o * n + j]) - from;
      if (quadratic()) {
        sum += weight(j) * 0.5 * change * change;
        continue;
      }
      // log(p + (1 - p) e^d) - (1 - p) d with p the probability of the row's class.
      const double wrong = Sigmoid(-y[j] * from);
      const double d = -y[j] * change;
      const double excess = wrong * (std::expm1((1 - wrong) * d) - (1 - wrong) * d) +
                            (1 - wrong) * (std::expm1(-wrong * d) + wrong * d);
      sum += weight(j) * (std::isfinite(excess)
                              ? std::log1p(std::max(excess, 0.0))
                              : Softplus(d - y[j] * from) - Softplus(-y[j] * from) - wrong * d);
    }
  }
  return scale_ * sum;
}

template <typename Real>
DualPoint RowLoss::DualValue(const Real* predictions, double largest_scale) const {
  if (!quadratic()) {
    const double s = std::clamp(largest_scale, 0.0, 1.0);
    return {DualValueAt(predictions, s), s};
  }
  // The multiple that is best, where it is allowed.
  const auto [linear, squares] = QuadraticSums(predictions);
  const double best =
      squares > 0 ? std::clamp(-linear / squares, -largest_scale, largest_scale) : 0.0;
  return {-scale_ * (best * linear + 0.5 * best * best * squares), best};
}

template <typename Real>
double RowLoss::DualValueAt(const Real* predictions, double s) const {
  if (quadratic()) {
    const auto [linear, squares] = QuadraticSums(predictions);
    return -scale_ * (s * linear + 0.5 * s * s * squares);
  }
  const int64_t n = rows();
  double entropy = 0;
  for (int64_t j = 0; j < n; ++j) {
    double own = 0;
    if (kind() == LossKind::kSoftmax) {
      const SoftmaxRow<Real> row(predictions, n, outputs_, j);
      for (int o = 0; o < outputs_; ++o) {
        const double y = targets()[o * n + j];
        own += Entropy(y + s * (row.Probability(o) - y));
      }
    } else {
      for (int o = 0; o < outputs_; ++o) {
        const double y = targets()[o * n + j];
        const double wrong = s * Sigmoid(-y * static_cast<double>(predictions[o * n + j]));
        own += Entropy(wrong) + Entropy(1 - wrong);
      }
    }
    entropy += weight(j) * own;
  }
  return -scale_ * entropy;
}

// Sums of w e y and w e^2 with e = z - y: with theta = w e / N the dual objective at s theta is
// -(s sum of w e y + s^2/2 sum of w e^2) / N.
template <typename Real>
std::pair<double, double> RowLoss::QuadraticSums(const Real* predictions) const {
  const int64_t n = rows();
  double linear = 0;
  double squares = 0;
  for (int o = 0; o < outputs_; ++o) {
    const double* y = targets() + o * n;
    for (int64_t j = 0; j < n; ++j) {
      const double error = static_cast<double>(predictions[o * n + j]) - y[j];
      linear += weight(j) * error * y[j];
      squares += weight(j) * error * error;
    }
  }
  return {linear, squares};
}

template <typename Real>
void RowLoss::Curvature(const Real* predictions, Real* curvature) const {
  const int64_t n = rows();
  if (kind() == LossKind::kSoftmax) {
    for (int64_t j = 0; j < n; ++j) {
      const SoftmaxRow<Real> row(predictions, n, outputs_, j);
      const double w = scale_ * weight(j);
      for (int o = 0; o < outputs_; ++o) {
        curvature[o * n + j] = static_cast<Real>(w * row.Probability(o));
      }
    }
    return;
  }
  for (int o = 0; o < outputs_; ++o) {
    for (int64_t j = 0; j < n; ++j) {
      const double p = quadratic() ? 0 : Sigmoid(static_cast<double>(predictions[o * n + j]));
      curvature[o * n + j] =
          static_cast<Real>(scale_ * weight(j) * (quadratic() ? 1 : p * (1 - p)));
    }
  }
}

// A softmax row's second derivative is w (diag(p) - p p^T).
template <typename Real>
void RowLoss::CurvatureProduct(const Real* curvature, const Real* direction, Real* product) const {
  const int64_t n = rows();
  if (kind() != LossKind::kSoftmax) {
    for (int64_t i = 0; i < size(); ++i) product[i] = curvature[i] * direction[i];
    return;
  }
  for (int64_t j = 0; j < n; ++j) {
    double sum = 0;
    double total = 0;
    for (int o = 0; o < outputs_; ++o) {
      const double c = static_cast<double>(curvature[o * n + j]);
      sum += c * static_cast<double>(direction[o * n + j]);
      total += c;
    }
    const Real mean = static_cast<Real>(total > 0 ? sum / total : 0);
    for (int o = 0; o < outputs_; ++o) {
      product[o * n + j] = curvature[o * n + j] * (direction[o * n + j] - mean);
    }
  }
}

double RowLoss::Smoothness() const {
  const double greatest = targets_.weights.empty()
                              ? 1.0
                              : *std::max_element(targets_.weights.begin(), targets_.weights.end());
  const double curvature = quadratic() ? 1.0 : kind() == LossKind::kLogistic ? 0.25 : 0.5;
  return scale_ * curvature * greatest;
}

template double RowLoss::Value(const float*) const;
template double RowLoss::Value(const double*) const;
template void RowLoss::Gradient(const float*, float*) const;
template void RowLoss::Gradient(const double*, double*) const;
template double RowLoss::Divergence(const float*, const float*) const;
template double RowLoss::Divergence(const double*, const double*) const;
template void RowLoss::Curvature(const float*, float*) const;
template void RowLoss::Curvature(const double*, double*) const;
template void RowLoss::CurvatureProduct(const float*, const float*, float*) const;
template void RowLoss::CurvatureProduct(const double*, const double*, double*) const;
template DualPoint RowLoss::DualValue(const float*, double) const;
template DualPoint RowLoss::DualValue(const double*, double) const;
template double RowLoss::DualValueAt(const float*, double) const;
template double RowLoss::DualValueAt(const double*, double) const;

}  // namespace trainyard::convex_relu
