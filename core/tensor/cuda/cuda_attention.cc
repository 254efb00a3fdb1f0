#include <memory>

#include "core/tensor/cuda/attention.h"
#include "core/tensor/cuda/cuda_device.h"
#include "core/tensor/cuda/cuda_kernels.h"
#include "core/tensor/cuda/cuda_mixed_chunk.h"
#include "core/tensor/cuda/layouts.h"
#include "core/tensor/kernels/attention_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {
namespace {

HeadRows HeadRowsOf(const Tensor& tensor) {
  return {tensor.raw_data(), tensor.stride(0), tensor.stride(1), tensor.stride(2)};
}

void SetStrides(const Tensor& tensor, int64_t (&strides)[2]) {
  if (!tensor.defined()) return;
  strides[0] = tensor.stride(0);
  strides[1] = tensor.stride(1);
}

AttentionKernelArguments KernelArguments(const AttentionArguments& arguments) {
  AttentionKernelArguments kernel{
      .batch = arguments.q.size(0),
      .heads = arguments.q.size(1),
      .rows = arguments.q.size(2),
      .keys = arguments.k.size(2),
      .width = arguments.q.size(3),
      .v_width = arguments.v.size(3),
      .q = HeadRowsOf(arguments.q),
      .k = HeadRowsOf(arguments.k),
      .v = HeadRowsOf(arguments.v),
      .out = HeadRowsOf(arguments.out),
      .logsumexp = DataOf(arguments.logsumexp),
      .scale = arguments.scale,
      .causal = arguments.causal,
      .query_segments = static_cast<const int32_t*>(DataOf(arguments.query_segments)),
      .key_segments = static_cast<const int32_t*>(DataOf(arguments.key_segments)),
      .key_mask = static_cast<const uint8_t*>(DataOf(arguments.key_mask))};
  SetStrides(arguments.query_segments, kernel.query_segment_strides);
  SetStrides(arguments.key_segments, kernel.key_segment_strides);
  SetStrides(arguments.key_mask, kernel.key_mask_strides);
  return kernel;
}

class CudaAttentionKernels : public AttentionKernels {
 public:
  explicit CudaAttentionKernels(CudaDevice& device) : device_(device) {}

  void Attend(const AttentionArguments& arguments) override {
    if (arguments.out.elements() == 0) return;
    DispatchFloating(arguments.q.dtype(), "attention", [&]<typename T>() {
      LaunchAttention<T>(device_.platform(), KernelArguments(arguments));
    });
  }

  void AttendBackward(const AttentionArguments& forward,
                      const AttentionGradients& gradients) override {
    if (forward.out.elements() == 0) {
      for (const Tensor& gradient : {gradients.dq, gradients.dk, gradients.dv}) gradient.Fill(0);
      return;
    }
    const Tensor out_products = Tensor::Empty(
        device_, {forward.q.size(0), forward.q.size(1), forward.q.size(2)}, forward.q.dtype());
    const AttentionBackwardArguments backward{.dout = HeadRowsOf(gradients.dout),
                                              .dq = HeadRowsOf(gradients.dq),
                                              .dk = HeadRowsOf(gradients.dk),
                                              .dv = HeadRowsOf(gradients.dv),
                                              .out_products = out_products.raw_data()};
    DispatchFloating(forward.q.dtype(), "attention", [&]<typename T>() {
      LaunchAttentionBackward<T>(device_.platform(), KernelArguments(forward), backward);
    });
  }

  void MixedChunk(const MixedChunkArguments& arguments) override {
    cuda::MixedChunk(device_, arguments);
  }
  void MixedChunkBackward(const MixedChunkArguments& forward,
                          const MixedChunkGradients& gradients) override {
    cuda::MixedChunkBackward(device_, forward, gradients);
  }

 private:
  CudaDevice& device_;
};

}  // namespace

std::unique_ptr<AttentionKernels> MakeAttentionKernels(CudaDevice& device) {
  return std::make_unique<CudaAttentionKernels>(device);
}

}  // namespace trainyard::cuda
