#include "core/algorithms/convex_relu/gate_mask.h"

#include <Eigen/Core>
#include <algorithm>

#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using FloatRows =
    Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

constexpr int64_t kRowBlock = 64;
constexpr int64_t kPieceOfWork = int64_t{1} << 24;  // multiply-adds between two checks

RowMajor Block(const PaddedMatrix<float>& matrix, int64_t begin, int64_t size) {
  return FloatRows(matrix.row(begin), size, matrix.stride()).cast<double>();
}

}  // namespace

GateMask::GateMask(int64_t rows, int64_t gates)
    : rows_(rows),
      gates_(gates),
      row_bytes_((gates + 7) / 8),
      bytes_(static_cast<size_t>(rows * row_bytes_), 0) {}

absl::StatusOr<GateMask> GateMask::Make(const PaddedMatrix<float>& features,
                                        const PaddedMatrix<float>& gates, const WorkCheck& check,
                                        ThreadPool& pool) {
  GateMask mask(features.rows(), gates.rows());
  const int64_t blocks = (mask.rows_ + kRowBlock - 1) / kRowBlock;
  std::vector<absl::Status> statuses(static_cast<size_t>(blocks));
  pool.Run(blocks, [&](int64_t block, int /*thread*/) {
    const int64_t first = block * kRowBlock;
    statuses[static_cast<size_t>(block)] =
        mask.FillRows(features, gates, first, std::min(kRowBlock, mask.rows_ - first), check);
  });
  for (const absl::Status& status : statuses) TY_RETURN_IF_ERROR(status);
  return mask;
}

absl::Status GateMask::FillRows(const PaddedMatrix<float>& features,
                                const PaddedMatrix<float>& gates, int64_t first_row, int64_t count,
                                const WorkCheck& check) {
  const RowMajor x = Block(features, first_row, count);
  const int64_t most = std::clamp<int64_t>(kPieceOfWork / (kRowBlock * x.cols()) / 8 * 8, 8, 256);
  for (int64_t first_gate = 0; first_gate < gates_; first_gate += most) {
    TY_RETURN_IF_ERROR(check());
    const int64_t gate_count = std::min(most, gates_ - first_gate);
    const RowMajor products = x * Block(gates, first_gate, gate_count).transpose();
    for (int64_t row = 0; row < count; ++row) {
      uint8_t* bytes = bytes_.data() + (first_row + row) * row_bytes_ + first_gate / 8;
      for (int64_t gate = 0; gate < gate_count; ++gate) {
        const int open = products(row, gate) > 0 ? 1 : 0;
        bytes[gate / 8] = static_cast<uint8_t>(bytes[gate / 8] | open << (gate % 8));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace trainyard::convex_relu
