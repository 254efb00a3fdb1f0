// Launches of the reductions. T is float or double.
#pragma once

#include <cstdint>

#include "core/tensor/cuda/strided_layout.h"

namespace trainyard::cuda {

class Platform;

enum class Reduction : uint8_t { kSum, kMaximum, kMinimum };

struct ReduceArguments {
  Reduction op = Reduction::kSum;
  StridedLayout kept;     // the elements of out; operands: out, in
  StridedLayout reduced;  // what is reduced to one of them; operand: in
  const void* in = nullptr;
  void* out = nullptr;
  double scale = 1;
  bool accumulate = false;
  // Parts of the reduced elements that are reduced on their own, and their results [chunks, out's
  // elements]; unused with one chunk.
  int64_t chunks = 1;
  double* partial = nullptr;
};

// A number that depends on the arguments' layouts alone.
int64_t ChunksOf(const ReduceArguments& arguments);

template <typename T>
void LaunchReduce(Platform& platform, const ReduceArguments& arguments);

// out[i] = scale * (sum over c of partial[c, i]) (+ out[i]), in the order of c.
template <typename T>
void LaunchSumOfParts(Platform& platform, const double* partial, int64_t chunks, int64_t elements,
                      double scale, void* out, bool accumulate);

template <typename T>
void LaunchArgMax(Platform& platform, const void* in, int64_t rows, int64_t columns,
                  int64_t row_stride, int64_t column_stride, int32_t* out);

}  // namespace trainyard::cuda
