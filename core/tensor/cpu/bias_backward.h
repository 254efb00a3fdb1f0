// The backward pass of biases and activations.
#pragma once

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/kernels/elementwise_kernels.h"

namespace trainyard {

// That of ElementwiseKernels for contiguous rows and a dbias: one pass over all, with sums of
// chunks of rows that are added in order. `saved` may be undefined for Activation::kNone.
void BackwardWithBias(CpuDevice& device, Activation activation, const Tensor& saved,
                      const Tensor& dy, const Tensor& dx, const Tensor& dbias,
                      bool accumulate_bias);

}  // namespace trainyard
