// What computes: a place for tensors with the kernels that work on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/tensor/memory_pool.h"

namespace trainyard {

class AttentionKernels;
class ConvolutionKernels;
class ElementwiseKernels;
class EmbeddingKernels;
class LossKernels;
class MatmulKernels;
class NormKernels;
class OptimizerKernels;
class PositionKernels;
class RandomKernels;
class ReductionKernels;
class StructuredKernels;

enum class DeviceKind : uint8_t {
  kCpu,
  kCuda,
  // CUDA's kernels and launches, run by an interpreter on the host: for tests.
  kCudaInterpreter,
};

// One device as one training sees it: memory, an order of work, kernels. Work is queued and done in
// order; on the CPU it is done when a call returns. Used by one thread at a time. Outlives all
// tensors on it.
//
// The groups of kernels are interfaces of their own (core/tensor/kernels/), so that an operation
// touches its group's header and one file a device. Kernels trust their arguments: who calls them
// has checked shapes and types. What a device cannot do throws TensorError UNIMPLEMENTED.
class Device {
 public:
  virtual ~Device() = default;

  virtual DeviceKind kind() const = 0;
  // "cpu", "cuda:0".
  virtual const std::string& name() const = 0;
  virtual MemoryPool& memory() = 0;
  // True where the host may read and write a tensor's elements by its pointer.
  virtual bool is_host() const = 0;

  // Between the host's memory and this device's. Both sides may be used again on return.
  virtual void CopyFromHost(void* to, const void* from, size_t bytes) = 0;
  virtual void CopyToHost(void* to, const void* from, size_t bytes) = 0;
  // Waits for all queued work. Throws TensorError INTERNAL where some of it failed.
  virtual void Synchronize() = 0;

  virtual AttentionKernels& attention() = 0;
  virtual ConvolutionKernels& convolution() = 0;
  virtual ElementwiseKernels& elementwise() = 0;
  virtual EmbeddingKernels& embedding() = 0;
  virtual LossKernels& loss() = 0;
  virtual MatmulKernels& matmul() = 0;
  virtual NormKernels& norm() = 0;
  virtual OptimizerKernels& optimizer() = 0;
  virtual PositionKernels& position() = 0;
  virtual RandomKernels& random() = 0;
  virtual ReductionKernels& reduction() = 0;
  virtual StructuredKernels& structured() = 0;
};

}  // namespace trainyard
