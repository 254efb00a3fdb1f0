// Proximal gradient steps of C-ReLU, one block after the other.
#pragma once

#include <Eigen/Core>
#include <functional>

#include "absl/status/status.h"
#include "core/algorithms/convex_relu/cone_blocks.h"
#include "core/algorithms/convex_relu/row_loss.h"

namespace trainyard::convex_relu {

// Lowers phi(z) + lambda sum ||u_b|| over blocks u_b of K_b. Blocks stay in their cones; steps are
// as long as the loss along the block allows.
class BlockDescent {
 public:
  BlockDescent(BlockProducts& products, const RowLoss& loss, double lambda);

  // One step of every block; `predictions`, [output][row], are the point's and follow it. Errors
  // are those of `check`, asked before each block.
  absl::Status Sweep(const std::function<absl::Status()>& check, ConeWeights& point,
                     Eigen::VectorXd& predictions);

 private:
  void Step(size_t index, ConeWeights& point, Eigen::VectorXd& predictions);
  double FirstCurvature(int64_t pattern);
  void Shrink(double threshold);

  BlockProducts& products_;
  const RowLoss& loss_;
  const double lambda_;
  ConeProjector projector_;
  Eigen::VectorXd slopes_;
  Eigen::VectorXd gradient_;
  Eigen::VectorXd trial_;
  Eigen::VectorXd change_;   // of predictions
  Eigen::VectorXd shifted_;  // predictions after it
  bool slopes_known_ = false;
};

}  // namespace trainyard::convex_relu
