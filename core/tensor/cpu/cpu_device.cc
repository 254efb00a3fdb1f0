#include "core/tensor/cpu/cpu_device.h"

#include <cstring>

#include "core/tensor/cpu/cpu_kernels.h"
#include "core/tensor/kernels/attention_kernels.h"
#include "core/tensor/kernels/convolution_kernels.h"
#include "core/tensor/kernels/elementwise_kernels.h"
#include "core/tensor/kernels/embedding_kernels.h"
#include "core/tensor/kernels/loss_kernels.h"
#include "core/tensor/kernels/matmul_kernels.h"
#include "core/tensor/kernels/norm_kernels.h"
#include "core/tensor/kernels/optimizer_kernels.h"
#include "core/tensor/kernels/position_kernels.h"
#include "core/tensor/kernels/random_kernels.h"
#include "core/tensor/kernels/reduction_kernels.h"
#include "core/tensor/kernels/structured_kernels.h"

namespace trainyard {

CpuDevice::CpuDevice(int threads, size_t memory_limit)
    : threads_(threads),
      memory_(HostSegments(), memory_limit),
      attention_(MakeCpuAttentionKernels(*this)),
      convolution_(MakeCpuConvolutionKernels(*this)),
      elementwise_(MakeCpuElementwiseKernels(*this)),
      embedding_(MakeCpuEmbeddingKernels(*this)),
      loss_(MakeCpuLossKernels(*this)),
      matmul_(MakeCpuMatmulKernels(*this)),
      norm_(MakeCpuNormKernels(*this)),
      optimizer_(MakeCpuOptimizerKernels(*this)),
      position_(MakeCpuPositionKernels(*this)),
      random_(MakeCpuRandomKernels(*this)),
      reduction_(MakeCpuReductionKernels(*this)),
      structured_(MakeCpuStructuredKernels(*this)) {}

CpuDevice::~CpuDevice() = default;

void CpuDevice::CopyFromHost(void* to, const void* from, size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

void CpuDevice::CopyToHost(void* to, const void* from, size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

}  // namespace trainyard
