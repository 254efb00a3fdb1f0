#include "core/tensor/cpu/serial_gemm.h"

#include <algorithm>

#include "core/tensor/cpu/eigen_gemm.h"
#include "core/tensor/cpu/onednn.h"

namespace trainyard {
namespace {

// The distance between the rows of a matrix of one row is never used but may be anything in a view;
// libraries want it to be a row's length at least.
int64_t Stride(int64_t rows, int64_t columns, int64_t stride) {
  return rows <= 1 ? std::max<int64_t>(columns, 1) : stride;
}

bool SgemmByOneDnn(const GemmShape& shape, float alpha, const float* a, int64_t a_stride,
                   const float* b, int64_t b_stride, float beta, float* c, int64_t c_stride) {
  const OneDnn* const library = OneDnn::Find();
  return library != nullptr &&
         library->Sgemm(shape.transpose_a ? 'T' : 'N', shape.transpose_b ? 'T' : 'N', shape.m,
                        shape.n, shape.k, alpha, a, a_stride, b, b_stride, beta, c, c_stride);
}

}  // namespace

const char* SerialGemmLibrary() { return OneDnn::Find() != nullptr ? "oneDNN" : "Eigen"; }

void SerialGemm(const GemmShape& shape, float alpha, const float* a, int64_t a_stride,
                const float* b, int64_t b_stride, float beta, float* c, int64_t c_stride) {
  if (shape.m == 0 || shape.n == 0) return;
  const auto [m, n, k, transpose_a, transpose_b] = shape;
  a_stride = transpose_a ? Stride(k, m, a_stride) : Stride(m, k, a_stride);
  b_stride = transpose_b ? Stride(n, k, b_stride) : Stride(k, n, b_stride);
  c_stride = Stride(m, n, c_stride);
  if (k > 0 && SgemmByOneDnn(shape, alpha, a, a_stride, b, b_stride, beta, c, c_stride)) return;
  EigenGemm(shape, alpha, a, a_stride, b, b_stride, beta, c, c_stride);
}

void SerialGemm(const GemmShape& shape, double alpha, const double* a, int64_t a_stride,
                const double* b, int64_t b_stride, double beta, double* c, int64_t c_stride) {
  EigenGemm(shape, alpha, a, a_stride, b, b_stride, beta, c, c_stride);
}

}  // namespace trainyard
