#include "core/tensor/cpu/eigen_gemm.h"

#include <Eigen/Core>

namespace trainyard {
namespace {

template <typename T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <typename T>
auto View(const T* data, int64_t rows, int64_t columns, int64_t stride) {
  return Eigen::Map<const Matrix<T>, 0, Eigen::OuterStride<>>(data, rows, columns,
                                                              Eigen::OuterStride<>(stride));
}

template <typename C, typename A, typename B, typename T>
void AddProduct(C& c, T alpha, const A& a, const B& b) {
  c.noalias() += alpha * a * b;
}

}  // namespace

template <typename T>
void EigenGemm(const GemmShape& shape, T alpha, const T* a, int64_t a_stride, const T* b,
               int64_t b_stride, T beta, T* c, int64_t c_stride) {
  const auto [m, n, k, transpose_a, transpose_b] = shape;
  if (m == 0 || n == 0) return;
  Eigen::Map<Matrix<T>, 0, Eigen::OuterStride<>> out(c, m, n, Eigen::OuterStride<>(c_stride));
  if (beta == T(0)) {
    out.setZero();
  } else if (beta != T(1)) {
    out *= beta;
  }
  if (k == 0) return;
  const auto left = View(a, transpose_a ? k : m, transpose_a ? m : k, a_stride);
  const auto right = View(b, transpose_b ? n : k, transpose_b ? k : n, b_stride);
  if (transpose_a && transpose_b) {
    AddProduct(out, alpha, left.transpose(), right.transpose());
  } else if (transpose_a) {
    AddProduct(out, alpha, left.transpose(), right);
  } else if (transpose_b) {
    AddProduct(out, alpha, left, right.transpose());
  } else {
    AddProduct(out, alpha, left, right);
  }
}

template void EigenGemm(const GemmShape&, float, const float*, int64_t, const float*, int64_t,
                        float, float*, int64_t);
template void EigenGemm(const GemmShape&, double, const double*, int64_t, const double*, int64_t,
                        double, double*, int64_t);

}  // namespace trainyard
