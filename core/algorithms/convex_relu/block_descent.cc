#include "core/algorithms/convex_relu/block_descent.h"

#include <algorithm>

#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

// Changes of predictions below this share say nothing about the curvature.
constexpr double kRounding = 1e-13;
constexpr int kMaxTrials = 60;

}  // namespace

BlockDescent::BlockDescent(BlockProducts& products, const RowLoss& loss, double lambda)
    : products_(products),
      loss_(loss),
      lambda_(lambda),
      projector_(products.rows()),
      slopes_(loss.size()),
      gradient_(products.rows().stride()),
      trial_(products.rows().stride()),
      change_(products.rows().rows()),
      shifted_(loss.size()) {}

absl::Status BlockDescent::Sweep(const std::function<absl::Status()>& check, ConeWeights& point,
                                 Eigen::VectorXd& predictions) {
  slopes_known_ = false;
  for (size_t b = 0; b < point.blocks.size(); ++b) {
    if (check) TY_RETURN_IF_ERROR(check());
    Step(b, point, predictions);
  }
  return absl::OkStatus();
}

void BlockDescent::Step(size_t index, ConeWeights& point, Eigen::VectorXd& predictions) {
  const auto [pattern, sign, output] = point.blocks[index];
  const int64_t first = output * loss_.rows();  // of the output's rows
  if (!slopes_known_) loss_.Gradient(predictions.data(), slopes_.data());
  slopes_known_ = true;
  products_.Adjoint(pattern, slopes_.data() + first, gradient_.data());
  gradient_ *= sign;
  if (point.IsZero(index) && gradient_.norm() <= lambda_) return;

  Eigen::Map<Eigen::VectorXd> block(point.block(index), point.stride);
  double& curvature = point.curvature[index];
  if (curvature == 0) curvature = FirstCurvature(pattern);
  if (curvature == 0) return;
  const ActiveRows before = point.active[index];
  for (int trial = 0; trial < kMaxTrials; ++trial) {
    trial_ = block - gradient_ / curvature;
    projector_.Project(products_.patterns().pattern(pattern), trial_.data(), point.active[index],
                       trial_.data());
    Shrink(lambda_ / curvature);
    const Eigen::VectorXd moved = trial_ - block;
    const double squares = moved.squaredNorm();
    if (squares == 0) return;
    products_.Forward(pattern, moved.data(), change_.data());
    shifted_ = predictions;
    shifted_.segment(first, loss_.rows()) += sign * change_;
    const double divergence = loss_.Divergence(shifted_.data(), predictions.data());
    const bool small = change_.norm() <= kRounding * shifted_.norm();
    if (small || 2 * divergence <= curvature * squares) {
      if (!small && 4 * divergence < curvature * squares) curvature *= 0.8;
      block = trial_;
      predictions = shifted_;
      slopes_known_ = false;
      return;
    }
    curvature = std::max(2 * curvature, 2 * divergence / squares);
  }
  point.active[index] = before;
}

// Of the loss along the gradient, at most.
double BlockDescent::FirstCurvature(int64_t pattern) {
  const double squares = gradient_.squaredNorm();
  if (squares == 0) return 0;
  products_.Forward(pattern, gradient_.data(), change_.data());
  return change_.squaredNorm() / squares * loss_.Smoothness();
}

void BlockDescent::Shrink(double threshold) {
  const double norm = trial_.norm();
  trial_ *= norm > threshold ? 1 - threshold / norm : 0.0;
}

}  // namespace trainyard::convex_relu
