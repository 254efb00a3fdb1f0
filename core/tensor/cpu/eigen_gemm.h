// Matrix products by Eigen: for double, and for float where oneDNN is missing.
#pragma once

#include <cstdint>

#include "core/tensor/cpu/serial_gemm.h"

namespace trainyard {

// As SerialGemm. Instantiated for float and double.
template <typename T>
void EigenGemm(const GemmShape& shape, T alpha, const T* a, int64_t a_stride, const T* b,
               int64_t b_stride, T beta, T* c, int64_t c_stride);

extern template void EigenGemm(const GemmShape&, float, const float*, int64_t, const float*,
                               int64_t, float, float*, int64_t);
extern template void EigenGemm(const GemmShape&, double, const double*, int64_t, const double*,
                               int64_t, double, double*, int64_t);

}  // namespace trainyard
