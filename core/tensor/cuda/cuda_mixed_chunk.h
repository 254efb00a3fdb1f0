// Mixed chunk attention on a CUDA device.
#pragma once

#include "core/tensor/cuda/cuda_device.h"
#include "core/tensor/kernels/attention_kernels.h"

namespace trainyard::cuda {

void MixedChunk(CudaDevice& device, const MixedChunkArguments& arguments);
void MixedChunkBackward(CudaDevice& device, const MixedChunkArguments& forward,
                        const MixedChunkGradients& gradients);

}  // namespace trainyard::cuda
