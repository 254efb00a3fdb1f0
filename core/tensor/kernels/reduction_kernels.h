// Sums and extremes along dimensions.
#pragma once

#include <cstdint>

#include "core/tensor/tensor.h"

namespace trainyard {

enum class ReduceOp : uint8_t { kSum, kMaximum, kMinimum };

// float32 or float64; sums are accumulated in double or pairwise, in an order that does not depend
// on the number of threads.
class ReductionKernels {
 public:
  virtual ~ReductionKernels() = default;
  // out has the rank of `in`, and size 1 in the dimensions that are reduced: in [2, 3, 4] with
  // out [2, 1, 4] reduces the middle one. out = scale * reduced (+ out). `in` has any strides.
  virtual void Reduce(ReduceOp op, const Tensor& in, double scale, const Tensor& out,
                      bool accumulate) = 0;
  // int32 out [n]: for every row of in [n, d] the first index of its largest value.
  virtual void ArgMax(const Tensor& in, const Tensor& out) = 0;
};

}  // namespace trainyard
