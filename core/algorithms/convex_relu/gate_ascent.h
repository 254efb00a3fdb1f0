// Steps uphill of many gates at once, in products of matrices.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "core/algorithms/convex_relu/gate_mask.h"
#include "core/algorithms/convex_relu/padded_matrix.h"
#include "core/base/thread_pool.h"

namespace trainyard::convex_relu {

// What is climbed, at theta = `slopes` of one output.
enum class AscentKind {
  kRelu,   // h(u) = -sign theta^T (X u)_+ of unit vectors u: the dual constraint of a neuron
  kGated,  // ||X^T D_u theta||: that of a gate
};

// A gate on its way.
struct AscentPoint {
  int output = 0;
  int sign = 1;              // 1 or -1; of no meaning for gated networks
  std::vector<double> gate;  // as long as the data's stride, norm 1
  // Of a ReLU network's first step, in units of the gradient's direction: a long one is a step of
  // the power method, which comes high at once; a short one stays near where it began.
  double step = kLongStep;
  double value = 0;  // at the gate

  static constexpr double kLongStep = 16;
  static constexpr double kShortStep = 0.1;
};

// The functions of one data set at slopes [output][row]; all arguments must outlive it.
class GateAscent {
 public:
  GateAscent(const PaddedMatrix<double>& data, const double* slopes, AscentKind kind,
             ThreadPool& pool)
      : data_(data), slopes_(slopes), kind_(kind), pool_(pool) {}

  // Sets the points' values. With `step` each gate first becomes the direction of its gradient
  // -sign X^T D_u theta, where that is not zero: a step of the power method. Errors are those of
  // `check`, which several threads ask; results do not depend on their number. Costs 4 n d
  // operations for each value.
  absl::Status Evaluate(bool step, std::span<AscentPoint> points, const WorkCheck& check) const;

  // Climbs from each point, by at most `iterations` values: ReLU networks along the gradient with
  // steps that adapt, never downhill; gated networks by the power method, and the best gate on the
  // way is kept.
  absl::Status Climb(int iterations, std::span<AscentPoint> points, const WorkCheck& check) const;

 private:
  struct Batch;

  absl::Status ForBatches(std::span<AscentPoint> points, const WorkCheck& check,
                          const std::function<absl::Status(Batch&)>& task) const;
  absl::Status Pass(Batch& batch, const WorkCheck& check) const;
  absl::Status ClimbRelu(int iterations, Batch& batch, const WorkCheck& check) const;
  absl::Status ClimbGated(int iterations, Batch& batch, const WorkCheck& check) const;

  const PaddedMatrix<double>& data_;
  const double* slopes_;
  const AscentKind kind_;
  ThreadPool& pool_;
};

}  // namespace trainyard::convex_relu
