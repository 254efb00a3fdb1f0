#include "core/tensor/cuda/interpreter/host_blas.h"

#include <Eigen/Core>
#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace trainyard::cuda {
namespace {

template <typename T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <typename T>
using Stored = Eigen::Map<Matrix<T>, Eigen::Unaligned, Eigen::OuterStride<>>;
template <typename T>
using ConstStored = Eigen::Map<const Matrix<T>, Eigen::Unaligned, Eigen::OuterStride<>>;

// To the nearest number with `bits` bits behind the point, halves to even.
float Rounded(float value, int bits) {
  const uint32_t word = std::bit_cast<uint32_t>(value);
  const int dropped = 23 - bits;
  if ((word >> 23 & 0xff) == 0xff) return value;
  const uint32_t half = (uint32_t{1} << (dropped - 1)) - 1 + (word >> dropped & 1);
  return std::bit_cast<float>((word + half) >> dropped << dropped);
}

// op(operand), `rows` x `columns`, rounded as `mode` says.
template <typename T>
Matrix<T> Factor(const GemmOperand& operand, int64_t batch, int64_t rows, int64_t columns,
                 ComputeMode mode) {
  const T* const data = static_cast<const T*>(operand.data) + batch * operand.batch_stride;
  Matrix<T> result(rows, columns);
  if (operand.transposed) {
    result = ConstStored<T>(data, columns, rows, Eigen::OuterStride<>(operand.stride)).transpose();
  } else {
    result = ConstStored<T>(data, rows, columns, Eigen::OuterStride<>(operand.stride));
  }
  if constexpr (std::is_same_v<T, float>) {
    if (mode != ComputeMode::kFloat32) {
      const int bits = mode == ComputeMode::kTf32 ? 10 : 7;
      result = result.unaryExpr([bits](float value) { return Rounded(value, bits); });
    }
  }
  return result;
}

template <typename T>
void Multiply(const GemmRequest& request, ComputeMode mode) {
  for (int64_t batch = 0; batch < request.batch; ++batch) {
    const Matrix<T> a = Factor<T>(request.a, batch, request.m, request.k, mode);
    const Matrix<T> b = Factor<T>(request.b, batch, request.k, request.n, mode);
    Matrix<T> result(request.m, request.n);
    result.noalias() = static_cast<T>(request.alpha) * (a * b);
    Stored<T> c(static_cast<T*>(request.c) + batch * request.c_batch_stride, request.m, request.n,
                Eigen::OuterStride<>(request.c_stride));
    if (request.beta != 0) result += static_cast<T>(request.beta) * c;
    if (request.bias != nullptr) {
      result.rowwise() += Eigen::Map<const Eigen::Matrix<T, 1, Eigen::Dynamic>>(
          static_cast<const T*>(request.bias), request.n);
    }
    if (request.epilogue == Epilogue::kRelu) result = result.cwiseMax(T{0});
    c = result;
  }
}

}  // namespace

void HostBlas::Gemm(const GemmRequest& request) {
  enqueue_([request, mode = mode_] {
    if (request.type == DType::kFloat32) {
      Multiply<float>(request, mode);
    } else {
      Multiply<double>(request, mode);
    }
  });
}

}  // namespace trainyard::cuda
