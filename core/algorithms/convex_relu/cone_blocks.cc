#include "core/algorithms/convex_relu/cone_blocks.h"

#include <algorithm>
#include <iterator>

namespace trainyard::convex_relu {
namespace {

constexpr int64_t kRowsOfPart = 2048;

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstVector = Eigen::Map<const Eigen::VectorXd>;

}  // namespace

bool ConeWeights::IsZero(size_t index) const {
  return std::all_of(block(index), block(index) + stride, [](double w) { return w == 0; });
}

double ConeWeights::Norm(size_t index) const { return ConstVector(block(index), stride).norm(); }

double ConeWeights::SumOfNorms() const {
  double sum = 0;
  for (size_t b = 0; b < blocks.size(); ++b) sum += Norm(b);
  return sum;
}

int64_t ConeWeights::ActiveBlocks() const {
  int64_t count = 0;
  for (size_t b = 0; b < blocks.size(); ++b) count += IsZero(b) ? 0 : 1;
  return count;
}

void ConeWeights::Add(std::vector<ConeBlock> added) {
  std::sort(added.begin(), added.end());
  ConeWeights all;
  all.stride = stride;
  std::set_union(blocks.begin(), blocks.end(), added.begin(), added.end(),
                 std::back_inserter(all.blocks));
  all.weights.assign(all.blocks.size() * static_cast<size_t>(stride), 0.0);
  all.active.resize(all.blocks.size());
  all.curvature.assign(all.blocks.size(), 0.0);
  size_t to = 0;
  for (size_t b = 0; b < blocks.size(); ++b) {
    while (!(all.blocks[to] == blocks[b])) ++to;
    std::copy_n(block(b), stride, all.block(to));
    all.active[to] = std::move(active[b]);
    all.curvature[to] = curvature[b];
  }
  *this = std::move(all);
}

void ConeWeights::DropZeros() {
  size_t to = 0;
  for (size_t b = 0; b < blocks.size(); ++b) {
    if (IsZero(b)) continue;
    if (to != b) {
      blocks[to] = blocks[b];
      std::copy_n(block(b), stride, block(to));
      active[to] = std::move(active[b]);
      curvature[to] = curvature[b];
    }
    ++to;
  }
  blocks.resize(to);
  weights.resize(to * static_cast<size_t>(stride));
  active.resize(to);
  curvature.resize(to);
}

BlockProducts::BlockProducts(const ConeRows& rows, const PatternBits& patterns, ThreadPool& pool)
    : rows_(rows),
      patterns_(patterns),
      pool_(pool),
      parts_((rows.rows() + kRowsOfPart - 1) / kRowsOfPart),
      partial_(rows.stride(), parts_),
      masked_(rows.rows()) {}

void BlockProducts::RunParts(
    const std::function<void(int64_t part, int64_t begin, int64_t end)>& task) {
  pool_.Run(parts_, [&](int64_t part, int) {
    task(part, part * kRowsOfPart, std::min((part + 1) * kRowsOfPart, rows_.rows()));
  });
}

void BlockProducts::Forward(int64_t pattern, const double* u, double* predictions) {
  const uint64_t* bits = patterns_.pattern(pattern);
  RunParts([&](int64_t, int64_t begin, int64_t end) {
    const Eigen::Map<const RowMajor, Eigen::Aligned64> x(rows_.row(begin), end - begin,
                                                         rows_.stride());
    Eigen::Map<Eigen::VectorXd> part(predictions + begin, end - begin);
    part.noalias() = x * ConstVector(u, rows_.stride());
    for (int64_t j = begin; j < end; ++j) {
      if (!IsActive(bits, j)) predictions[j] = 0;
    }
  });
}

void BlockProducts::Adjoint(int64_t pattern, const double* slopes, double* gradient) {
  const uint64_t* bits = patterns_.pattern(pattern);
  RunParts([&](int64_t part, int64_t begin, int64_t end) {
    const Eigen::Map<const RowMajor, Eigen::Aligned64> x(rows_.row(begin), end - begin,
                                                         rows_.stride());
    for (int64_t j = begin; j < end; ++j) masked_[j] = IsActive(bits, j) ? slopes[j] : 0.0;
    partial_.col(part).noalias() = x.transpose() * masked_.segment(begin, end - begin);
  });
  Eigen::Map<Eigen::VectorXd> sum(gradient, rows_.stride());
  sum = partial_.col(0);
  for (int64_t part = 1; part < parts_; ++part) sum += partial_.col(part);
}

void BlockProducts::Predict(const ConeWeights& point, int outputs, double* predictions) {
  Eigen::Map<Eigen::MatrixXd> sum(predictions, rows_.rows(), outputs);
  sum.setZero();
  Eigen::VectorXd one(rows_.rows());
  for (size_t b = 0; b < point.blocks.size(); ++b) {
    if (point.IsZero(b)) continue;
    Forward(point.blocks[b].pattern, point.block(b), one.data());
    sum.col(point.blocks[b].output) += point.blocks[b].sign * one;
  }
}

}  // namespace trainyard::convex_relu
