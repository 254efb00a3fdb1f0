// How several tensors of one shape lie in memory, for kernels.
#pragma once

#include <cstdint>

#include "core/tensor/cuda/fast_divider.h"
#include "core/tensor/kernels/portable.h"

namespace trainyard::cuda {

inline constexpr int kMostOperands = 5;
inline constexpr int kMostDims = 6;  // kMaxRank of shapes

// Dimensions from the innermost on, those of size 1 left out and those joined that lie in memory
// like one for all operands.
struct StridedLayout {
  int64_t elements = 0;
  int rank = 0;
  // One dimension at most, and stride 1 for every operand.
  bool contiguous = false;
  int64_t sizes[kMostDims] = {};
  FastDivider dividers[kMostDims];  // by sizes; used with fewer than 2^31 elements
  int64_t strides[kMostOperands][kMostDims] = {};

  // Where element `index` (row-major) of each operand is.
  template <int kOperands>
  TRAINYARD_DEVICE void Offsets(int64_t index, int64_t (&offsets)[kOperands]) const {
    for (int j = 0; j < kOperands; ++j) offsets[j] = 0;
    if (elements >> 31 == 0) {
      auto rest = static_cast<uint32_t>(index);
      for (int axis = 0; axis < rank; ++axis) {
        const uint32_t quotient = dividers[axis].Quotient(rest);
        const uint32_t here = rest - quotient * dividers[axis].divisor();
        for (int j = 0; j < kOperands; ++j) offsets[j] += here * strides[j][axis];
        rest = quotient;
      }
    } else {
      int64_t rest = index;
      for (int axis = 0; axis < rank; ++axis) {
        const int64_t quotient = rest / sizes[axis];
        const int64_t here = rest - quotient * sizes[axis];
        for (int j = 0; j < kOperands; ++j) offsets[j] += here * strides[j][axis];
        rest = quotient;
      }
    }
  }
};

}  // namespace trainyard::cuda
