// Launches of the kernels of positions. T is float or double.
#pragma once

#include <cstdint>

#include "core/tensor/cuda/strided_layout.h"

namespace trainyard::cuda {

class Platform;

// Pairs of coordinates; x and out [batch, n, inner, size], the last stride 1.
struct RotaryKernelArguments {
  int64_t batch = 0;
  int64_t length = 0;
  int64_t inner = 0;  // elements of the dimensions between position and coordinates
  int64_t half = 0;   // size / 2
  bool neighbors = false;
  bool inverse = false;
  bool accumulate = false;
  const void* x = nullptr;
  void* out = nullptr;
  int64_t x_strides[3] = {};  // batch, position, inner
  int64_t out_strides[3] = {};
  const int32_t* positions = nullptr;  // [batch, length] with these strides, or null
  int64_t position_strides[2] = {};
  int64_t first = 0;
  double base = 10000;
};
template <typename T>
void LaunchRotary(Platform& platform, const RotaryKernelArguments& arguments);

template <typename T>
void LaunchSinusoid(Platform& platform, int64_t first, double base, int64_t rows, int64_t columns,
                    int64_t row_stride, void* out);

// out[i, j] = w[i - j + columns - 1].
template <typename T>
void LaunchToeplitz(Platform& platform, const void* w, int64_t rows, int64_t columns,
                    int64_t row_stride, void* out);

// dw[k] += sum over b and i - j + columns - 1 = k of d[b, i, j].
struct ToeplitzBackwardArguments {
  int64_t batch = 0;
  int64_t rows = 0;
  int64_t columns = 0;
  const void* d = nullptr;
  int64_t strides[3] = {};
  void* dw = nullptr;
};
template <typename T>
void LaunchToeplitzBackward(Platform& platform, const ToeplitzBackwardArguments& arguments);

}  // namespace trainyard::cuda
