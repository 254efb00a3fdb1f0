// The two-layer network itself: objective and gradient of its weights.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/gate_mask.h"
#include "core/algorithms/convex_relu/padded_matrix.h"

namespace trainyard::convex_relu {

// Losses of predictions z and targets y, w_j the rows' weights (mean 1), n rows, c outputs:
//   kSquared   1/(2 n c) sum_j w_j sum_o (z_jo - y_jo)^2
//   kLogistic  1/(n c) sum_j w_j sum_o log(1 + exp(-y_jo z_jo)), y -1 or 1
//   kSoftmax   1/n sum_j w_j (log sum_o exp z_jo - sum_o y_jo z_jo), rows of y sum to 1
enum class NetworkLoss { kSquared, kLogistic, kSoftmax };

// What a network is trained on; views that outlive it.
struct NetworkData {
  const PaddedMatrix<float>* features = nullptr;  // n x d, the column of ones included
  int outputs = 1;                                // c
  std::span<const float> targets;                 // [output][row]
  std::span<const float> row_weights;             // empty: all 1
  NetworkLoss loss = NetworkLoss::kSquared;
};

// Errors of shape and value that the data has, INVALID_ARGUMENT.
absl::Status CheckNetworkData(const NetworkData& data);

// z = phi(X first^T) second^T. Padding is zero.
template <typename Real>
struct NetworkWeights {
  NetworkWeights() = default;
  NetworkWeights(int64_t neurons, int features, int outputs)
      : first(neurons, features), second(outputs, static_cast<int>(neurons)) {}

  PaddedMatrix<Real> first;   // m x d
  PaddedMatrix<Real> second;  // c x m

  void CopyFrom(const NetworkWeights& other);
};

// ||first||^2 + ||second||^2.
template <typename Real>
double SquaredNorm(const NetworkWeights<Real>& weights);

// Forward and backward passes of one network. Scratch memory is independent of n. Not thread-safe.
template <typename Real>
class NetworkPass {
 public:
  // `mask` null: phi is the ReLU. Otherwise neuron k is open on the rows on which gate k is. Both
  // outlive the pass. m = `neurons` >= 1.
  NetworkPass(const NetworkData& data, const GateMask* mask, int64_t neurons);

  // The loss's mean over `rows` (with 1/|rows| in place of 1/n), summed in double. What is not
  // finite in the weights may make it so.
  absl::StatusOr<double> Loss(const NetworkWeights<Real>& weights, std::span<const int64_t> rows,
                              const WorkCheck& check);

  // Also writes its gradient.
  absl::StatusOr<double> LossAndGradient(const NetworkWeights<Real>& weights,
                                         std::span<const int64_t> rows,
                                         NetworkWeights<Real>& gradient, const WorkCheck& check);

  // The predictions of `rows`, [row in the order given][output].
  absl::Status Predict(const NetworkWeights<Real>& weights, std::span<const int64_t> rows,
                       std::span<Real> predictions, const WorkCheck& check);

 private:
  void Gather(std::span<const int64_t> rows);
  absl::Status Forward(const NetworkWeights<Real>& weights, std::span<const int64_t> rows,
                       const WorkCheck& check);
  absl::Status Backward(const NetworkWeights<Real>& weights, std::span<const int64_t> rows,
                        NetworkWeights<Real>& gradient, const WorkCheck& check);
  // Turns predictions into derivatives; `scale` is 1 / (number of terms in the mean).
  double Residuals(std::span<const int64_t> rows, double scale);
  double RowLoss(int64_t row, Real* values) const;
  // 1 / |rows| or 1 / (|rows| c).
  double Scale(std::span<const int64_t> rows) const;

  const NetworkData data_;
  const GateMask* const mask_;
  const int64_t neurons_;
  const int64_t chunk_;             // rows at once
  const int64_t block_;             // neurons at once, a multiple of 8
  PaddedMatrix<Real> x_;            // chunk x d
  PaddedMatrix<Real> activations_;  // chunk x m
  PaddedMatrix<Real> slopes_;       // chunk x block
  PaddedMatrix<Real> values_;       // chunk x c: predictions, then derivatives
};

}  // namespace trainyard::convex_relu
