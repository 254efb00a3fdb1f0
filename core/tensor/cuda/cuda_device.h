// A GPU as a device, or the interpreter in its place.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/tensor/cuda/platform.h"
#include "core/tensor/device.h"

namespace trainyard {

struct CudaDeviceOptions {
  // Most bytes of tensors; 0: what the device has.
  size_t memory_limit = 0;
  cuda::ComputeMode compute_mode = cuda::ComputeMode::kFloat32;
};

// Work of fixed shapes that was captured once and is queued again as a whole (CUDA graphs): no
// launch costs but one. It reads and writes the memory that the tensors had at capture, so inputs
// go into the same tensors and results are found there. Tensors that were made while capturing stay
// valid as long as they are referred to; their content is the last replay's.
class CudaGraph;

// Kernels and products are queued on one stream; nothing waits for the host but CopyToHost and
// Synchronize. Deterministic: the same calls give the same bits.
class CudaDevice : public Device {
 public:
  CudaDevice(std::unique_ptr<cuda::Platform> platform, const CudaDeviceOptions& options);
  ~CudaDevice() override;

  DeviceKind kind() const override { return platform_->kind(); }
  const std::string& name() const override { return platform_->name(); }
  // While capturing: the memory of the graph.
  MemoryPool& memory() override;
  bool is_host() const override { return false; }
  cuda::Platform& platform() { return *platform_; }
  void set_compute_mode(cuda::ComputeMode mode) { platform_->blas().set_compute_mode(mode); }

  void CopyFromHost(void* to, const void* from, size_t bytes) override;
  void CopyToHost(void* to, const void* from, size_t bytes) override;
  void Synchronize() override { platform_->Synchronize(); }

  // Calls `work` and keeps what it queues. `work` must not copy from or to the host (TensorError
  // FAILED_PRECONDITION), and what it hands over by value stays as it is: the rate of an optimiser,
  // for example, so its step is better queued outside. Numbers of random streams are the exception:
  // see CudaGraph::Replay. Nothing is computed yet.
  template <typename Function>
  std::unique_ptr<CudaGraph> Capture(Function&& work) {
    CaptureScope scope(*this);
    work();
    return scope.Finish();
  }

  // Added to the number of every random stream by the random kernels: a word on the device.
  const uint64_t* random_stream_offset() const { return random_stream_offset_; }

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
  friend class CudaGraph;

  class CaptureScope {
   public:
    explicit CaptureScope(CudaDevice& device);
    ~CaptureScope();
    std::unique_ptr<CudaGraph> Finish();

   private:
    CudaDevice& device_;
    std::unique_ptr<MemoryPool> pool_;
  };

  // Tensors may outlive the graph whose memory they are in.
  void KeepPool(std::unique_ptr<MemoryPool> pool);
  void SetRandomStreamOffset(uint64_t offset);

  const std::unique_ptr<cuda::Platform> platform_;
  MemoryPool memory_;
  std::vector<std::unique_ptr<MemoryPool>> pools_of_ended_graphs_;
  MemoryPool* capturing_ = nullptr;
  uint64_t* random_stream_offset_ = nullptr;
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

class CudaGraph {
 public:
  ~CudaGraph();
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  // Queues the work. `random_stream_offset` is added to the number of each random stream that was
  // used at capture: a training whose step takes k streams hands in k * (steps since capture) and
  // gets the numbers it would have got without the graph.
  void Replay(uint64_t random_stream_offset = 0);

 private:
  friend class CudaDevice;
  CudaGraph(CudaDevice& device, std::unique_ptr<cuda::CapturedWork> work,
            std::unique_ptr<MemoryPool> pool);

  CudaDevice& device_;
  std::unique_ptr<cuda::CapturedWork> work_;
  std::unique_ptr<MemoryPool> pool_;
};

struct CudaDeviceInfo {
  int index = 0;
  std::string name;  // "NVIDIA H100 80GB HBM3"
  int compute_capability_major = 0;
  int compute_capability_minor = 0;
  size_t memory_bytes = 0;
  // "0000:17:00.0", as the system's tools name it.
  std::string pci_address;
  // "GPU-…": the same in every process, whatever CUDA_VISIBLE_DEVICES shows it.
  std::string uuid;
};

// The GPUs that can run this build's kernels. Empty where there is no driver or no GPU: that is no
// error. UNAVAILABLE where a driver is there but answers with an error, with its words.
absl::StatusOr<std::vector<CudaDeviceInfo>> ListCudaDevices();

// GPU `index` of ListCudaDevices. Throws TensorError INVALID_ARGUMENT where there is none,
// FAILED_PRECONDITION where cuBLASLt's library is missing, else INTERNAL.
std::unique_ptr<CudaDevice> MakeCudaDevice(int index, const CudaDeviceOptions& options = {});

}  // namespace trainyard
