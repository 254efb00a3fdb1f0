#include "core/algorithms/convex_relu/cone_penalty.h"

#include <algorithm>
#include <utility>

namespace trainyard::convex_relu {
namespace {

constexpr int64_t kBlocksOfTile = 16;
constexpr int64_t kRowsOfTile = 512;

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstRows = Eigen::Map<const RowMajor, Eigen::Aligned64>;
using ConstArray = Eigen::Map<const Eigen::ArrayXd>;

}  // namespace

ConePenalty::ConePenalty(const ConeRows& rows, const PatternBits& patterns, ThreadPool& pool,
                         std::vector<ConeBlock> blocks)
    : rows_(rows),
      patterns_(patterns),
      pool_(pool),
      blocks_(std::move(blocks)),
      shifts_(static_cast<size_t>(products_size()), 0.0) {}

void ConePenalty::RunTiles(
    const std::function<void(int64_t begin, int64_t end, int thread)>& task) const {
  const int64_t tiles = (count() + kBlocksOfTile - 1) / kBlocksOfTile;
  pool_.Run(tiles, [&](int64_t tile, int thread) {
    task(tile * kBlocksOfTile, std::min((tile + 1) * kBlocksOfTile, count()), thread);
  });
}

// Negates the values of the rows [begin, end) that the block's pattern leaves out.
void ConePenalty::ApplySigns(int64_t block, int64_t begin, int64_t end, double* values) const {
  const uint64_t* bits = patterns_.pattern(blocks_[static_cast<size_t>(block)].pattern);
  for (int64_t j = begin; j < end; ++j) {
    if (!IsActive(bits, j)) values[j - begin] = -values[j - begin];
  }
}

void ConePenalty::Multiply(const double* weights, double* products) const {
  const int64_t rows = rows_.rows();
  const int64_t stride = rows_.stride();
  RunTiles([&](int64_t begin, int64_t end, int) {
    const Eigen::Map<const Eigen::MatrixXd> u(weights + begin * stride, stride, end - begin);
    for (int64_t j = 0; j < rows; j += kRowsOfTile) {
      const int64_t size = std::min(kRowsOfTile, rows - j);
      Eigen::Map<Eigen::MatrixXd, 0, Eigen::OuterStride<>> tile(
          products + begin * rows + j, size, end - begin, Eigen::OuterStride<>(rows));
      tile.noalias() = ConstRows(rows_.row(j), size, stride) * u;
      for (int64_t b = begin; b < end; ++b) {
        ApplySigns(b, j, j + size, products + b * rows + j);
      }
    }
  });
}

double ConePenalty::SumOverBlocks(
    const std::function<double(int64_t begin, int64_t end)>& term) const {
  std::vector<double> sums(static_cast<size_t>((count() + kBlocksOfTile - 1) / kBlocksOfTile));
  RunTiles([&](int64_t begin, int64_t end, int) {
    sums[static_cast<size_t>(begin / kBlocksOfTile)] =
        term(begin * rows_.rows(), end * rows_.rows());
  });
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

double ConePenalty::Value(const double* products) const {
  return 0.5 * delta_ * SumOverBlocks([&](int64_t begin, int64_t end) {
           const ConstArray p(products + begin, end - begin);
           const ConstArray c(shifts_.data() + begin, end - begin);
           return (c - p).max(0).square().sum();
         });
}

double ConePenalty::Divergence(const double* next, const double* at) const {
  return delta_ * SumOverBlocks([&](int64_t begin, int64_t end) {
           double sum = 0;
           for (int64_t k = begin; k < end; ++k) {
             const double a = shifts_[static_cast<size_t>(k)] - at[k];
             const double b = shifts_[static_cast<size_t>(k)] - next[k];
             if (a > 0) {
               sum += b > 0 ? 0.5 * (next[k] - at[k]) * (next[k] - at[k]) : a * (0.5 * a - b);
             } else if (b > 0) {
               sum += 0.5 * b * b;
             }
           }
           return sum;
         });
}

void ConePenalty::AddGradient(const double* products, double* gradient) const {
  const int64_t rows = rows_.rows();
  const int64_t stride = rows_.stride();
  std::vector<Eigen::MatrixXd> scratch(static_cast<size_t>(pool_.threads()));
  RunTiles([&](int64_t begin, int64_t end, int thread) {
    Eigen::MatrixXd& gaps = scratch[static_cast<size_t>(thread)];
    Eigen::Map<Eigen::MatrixXd> g(gradient + begin * stride, stride, end - begin);
    for (int64_t j = 0; j < rows; j += kRowsOfTile) {
      const int64_t size = std::min(kRowsOfTile, rows - j);
      gaps.resize(size, end - begin);
      for (int64_t b = begin; b < end; ++b) {
        const ConstArray p(products + b * rows + j, size);
        const ConstArray c(shifts_.data() + b * rows + j, size);
        gaps.col(b - begin) = (delta_ * (c - p).max(0)).matrix();
        ApplySigns(b, j, j + size, gaps.col(b - begin).data());
      }
      g.noalias() -= ConstRows(rows_.row(j), size, stride).transpose() * gaps;
    }
  });
}

}  // namespace trainyard::convex_relu
