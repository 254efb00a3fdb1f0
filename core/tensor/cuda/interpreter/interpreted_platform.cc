#include "core/tensor/cuda/interpreter/interpreted_platform.h"

#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/tensor/cuda/interpreter/host_blas.h"
#include "core/tensor/cuda/interpreter/host_launch.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {
namespace {

using Work = std::function<void(BlockInterpreter&)>;

// What every GPU grants without being asked.
constexpr size_t kMostSharedBytes = size_t{48} << 10;
constexpr int64_t kMostBlocksX = 2147483647;
constexpr int64_t kMostBlocksYZ = 65535;

class InterpretedPlatform : public Platform {
 public:
  explicit InterpretedPlatform(ThreadOrder order)
      : interpreter_(order), blas_([this](std::function<void()> product) {
          Enqueue([product = std::move(product)](BlockInterpreter&) { product(); });
        }) {}

  DeviceKind kind() const override { return DeviceKind::kCudaInterpreter; }
  const std::string& name() const override { return name_; }
  std::unique_ptr<SegmentSource> Segments() override { return HostSegments(); }
  Blas& blas() override { return blas_; }

  void CopyFromHost(void* to, const void* from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void CopyToHost(void* to, const void* from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void Synchronize() override {}

  void BeginCapture() override {
    capturing_ = true;
    captured_.clear();
  }
  std::unique_ptr<CapturedWork> EndCapture() override {
    capturing_ = false;
    return std::make_unique<RecordedWork>(*this, std::exchange(captured_, {}));
  }

  void Enqueue(Work work) {
    if (capturing_) {
      captured_.push_back(std::move(work));
    } else {
      Do(work);
    }
  }
  int64_t launches() const { return launches_; }

 private:
  class RecordedWork : public CapturedWork {
   public:
    RecordedWork(InterpretedPlatform& platform, std::vector<Work> work)
        : platform_(platform), work_(std::move(work)) {}
    void Replay() override {
      for (const Work& work : work_) platform_.Do(work);
    }

   private:
    InterpretedPlatform& platform_;
    const std::vector<Work> work_;
  };

  void Do(const Work& work) {
    ++launches_;
    work(interpreter_);
  }

  const std::string name_ = "cuda-interpreter";
  BlockInterpreter interpreter_;
  HostBlas blas_;
  bool capturing_ = false;
  std::vector<Work> captured_;
  int64_t launches_ = 0;
};

}  // namespace

void Enqueue(Platform& platform, std::function<void(BlockInterpreter&)> work) {
  static_cast<InterpretedPlatform&>(platform).Enqueue(std::move(work));
}

void CheckGrid(const char* kernel, const Grid& grid, size_t shared_bytes) {
  if (grid.x > kMostBlocksX || grid.y > kMostBlocksYZ || grid.z > kMostBlocksYZ) {
    throw TensorError(absl::InternalError(absl::StrCat("kernel ", kernel, ": a grid of ", grid.x,
                                                       " x ", grid.y, " x ", grid.z, " blocks")));
  }
  if (shared_bytes > kMostSharedBytes) {
    throw TensorError(absl::InternalError(absl::StrCat("kernel ", kernel, ": ", shared_bytes,
                                                       " bytes of shared memory; at most ",
                                                       kMostSharedBytes, " are possible")));
  }
}

void FailAtIndex(int64_t index, int count, int thread) {
  throw TensorError(absl::InternalError(
      absl::StrCat("thread ", thread, ": element ", index, " of ", count, " in shared memory")));
}

std::unique_ptr<Platform> MakeInterpretedPlatform(ThreadOrder order) {
  return std::make_unique<InterpretedPlatform>(order);
}

int64_t LaunchesOf(const Platform& platform) {
  return static_cast<const InterpretedPlatform&>(platform).launches();
}

}  // namespace trainyard::cuda
