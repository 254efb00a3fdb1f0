#include "core/algorithms/convex_relu/gate_mask.h"

#include <Eigen/Core>
#include <algorithm>

namespace trainyard::convex_relu {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using FloatRows =
    Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

constexpr int64_t kRowBlock = 64;
constexpr int64_t kGateBlock = 256;

RowMajor Block(const PaddedMatrix<float>& matrix, int64_t begin, int64_t size) {
  return FloatRows(matrix.row(begin), size, matrix.stride()).cast<double>();
}

}  // namespace

GateMask::GateMask(const PaddedMatrix<float>& features, const PaddedMatrix<float>& gates,
                   ThreadPool& pool)
    : rows_(features.rows()),
      gates_(gates.rows()),
      row_bytes_((gates.rows() + 7) / 8),
      bytes_(static_cast<size_t>(rows_ * row_bytes_), 0) {
  const int64_t blocks = (rows_ + kRowBlock - 1) / kRowBlock;
  pool.Run(blocks, [&](int64_t block, int /*thread*/) {
    const int64_t first_row = block * kRowBlock;
    const int64_t count = std::min(kRowBlock, rows_ - first_row);
    const RowMajor x = Block(features, first_row, count);
    for (int64_t first_gate = 0; first_gate < gates_; first_gate += kGateBlock) {
      const int64_t gate_count = std::min(kGateBlock, gates_ - first_gate);
      const RowMajor products = x * Block(gates, first_gate, gate_count).transpose();
      for (int64_t row = 0; row < count; ++row) {
        uint8_t* bytes = bytes_.data() + (first_row + row) * row_bytes_ + first_gate / 8;
        for (int64_t gate = 0; gate < gate_count; ++gate) {
          const int open = products(row, gate) > 0 ? 1 : 0;
          bytes[gate / 8] = static_cast<uint8_t>(bytes[gate / 8] | open << (gate % 8));
        }
      }
    }
  });
}

}  // namespace trainyard::convex_relu
