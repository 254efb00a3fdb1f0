// Matrix products on one thread, for kernels that are made of many of them.
#pragma once

#include <cstdint>

namespace trainyard {

// c = alpha * op(a) op(b) + beta * c, row-major; op(a) is m x k, op(b) k x n, and op transposes
// where told. A stride is the distance between rows as they lie in memory; c shares no memory with
// a and b, and is not read where beta is 0. Runs on the calling thread alone and may be called by
// several threads at once. Deterministic.
struct GemmShape {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  bool transpose_a = false;
  bool transpose_b = false;
};

// By oneDNN where its library is at hand, else by Eigen.
void SerialGemm(const GemmShape& shape, float alpha, const float* a, int64_t a_stride,
                const float* b, int64_t b_stride, float beta, float* c, int64_t c_stride);
// By Eigen, as what is in double serves checks only.
void SerialGemm(const GemmShape& shape, double alpha, const double* a, int64_t a_stride,
                const double* b, int64_t b_stride, double beta, double* c, int64_t c_stride);

// "oneDNN" or "Eigen": what products of floats are computed by. Loads oneDNN.
const char* SerialGemmLibrary();

}  // namespace trainyard
