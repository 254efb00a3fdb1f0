#include "core/algorithms/convex_relu/nonconvex_network.h"

#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

// Multiply-adds of one product between two checks: a millisecond or two.
constexpr int64_t kPieceOfWork = int64_t{1} << 25;
constexpr int64_t kMostRows = 256;

int64_t ChunkRows(int64_t stride) {
  return std::clamp<int64_t>(kPieceOfWork / (8 * stride), 16, kMostRows);
}

int64_t BlockNeurons(int64_t stride, int64_t neurons) {
  const int64_t fits = kPieceOfWork / (ChunkRows(stride) * stride) / 8 * 8;
  return std::clamp<int64_t>(fits, 8, (neurons + 7) / 8 * 8);
}

template <typename Real>
using Matrix = Eigen::Matrix<Real, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <typename Real>
using Map = Eigen::Map<Matrix<Real>, Eigen::Unaligned, Eigen::OuterStride<>>;
template <typename Real>
using ConstMap = Eigen::Map<const Matrix<Real>, Eigen::Unaligned, Eigen::OuterStride<>>;

template <typename Real>
Map<Real> Part(PaddedMatrix<Real>& matrix, int64_t rows, int64_t first_column, int64_t columns) {
  return {matrix.data() + first_column, rows, columns, Eigen::OuterStride<>(matrix.stride())};
}

template <typename Real>
ConstMap<Real> Part(const PaddedMatrix<Real>& matrix, int64_t rows, int64_t first_column,
                    int64_t columns) {
  return {matrix.data() + first_column, rows, columns, Eigen::OuterStride<>(matrix.stride())};
}

// The whole rows [first, first + rows), padding included.
template <typename Real>
Map<Real> Rows(PaddedMatrix<Real>& matrix, int64_t first, int64_t rows) {
  return {matrix.row(first), rows, matrix.stride(), Eigen::OuterStride<>(matrix.stride())};
}

template <typename Real>
ConstMap<Real> Rows(const PaddedMatrix<Real>& matrix, int64_t first, int64_t rows) {
  return {matrix.row(first), rows, matrix.stride(), Eigen::OuterStride<>(matrix.stride())};
}

// The eight bits of a byte as numbers.
template <typename Real>
const std::array<std::array<Real, 8>, 256>& BitTable() {
  static const auto table = [] {
    std::array<std::array<Real, 8>, 256> bits;
    for (int byte = 0; byte < 256; ++byte) {
      for (int bit = 0; bit < 8; ++bit) bits[byte][bit] = static_cast<Real>(byte >> bit & 1);
    }
    return bits;
  }();
  return table;
}

// Multiplies `values` by the bits that begin at `bytes`; `values` reaches to a multiple of 8.
template <typename Real>
void ApplyBits(const uint8_t* bytes, int64_t count, Real* values) {
  const auto& table = BitTable<Real>();
  for (int64_t k = 0; k < count; k += 8) {
    const std::array<Real, 8>& bits = table[bytes[k / 8]];
    for (int bit = 0; bit < 8; ++bit) values[k + bit] *= bits[bit];
  }
}

template <typename Real>
double SquaredSum(const PaddedMatrix<Real>& matrix) {
  double sum = 0;
  for (int64_t row = 0; row < matrix.rows(); ++row) {
    for (int column = 0; column < matrix.columns(); ++column) {
      const double value = matrix.row(row)[column];
      sum += value * value;
    }
  }
  return sum;
}

}  // namespace

absl::Status CheckNetworkData(const NetworkData& data) {
  if (data.features == nullptr || data.features->rows() < 1 || data.features->columns() < 1) {
    return absl::InvalidArgumentError("features: there must be at least one row and one column");
  }
  if (data.outputs < 1) {
    return absl::InvalidArgumentError(absl::StrCat("outputs is ", data.outputs, "; at least 1"));
  }
  const int64_t rows = data.features->rows();
  if (static_cast<int64_t>(data.targets.size()) != rows * data.outputs) {
    return absl::InvalidArgumentError(absl::StrCat("targets: ", data.targets.size(),
                                                   " numbers for ", rows, " rows of ", data.outputs,
                                                   " outputs"));
  }
  if (!data.row_weights.empty() && static_cast<int64_t>(data.row_weights.size()) != rows) {
    return absl::InvalidArgumentError(
        absl::StrCat("row_weights: ", data.row_weights.size(), " numbers for ", rows, " rows"));
  }
  return absl::OkStatus();
}

