// Launches of the normalisations. T is float or double.
#pragma once

#include <cstdint>

namespace trainyard::cuda {

class Platform;

// Rows [rows, columns], contiguous. All pointers may be null where norm_kernels.h lets the tensor
// be undefined.
struct NormArguments {
  int64_t rows = 0;
  int64_t columns = 0;
  bool centered = false;     // subtract the mean
  bool scalar_gain = false;  // gain [1]
  double epsilon = 0;
  const void* x = nullptr;
  const void* gain = nullptr;
  const void* bias = nullptr;
  void* y = nullptr;
  void* mean = nullptr;
  void* rstd = nullptr;
};
template <typename T>
void LaunchNormalize(Platform& platform, const NormArguments& arguments);

struct NormBackwardArguments {
  const void* dy = nullptr;
  void* dx = nullptr;
  bool accumulate_dx = false;
  // Sums over the rows of a chunk: [chunks, columns] of dy * normalised x, and of dy.
  int64_t chunks = 1;
  double* gain_parts = nullptr;
  double* bias_parts = nullptr;
};
// `forward` with x, gain, mean and rstd.
template <typename T>
void LaunchNormalizeBackward(Platform& platform, const NormArguments& forward,
                             const NormBackwardArguments& backward);

int64_t NormChunksOf(int64_t rows, int64_t columns);

}  // namespace trainyard::cuda
