#include "core/tensor/cuda/runtime/gpu_platform.h"

#include <cuda_runtime_api.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/tensor/cuda/cuda_device.h"
#include "core/tensor/cuda/runtime/cublas_blas.h"
#include "core/tensor/cuda/runtime/cuda_errors.h"
#include "core/tensor/cuda/runtime/pinned_staging.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {
namespace {

class DeviceSegments : public SegmentSource {
 public:
  explicit DeviceSegments(int device) : device_(device) {}
  void* Allocate(size_t bytes) override {
    void* segment = nullptr;
    if (cudaSetDevice(device_) != cudaSuccess || cudaMalloc(&segment, bytes) != cudaSuccess) {
      cudaGetLastError();
      return nullptr;
    }
    return segment;
  }
  void Free(void* segment, size_t /*bytes*/) override { cudaFree(segment); }

 private:
  const int device_;
};

class Graph : public CapturedWork {
 public:
  Graph(cudaGraphExec_t work, cudaStream_t stream) : work_(work), stream_(stream) {}
  ~Graph() override { cudaGraphExecDestroy(work_); }
  void Replay() override { CheckCuda(cudaGraphLaunch(work_, stream_), "cudaGraphLaunch"); }

 private:
  const cudaGraphExec_t work_;
  const cudaStream_t stream_;
};

// Destroyed after all that uses it.
class OwnedStream {
 public:
  explicit OwnedStream(int device) {
    CheckCuda(cudaSetDevice(device), "cudaSetDevice");
    CheckCuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
  }
  ~OwnedStream() {
    cudaStreamSynchronize(stream_);
    cudaStreamDestroy(stream_);
  }
  OwnedStream(const OwnedStream&) = delete;
  OwnedStream& operator=(const OwnedStream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class GpuPlatform : public Platform {
 public:
  explicit GpuPlatform(int index)
      : index_(index),
        name_(absl::StrCat("cuda:", index)),
        stream_(index),
        staging_(stream_.get()),
        blas_(stream_.get()) {}

  DeviceKind kind() const override { return DeviceKind::kCuda; }
  const std::string& name() const override { return name_; }
  std::unique_ptr<SegmentSource> Segments() override {
    return std::make_unique<DeviceSegments>(index_);
  }
  Blas& blas() override {
    Activate();
    return blas_;
  }
  cudaStream_t stream() const {
    Activate();
    return stream_.get();
  }

  void CopyFromHost(void* to, const void* from, size_t bytes) override {
    Activate();
    staging_.CopyFromHost(to, from, bytes);
  }
  void CopyToHost(void* to, const void* from, size_t bytes) override {
    Activate();
    staging_.CopyToHost(to, from, bytes);
  }
  void Synchronize() override {
    CheckCuda(cudaStreamSynchronize(stream_.get()), "work on the device");
  }

  void BeginCapture() override {
    // Relaxed: memory may be allocated meanwhile.
    CheckCuda(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeRelaxed),
              "cudaStreamBeginCapture");
  }
  std::unique_ptr<CapturedWork> EndCapture() override {
    cudaGraph_t graph = nullptr;
    CheckCuda(cudaStreamEndCapture(stream_.get(), &graph), "cudaStreamEndCapture");
    cudaGraphExec_t work = nullptr;
    const cudaError_t error = cudaGraphInstantiate(&work, graph, 0);
    cudaGraphDestroy(graph);
    CheckCuda(error, "cudaGraphInstantiate");
    return std::make_unique<Graph>(work, stream_.get());
  }

 private:
  // The runtime's current device belongs to the thread, and several devices may share one.
  void Activate() const { CheckCuda(cudaSetDevice(index_), "cudaSetDevice"); }

  const int index_;
  const std::string name_;
  OwnedStream stream_;
  PinnedStaging staging_;
  CublasBlas blas_;
};

}  // namespace

std::unique_ptr<Platform> MakeGpuPlatform(int index) {
  return std::make_unique<GpuPlatform>(index);
}

// What device_context.h leaves to this file.
void CheckLaunch(const char* kernel, int error) {
  if (error == cudaSuccess) return;
  CheckCuda(static_cast<cudaError_t>(error), absl::StrCat("kernel ", kernel).c_str());
}

void* StreamOf(Platform& platform) { return static_cast<GpuPlatform&>(platform).stream(); }

}  // namespace trainyard::cuda
