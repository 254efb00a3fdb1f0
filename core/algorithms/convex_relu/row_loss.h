// Losses of predictions, as convex functions of all predictions together, and their conjugates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace trainyard::convex_relu {

enum class LossKind {
  kSquared,   // 1/(2N) sum (z - y)^2, N = n c
  kLogistic,  // 1/N sum log(1 + exp(-y z)), N = n c, y = +-1; one output against the rest
  kSoftmax,   // 1/n sum (log sum_o exp z_o - z_y)
};

// What predictions are held against. Arrays are [output][row].
struct Targets {
  LossKind loss = LossKind::kSquared;
  int64_t rows = 0;
  int outputs = 1;
  // Squared: the targets. Logistic: +1 or -1. Softmax: 1 for the row's class, else 0.
  std::vector<double> values;
  // One per row, mean 1; empty for 1.
  std::vector<double> weights;
};

// A point of the dual problem: a multiple of phi'(z).
struct DualPoint {
  double value = 0;
  double scale = 0;  // s
};

// phi(z) of the penalised problems for some of the outputs of a problem. Predictions and residuals
// may be float or double; sums are double. Immutable.
class RowLoss {
 public:
  // All outputs. Keeps `targets`, which must outlive it.
  explicit RowLoss(const Targets& targets);
  // One output of a loss that separates into its outputs (all but softmax), with N of the whole.
  RowLoss(const Targets& targets, int output);

  int64_t rows() const { return targets_.rows; }
  int outputs() const { return outputs_; }
  int64_t size() const { return rows() * outputs_; }
  LossKind kind() const { return targets_.loss; }
  // Whether the loss is quadratic, so that its gradient is affine in the predictions.
  bool quadratic() const { return kind() == LossKind::kSquared; }

  // What a row's own loss is multiplied with: its weight / N.
  double RowScale(int64_t row) const { return scale_ * weight(row); }

  // phi(z).
  template <typename Real>
  double Value(const Real* predictions) const;

  // d phi / d z.
  template <typename Real>
  void Gradient(const Real* predictions, Real* gradient) const;

  // phi(next) - phi(at) - <phi'(at), next - at>, row by row, so that nothing cancels between rows.
  template <typename Real>
  double Divergence(const Real* next, const Real* at) const;

  // The greatest value over |s| <= `largest_scale` of the dual objective -phi*(s theta) at
  // theta = phi'(predictions); for losses other than squared s is `largest_scale`, at most 1. With
  // `largest_scale` = lambda / max_i ||X^T D_i theta|| this is a lower bound of the penalised
  // problem (weak duality).
  template <typename Real>
  DualPoint DualValue(const Real* predictions, double largest_scale) const;

  // -phi*(s theta) for that very 0 <= s <= 1.
  template <typename Real>
  double DualValueAt(const Real* predictions, double s) const;

  // What CurvatureProduct needs of the predictions. For squared and logistic loss this is the whole
  // second derivative, d^2 phi / d z_j^2; for softmax the rows' weights times probabilities.
  template <typename Real>
  void Curvature(const Real* predictions, Real* curvature) const;

  // product = phi''(z) direction, from the Curvature at z. The two may be the same array.
  template <typename Real>
  void CurvatureProduct(const Real* curvature, const Real* direction, Real* product) const;

  // phi' is Lipschitz with this constant.
  double Smoothness() const;

 private:
  template <typename Real>
  std::pair<double, double> QuadraticSums(const Real* predictions) const;
  const double* targets() const { return targets_.values.data() + first_output_ * rows(); }
  double weight(int64_t row) const {
    return targets_.weights.empty() ? 1.0 : targets_.weights[static_cast<size_t>(row)];
  }

  const Targets& targets_;
  int first_output_ = 0;
  int outputs_ = 1;
  double scale_ = 1;  // 1/N
};

}  // namespace trainyard::convex_relu