template <typename Real>
void NetworkWeights<Real>::CopyFrom(const NetworkWeights& other) {
  std::memcpy(first.data(), other.first.data(),
              sizeof(Real) * static_cast<size_t>(first.rows() * first.stride()));
  std::memcpy(second.data(), other.second.data(),
              sizeof(Real) * static_cast<size_t>(second.rows() * second.stride()));
}

template <typename Real>
double SquaredNorm(const NetworkWeights<Real>& weights) {
  return SquaredSum(weights.first) + SquaredSum(weights.second);
}

template <typename Real>
NetworkPass<Real>::NetworkPass(const NetworkData& data, const GateMask* mask, int64_t neurons)
    : data_(data),
      mask_(mask),
      neurons_(neurons),
      chunk_(std::min(ChunkRows(data.features->stride()), data.features->rows())),
      block_(BlockNeurons(data.features->stride(), neurons)),
      x_(chunk_, data.features->columns()),
      activations_(chunk_, static_cast<int>(neurons)),
      slopes_(chunk_, static_cast<int>(block_)),
      values_(chunk_, data.outputs) {}

template <typename Real>
double NetworkPass<Real>::Scale(std::span<const int64_t> rows) const {
  const double count = static_cast<double>(rows.size());
  return 1 / (data_.loss == NetworkLoss::kSoftmax ? count : count * data_.outputs);
}

template <typename Real>
absl::StatusOr<double> NetworkPass<Real>::Loss(const NetworkWeights<Real>& weights,
                                               std::span<const int64_t> rows,
                                               const WorkCheck& check) {
  double sum = 0;
  for (size_t begin = 0; begin < rows.size(); begin += static_cast<size_t>(chunk_)) {
    const auto part = rows.subspan(begin, std::min(rows.size() - begin, size_t(chunk_)));
    TY_RETURN_IF_ERROR(Forward(weights, part, check));
    sum += Residuals(part, 0);
  }
  return sum * Scale(rows);
}

template <typename Real>
absl::StatusOr<double> NetworkPass<Real>::LossAndGradient(const NetworkWeights<Real>& weights,
                                                          std::span<const int64_t> rows,
                                                          NetworkWeights<Real>& gradient,
                                                          const WorkCheck& check) {
  Rows(gradient.first, 0, gradient.first.rows()).setZero();
  Rows(gradient.second, 0, gradient.second.rows()).setZero();
  double sum = 0;
  for (size_t begin = 0; begin < rows.size(); begin += static_cast<size_t>(chunk_)) {
    const auto part = rows.subspan(begin, std::min(rows.size() - begin, size_t(chunk_)));
    TY_RETURN_IF_ERROR(Forward(weights, part, check));
    sum += Residuals(part, Scale(rows));
    TY_RETURN_IF_ERROR(Backward(weights, part, gradient, check));
  }
  return sum * Scale(rows);
}

template <typename Real>
absl::Status NetworkPass<Real>::Predict(const NetworkWeights<Real>& weights,
                                        std::span<const int64_t> rows, std::span<Real> predictions,
                                        const WorkCheck& check) {
  for (size_t begin = 0; begin < rows.size(); begin += static_cast<size_t>(chunk_)) {
    const auto part = rows.subspan(begin, std::min(rows.size() - begin, size_t(chunk_)));
    TY_RETURN_IF_ERROR(Forward(weights, part, check));
    for (size_t j = 0; j < part.size(); ++j) {
      std::copy_n(values_.row(static_cast<int64_t>(j)), data_.outputs,
                  predictions.data() + (begin + j) * static_cast<size_t>(data_.outputs));
    }
  }
  return absl::OkStatus();
}

template <typename Real>
void NetworkPass<Real>::Gather(std::span<const int64_t> rows) {
  for (size_t j = 0; j < rows.size(); ++j) {
    const float* source = data_.features->row(rows[j]);
    std::copy_n(source, x_.stride(), x_.row(static_cast<int64_t>(j)));
  }
}

