// The kernels of a CUDA device, one function a group.
#pragma once

#include <memory>

#include "core/tensor/device.h"

namespace trainyard {

class CudaDevice;

namespace cuda {

// Each keeps a reference to `device`, for its platform and its memory.
std::unique_ptr<AttentionKernels> MakeAttentionKernels(CudaDevice& device);
std::unique_ptr<ConvolutionKernels> MakeConvolutionKernels(CudaDevice& device);
std::unique_ptr<ElementwiseKernels> MakeElementwiseKernels(CudaDevice& device);
std::unique_ptr<EmbeddingKernels> MakeEmbeddingKernels(CudaDevice& device);
std::unique_ptr<LossKernels> MakeLossKernels(CudaDevice& device);
std::unique_ptr<MatmulKernels> MakeMatmulKernels(CudaDevice& device);
std::unique_ptr<NormKernels> MakeNormKernels(CudaDevice& device);
std::unique_ptr<OptimizerKernels> MakeOptimizerKernels(CudaDevice& device);
std::unique_ptr<PositionKernels> MakePositionKernels(CudaDevice& device);
std::unique_ptr<RandomKernels> MakeRandomKernels(CudaDevice& device);
std::unique_ptr<ReductionKernels> MakeReductionKernels(CudaDevice& device);
std::unique_ptr<StructuredKernels> MakeStructuredKernels(CudaDevice& device);

}  // namespace cuda
}  // namespace trainyard
