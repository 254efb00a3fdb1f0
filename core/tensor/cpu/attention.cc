#include <memory>

#include "core/tensor/cpu/cpu_attention.h"
#include "core/tensor/cpu/cpu_kernels.h"

namespace trainyard {
namespace {

class CpuAttentionKernels : public AttentionKernels {
 public:
  explicit CpuAttentionKernels(CpuDevice& device) : device_(device) {}

  void Attend(const AttentionArguments& arguments) override {
    cpu_attention::Attend(device_, arguments);
  }
  void AttendBackward(const AttentionArguments& forward,
                      const AttentionGradients& gradients) override {
    cpu_attention::AttendBackward(device_, forward, gradients);
  }
  void MixedChunk(const MixedChunkArguments& arguments) override {
    cpu_attention::MixedChunk(device_, arguments);
  }
  void MixedChunkBackward(const MixedChunkArguments& forward,
                          const MixedChunkGradients& gradients) override {
    cpu_attention::MixedChunkBackward(device_, forward, gradients);
  }

 private:
  CpuDevice& device_;
};

}  // namespace

std::unique_ptr<AttentionKernels> MakeCpuAttentionKernels(CpuDevice& device) {
  return std::make_unique<CpuAttentionKernels>(device);
}

}  // namespace trainyard
