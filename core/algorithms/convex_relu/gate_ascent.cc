#include "core/algorithms/convex_relu/gate_ascent.h"

#include <algorithm>
#include <atomic>
#include <functional>

#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

// Points that share products, and rows whose products are in the cache together.
constexpr size_t kPointsOfBatch = 32;
constexpr int64_t kRowsOfChunk = 256;
constexpr double kLeastStep = 1e-4;

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Rows = Eigen::Map<const RowMajor, Eigen::Aligned64, Eigen::OuterStride<>>;

}  // namespace

// Points with their gradients, one a column.
struct GateAscent::Batch {
  Batch(std::span<AscentPoint> given, int stride)
      : points(given),
        gates(stride, given.size()),
        gradients(stride, given.size()),
        products(kRowsOfChunk, given.size()),
        values(given.size()) {
    for (size_t b = 0; b < given.size(); ++b) {
      gates.col(static_cast<int64_t>(b)) =
          Eigen::Map<const Eigen::VectorXd>(given[b].gate.data(), stride);
    }
  }

  int64_t size() const { return static_cast<int64_t>(points.size()); }
  AscentPoint& point(int64_t b) { return points[static_cast<size_t>(b)]; }
  // Takes gate b for its point, with that value.
  void Keep(int64_t b, double value) {
    point(b).value = value;
    Eigen::Map<Eigen::VectorXd>(point(b).gate.data(), gates.rows()) = gates.col(b);
  }
  // Gate b becomes the direction of its gradient; false where that is zero.
  bool StepToGradient(int64_t b) {
    const double norm = gradients.col(b).norm();
    if (norm == 0) return false;
    gates.col(b) = gradients.col(b) / norm;
    return true;
  }

  std::span<AscentPoint> points;
  Eigen::MatrixXd gates;      // stride x points
  Eigen::MatrixXd gradients;  // likewise: -sign X^T D_u theta
  Eigen::MatrixXd products;   // of a chunk of rows
  Eigen::VectorXd values;
};

absl::Status GateAscent::ForBatches(std::span<AscentPoint> points, const WorkCheck& check,
                                    const std::function<absl::Status(Batch&)>& task) const {
  const size_t batches = (points.size() + kPointsOfBatch - 1) / kPointsOfBatch;
  std::vector<Batch> all;  // threads of the pool must not run out of memory
  all.reserve(batches);
  for (size_t i = 0; i < batches; ++i) {
    const size_t begin = i * kPointsOfBatch;
    all.emplace_back(points.subspan(begin, std::min(kPointsOfBatch, points.size() - begin)),
                     data_.stride());
  }
  std::atomic<bool> stopped = false;
  pool_.Run(static_cast<int64_t>(batches), [&](int64_t index, int) {
    if (stopped.load(std::memory_order_relaxed)) return;
    if (!task(all[static_cast<size_t>(index)]).ok()) stopped = true;
  });
  return stopped && check ? check() : absl::OkStatus();
}

// Gradients and values at the batch's gates.
absl::Status GateAscent::Pass(Batch& batch, const WorkCheck& check) const {
  batch.gradients.setZero();
  batch.values.setZero();
  for (int64_t begin = 0; begin < data_.rows(); begin += kRowsOfChunk) {
    if (check) TY_RETURN_IF_ERROR(check());
    const int64_t count = std::min(kRowsOfChunk, data_.rows() - begin);
    const Rows x(data_.row(begin), count, data_.stride(), Eigen::OuterStride<>(data_.stride()));
    auto products = batch.products.topRows(count);
    products.noalias() = x * batch.gates;
    for (int64_t b = 0; b < batch.size(); ++b) {
      const AscentPoint& point = batch.point(b);
      const double* theta = slopes_ + point.output * data_.rows() + begin;
      double value = 0;
      for (int64_t j = 0; j < count; ++j) {
        const double product = products(j, b);
        const double weight = product > 0 ? -point.sign * theta[j] : 0;
        value += weight * product;
        products(j, b) = weight;
      }
      batch.values[b] += value;
    }
    batch.gradients.noalias() += x.transpose() * products;
  }
  if (kind_ == AscentKind::kGated) batch.values = batch.gradients.colwise().norm();
  return absl::OkStatus();
}

absl::Status GateAscent::Evaluate(bool step, std::span<AscentPoint> points,
                                  const WorkCheck& check) const {
  return ForBatches(points, check, [&](Batch& batch) -> absl::Status {
    if (step) {
      TY_RETURN_IF_ERROR(Pass(batch, check));
      for (int64_t b = 0; b < batch.size(); ++b) batch.StepToGradient(b);
    }
    TY_RETURN_IF_ERROR(Pass(batch, check));
    for (int64_t b = 0; b < batch.size(); ++b) batch.Keep(b, batch.values[b]);
    return absl::OkStatus();
  });
}

absl::Status GateAscent::Climb(int iterations, std::span<AscentPoint> points,
                               const WorkCheck& check) const {
  return ForBatches(points, check, [&](Batch& batch) {
    return kind_ == AscentKind::kRelu ? ClimbRelu(iterations, batch, check)
                                      : ClimbGated(iterations, batch, check);
  });
}

absl::Status GateAscent::ClimbRelu(int iterations, Batch& batch, const WorkCheck& check) const {
  TY_RETURN_IF_ERROR(Pass(batch, check));
  for (int64_t b = 0; b < batch.size(); ++b) batch.Keep(b, batch.values[b]);
  Eigen::MatrixXd directions = batch.gradients;  // at the points that are kept
  std::vector<double> steps;
  for (const AscentPoint& point : batch.points) steps.push_back(point.step);
  for (int i = 1; i < iterations; ++i) {
    bool moving = false;
    for (int64_t b = 0; b < batch.size(); ++b) {
      const double step = steps[static_cast<size_t>(b)];
      const double norm = directions.col(b).norm();
      if (norm == 0 || step < kLeastStep) continue;
      moving = true;
      const Eigen::Map<const Eigen::VectorXd> from(batch.point(b).gate.data(), data_.stride());
      batch.gates.col(b) = (from + directions.col(b) * (step / norm)).normalized();
    }
    if (!moving) break;
    TY_RETURN_IF_ERROR(Pass(batch, check));
    for (int64_t b = 0; b < batch.size(); ++b) {
      double& step = steps[static_cast<size_t>(b)];
      if (batch.values[b] > batch.point(b).value) {
        batch.Keep(b, batch.values[b]);
        directions.col(b) = batch.gradients.col(b);
        step *= 2;
      } else {
        step /= 4;
      }
    }
  }
  return absl::OkStatus();
}

absl::Status GateAscent::ClimbGated(int iterations, Batch& batch, const WorkCheck& check) const {
  for (int64_t b = 0; b < batch.size(); ++b) batch.point(b).value = -1;
  for (int i = 0; i < iterations; ++i) {
    TY_RETURN_IF_ERROR(Pass(batch, check));
    bool moving = false;
    for (int64_t b = 0; b < batch.size(); ++b) {
      if (batch.values[b] > batch.point(b).value) {
        batch.Keep(b, batch.values[b]);
        moving = true;
      }
      batch.StepToGradient(b);
    }
    if (!moving) break;
  }
  return absl::OkStatus();
}

}  // namespace trainyard::convex_relu
