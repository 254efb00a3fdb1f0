// What follows a matrix product, applied to a part of it by the thread that made it.
#pragma once

#include <cstdint>

#include "core/tensor/kernels/elementwise_kernels.h"

namespace trainyard {

// value = act(value + bias) for rows x columns of the product; value + bias is stored in `pre`.
template <typename T>
struct GemmEpilogue {
  const T* bias = nullptr;  // [columns] or null
  Activation activation = Activation::kNone;
  T* pre = nullptr;  // or null
  int64_t pre_stride = 0;

  bool empty() const {
    return bias == nullptr && activation == Activation::kNone && pre == nullptr;
  }
};

template <typename T>
void ApplyEpilogue(const GemmEpilogue<T>& epilogue, int64_t rows, int64_t columns, T* values,
                   int64_t stride);

extern template void ApplyEpilogue(const GemmEpilogue<float>&, int64_t, int64_t, float*, int64_t);
extern template void ApplyEpilogue(const GemmEpilogue<double>&, int64_t, int64_t, double*, int64_t);

}  // namespace trainyard
