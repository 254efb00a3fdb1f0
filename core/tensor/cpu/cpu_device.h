// The host as a device.
#pragma once

#include <memory>
#include <string>

#include "core/base/thread_pool.h"
#include "core/tensor/device.h"

namespace trainyard {

// All kernels run on one pool of threads, the caller's among them; libraries that bring threads of
// their own are kept to the one that calls them. Results do not depend on timing; those of sums may
// depend on the number of threads where a kernel's header does not say otherwise.
class CpuDevice : public Device {
 public:
  // `threads` >= 1. At most `memory_limit` bytes of tensors; 0: no limit of our own.
  explicit CpuDevice(int threads, size_t memory_limit = 0);
  ~CpuDevice() override;

  DeviceKind kind() const override { return DeviceKind::kCpu; }
  const std::string& name() const override { return name_; }
  MemoryPool& memory() override { return memory_; }
  bool is_host() const override { return true; }
  ThreadPool& threads() { return threads_; }

  void CopyFromHost(void* to, const void* from, size_t bytes) override;
  void CopyToHost(void* to, const void* from, size_t bytes) override;
  void Synchronize() override {}

  AttentionKernels& attention() override { return *attention_; }
  ConvolutionKernels& convolution() override { return *convolution_; }
  ElementwiseKernels& elementwise() override { return *elementwise_; }
  EmbeddingKernels& embedding() override { return *embedding_; }
  LossKernels& loss() override { return *loss_; }
  MatmulKernels& matmul() override { return *matmul_; }
  NormKernels& norm() override { return *norm_; }
  OptimizerKernels& optimizer() override { return *optimizer_; }
  PositionKernels& position() override { return *position_; }
  RandomKernels& random() override { return *random_; }
  ReductionKernels& reduction() override { return *reduction_; }
  StructuredKernels& structured() override { return *structured_; }

 private:
  const std::string name_ = "cpu";
  ThreadPool threads_;
  MemoryPool memory_;
  std::unique_ptr<AttentionKernels> attention_;
  std::unique_ptr<ConvolutionKernels> convolution_;
  std::unique_ptr<ElementwiseKernels> elementwise_;
  std::unique_ptr<EmbeddingKernels> embedding_;
  std::unique_ptr<LossKernels> loss_;
  std::unique_ptr<MatmulKernels> matmul_;
  std::unique_ptr<NormKernels> norm_;
  std::unique_ptr<OptimizerKernels> optimizer_;
  std::unique_ptr<PositionKernels> position_;
  std::unique_ptr<RandomKernels> random_;
  std::unique_ptr<ReductionKernels> reduction_;
  std::unique_ptr<StructuredKernels> structured_;
};

}  // namespace trainyard