template <typename Real>
absl::Status NetworkPass<Real>::Forward(const NetworkWeights<Real>& weights,
                                        std::span<const int64_t> rows, const WorkCheck& check) {
  Gather(rows);
  const int64_t count = static_cast<int64_t>(rows.size());
  const auto x = Rows(std::as_const(x_), 0, count);
  auto values = Part(values_, count, 0, data_.outputs);
  values.setZero();
  for (int64_t begin = 0; begin < neurons_; begin += block_) {
    TY_RETURN_IF_ERROR(check());
    const int64_t size = std::min(block_, neurons_ - begin);
    auto hidden = Part(activations_, count, begin, size);
    hidden.noalias() = x * Rows(weights.first, begin, size).transpose();
    if (mask_ == nullptr) {
      hidden = hidden.cwiseMax(Real{0});
    } else {
      for (int64_t j = 0; j < count; ++j) {
        ApplyBits(mask_->row(rows[static_cast<size_t>(j)]) + begin / 8, size,
                  activations_.row(j) + begin);
      }
    }
    values.noalias() += hidden * Part(weights.second, data_.outputs, begin, size).transpose();
  }
  return absl::OkStatus();
}

template <typename Real>
absl::Status NetworkPass<Real>::Backward(const NetworkWeights<Real>& weights,
                                         std::span<const int64_t> rows,
                                         NetworkWeights<Real>& gradient, const WorkCheck& check) {
  const int64_t count = static_cast<int64_t>(rows.size());
  const auto derivatives = Part(std::as_const(values_), count, 0, data_.outputs);
  const auto x = Rows(std::as_const(x_), 0, count);
  for (int64_t begin = 0; begin < neurons_; begin += block_) {
    TY_RETURN_IF_ERROR(check());
    const int64_t size = std::min(block_, neurons_ - begin);
    const auto hidden = Part(std::as_const(activations_), count, begin, size);
    Part(gradient.second, data_.outputs, begin, size).noalias() += derivatives.transpose() * hidden;
    auto slopes = Part(slopes_, count, 0, size);
    slopes.noalias() = derivatives * Part(weights.second, data_.outputs, begin, size);
    if (mask_ == nullptr) {
      slopes = (hidden.array() > Real{0}).select(slopes, Real{0});
    } else {
      for (int64_t j = 0; j < count; ++j) {
        ApplyBits(mask_->row(rows[static_cast<size_t>(j)]) + begin / 8, size, slopes_.row(j));
      }
    }
    Rows(gradient.first, begin, size).noalias() += slopes.transpose() * x;
  }
  return absl::OkStatus();
}

template <typename Real>
double NetworkPass<Real>::Residuals(std::span<const int64_t> rows, double scale) {
  double sum = 0;
  for (size_t j = 0; j < rows.size(); ++j) {
    Real* values = values_.row(static_cast<int64_t>(j));
    const double weight =
        data_.row_weights.empty() ? 1 : data_.row_weights[static_cast<size_t>(rows[j])];
    sum += weight * RowLoss(rows[j], values);
    const Real factor = static_cast<Real>(weight * scale);
    for (int output = 0; output < data_.outputs; ++output) values[output] *= factor;
  }
  return sum;
}

// The loss of predictions `values`, which become its derivatives.
template <typename Real>
double NetworkPass<Real>::RowLoss(int64_t row, Real* values) const {
  const int64_t n = data_.features->rows();
  const auto target = [&](int output) -> double {
    return data_.targets[static_cast<size_t>(output * n + row)];
  };
  double loss = 0;
  if (data_.loss == NetworkLoss::kSoftmax) {
    const double top = *std::max_element(values, values + data_.outputs);
    double sum = 0;
    for (int output = 0; output < data_.outputs; ++output) sum += std::exp(values[output] - top);
    loss = top + std::log(sum);
    for (int output = 0; output < data_.outputs; ++output) {
      loss -= target(output) * values[output];
      values[output] = static_cast<Real>(std::exp(values[output] - top) / sum - target(output));
    }
    return loss;
  }
  for (int output = 0; output < data_.outputs; ++output) {
    const double z = values[output];
    if (data_.loss == NetworkLoss::kSquared) {
      const double residual = z - target(output);
      loss += 0.5 * residual * residual;
      values[output] = static_cast<Real>(residual);
    } else {
      const double margin = -target(output) * z;
      loss += std::max(margin, 0.0) + std::log1p(std::exp(-std::abs(margin)));
      values[output] = static_cast<Real>(-target(output) / (1 + std::exp(-margin)));
    }
  }
  return loss;
}

template struct NetworkWeights<float>;
template struct NetworkWeights<double>;
template double SquaredNorm(const NetworkWeights<float>&);
template double SquaredNorm(const NetworkWeights<double>&);
template class NetworkPass<float>;
template class NetworkPass<double>;

}  // namespace trainyard::convex_relu
