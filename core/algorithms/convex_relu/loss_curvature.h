// Second derivatives of losses in the predictions.
#pragma once

#include <Eigen/Core>
#include <cstdint>

#include "core/algorithms/convex_relu/row_loss.h"

namespace trainyard::convex_relu {

// phi''(z), which is one matrix of outputs x outputs for each row j: diag(f_j) - s_j s_j^T, with
// s_j = 0 where the loss separates into its outputs. Of the softmax with probabilities p of a row
// that counts r times, f = r p and s = sqrt(r) p.
class LossCurvature {
 public:
  // Keeps the loss, which must outlive it.
  explicit LossCurvature(const RowLoss& loss);

  // At `predictions`, [output][row].
  void Set(const double* predictions);

  const RowLoss& loss() const { return loss_; }
  bool coupled() const { return loss_.kind() == LossKind::kSoftmax; }
  double first(int output, int64_t row) const { return first_(row, output); }
  // 0 where the loss separates.
  double second(int output, int64_t row) const { return coupled() ? second_(row, output) : 0; }
  // d^2 phi / d z^2 of an output at a row.
  double Diagonal(int output, int64_t row) const;

  // values = phi'' values for the rows from `begin` on; `values` are those rows x outputs.
  void Multiply(int64_t begin, Eigen::MatrixXd& values) const;

 private:
  const RowLoss& loss_;
  Eigen::MatrixXd first_;          // rows x outputs
  Eigen::MatrixXd second_;         // the same; empty where the loss separates
  Eigen::MatrixXd probabilities_;  // the same
};

}  // namespace trainyard::convex_relu
