// Launches of what surrounds the products of structured matrices. T is float or double.
#pragma once

#include <cstdint>

namespace trainyard::cuda {

class Platform;

// out[i, j] = in[j, i] + bias[j], out [rows, columns]; bias may be null. Strides between rows.
struct TransposeArguments {
  int64_t rows = 0;
  int64_t columns = 0;
  const void* in = nullptr;
  int64_t in_stride = 0;
  const void* bias = nullptr;
  int64_t bias_stride = 0;
  void* out = nullptr;
  int64_t out_stride = 0;
};
template <typename T>
void LaunchTranspose(Platform& platform, const TransposeArguments& arguments);

}  // namespace trainyard::cuda
