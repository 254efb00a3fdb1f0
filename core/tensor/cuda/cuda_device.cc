#include "core/tensor/cuda/cuda_device.h"

#include <utility>

#include "absl/status/status.h"
#include "core/tensor/cuda/cuda_kernels.h"
#include "core/tensor/cuda/random.h"
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
#include "core/tensor/tensor_error.h"

namespace trainyard {

CudaDevice::CudaDevice(std::unique_ptr<cuda::Platform> platform, const CudaDeviceOptions& options)
    : platform_(std::move(platform)),
      memory_(platform_->Segments(), options.memory_limit),
      attention_(cuda::MakeAttentionKernels(*this)),
      convolution_(cuda::MakeConvolutionKernels(*this)),
      elementwise_(cuda::MakeElementwiseKernels(*this)),
      embedding_(cuda::MakeEmbeddingKernels(*this)),
      loss_(cuda::MakeLossKernels(*this)),
      matmul_(cuda::MakeMatmulKernels(*this)),
      norm_(cuda::MakeNormKernels(*this)),
      optimizer_(cuda::MakeOptimizerKernels(*this)),
      position_(cuda::MakePositionKernels(*this)),
      random_(cuda::MakeRandomKernels(*this)),
      reduction_(cuda::MakeReductionKernels(*this)),
      structured_(cuda::MakeStructuredKernels(*this)) {
  set_compute_mode(options.compute_mode);
  random_stream_offset_ = static_cast<uint64_t*>(memory_.Allocate(sizeof(uint64_t)));
  SetRandomStreamOffset(0);
}

CudaDevice::~CudaDevice() { memory_.Free(random_stream_offset_); }

MemoryPool& CudaDevice::memory() { return capturing_ != nullptr ? *capturing_ : memory_; }

namespace {

// A graph works in blocks that were freed while it was captured; sanitizers must not mind.
class GraphSegments : public SegmentSource {
 public:
  explicit GraphSegments(std::unique_ptr<SegmentSource> source) : source_(std::move(source)) {}
  void* Allocate(size_t bytes) override { return source_->Allocate(bytes); }
  void Free(void* segment, size_t bytes) override { source_->Free(segment, bytes); }

 private:
  const std::unique_ptr<SegmentSource> source_;
};

void ExpectNoCapture(const MemoryPool* capturing, const char* what) {
  if (capturing == nullptr) return;
  throw TensorError(absl::FailedPreconditionError(
      absl::StrCat(what, " cannot be part of work that is captured for a graph")));
}

}  // namespace

void CudaDevice::CopyFromHost(void* to, const void* from, size_t bytes) {
  ExpectNoCapture(capturing_, "a copy from the host");
  if (bytes > 0) platform_->CopyFromHost(to, from, bytes);
}

void CudaDevice::CopyToHost(void* to, const void* from, size_t bytes) {
  ExpectNoCapture(capturing_, "a copy to the host");
  if (bytes > 0) platform_->CopyToHost(to, from, bytes);
}

void CudaDevice::SetRandomStreamOffset(uint64_t offset) {
  cuda::SetWord(*platform_, offset, random_stream_offset_);
}

void CudaDevice::KeepPool(std::unique_ptr<MemoryPool> pool) {
  pool->ReleaseUnused();
  if (pool->statistics().live_bytes > 0) pools_of_ended_graphs_.push_back(std::move(pool));
}

CudaDevice::CaptureScope::CaptureScope(CudaDevice& device) : device_(device) {
  ExpectNoCapture(device.capturing_, "a capture");
  pool_ =
      std::make_unique<MemoryPool>(std::make_unique<GraphSegments>(device.platform_->Segments()));
  device.platform_->BeginCapture();
  device.capturing_ = pool_.get();
}

CudaDevice::CaptureScope::~CaptureScope() {
  if (pool_ == nullptr) return;
  // The work failed: what was captured is dropped.
  device_.capturing_ = nullptr;
  try {
    device_.platform_->EndCapture();
  } catch (const TensorError&) {  // the first error is on its way already
  }
  device_.KeepPool(std::move(pool_));
}

std::unique_ptr<CudaGraph> CudaDevice::CaptureScope::Finish() {
  std::unique_ptr<cuda::CapturedWork> work = device_.platform_->EndCapture();
  device_.capturing_ = nullptr;
  return std::unique_ptr<CudaGraph>(new CudaGraph(device_, std::move(work), std::move(pool_)));
}

CudaGraph::CudaGraph(CudaDevice& device, std::unique_ptr<cuda::CapturedWork> work,
                     std::unique_ptr<MemoryPool> pool)
    : device_(device), work_(std::move(work)), pool_(std::move(pool)) {}

CudaGraph::~CudaGraph() {
  work_.reset();
  device_.KeepPool(std::move(pool_));
}

void CudaGraph::Replay(uint64_t random_stream_offset) {
  device_.SetRandomStreamOffset(random_stream_offset);
  work_->Replay();
  device_.SetRandomStreamOffset(0);
}

}  // namespace trainyard
