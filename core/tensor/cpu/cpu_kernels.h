// The CPU's kernels, one function a group.
#pragma once

#include <memory>

#include "core/tensor/device.h"

namespace trainyard {

class CpuDevice;

// Each keeps a reference to `device`, for its threads and its memory.
std::unique_ptr<AttentionKernels> MakeCpuAttentionKernels(CpuDevice& device);
std::unique_ptr<ConvolutionKernels> MakeCpuConvolutionKernels(CpuDevice& device);
std::unique_ptr<ElementwiseKernels> MakeCpuElementwiseKernels(CpuDevice& device);
std::unique_ptr<EmbeddingKernels> MakeCpuEmbeddingKernels(CpuDevice& device);
std::unique_ptr<LossKernels> MakeCpuLossKernels(CpuDevice& device);
std::unique_ptr<MatmulKernels> MakeCpuMatmulKernels(CpuDevice& device);
std::unique_ptr<NormKernels> MakeCpuNormKernels(CpuDevice& device);
std::unique_ptr<OptimizerKernels> MakeCpuOptimizerKernels(CpuDevice& device);
std::unique_ptr<PositionKernels> MakeCpuPositionKernels(CpuDevice& device);
std::unique_ptr<RandomKernels> MakeCpuRandomKernels(CpuDevice& device);
std::unique_ptr<ReductionKernels> MakeCpuReductionKernels(CpuDevice& device);
std::unique_ptr<StructuredKernels> MakeCpuStructuredKernels(CpuDevice& device);

}  // namespace trainyard
