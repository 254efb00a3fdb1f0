#include <memory>

#include "core/tensor/cuda/cuda_device.h"
#include "core/tensor/cuda/cuda_kernels.h"
#include "core/tensor/cuda/layouts.h"
#include "core/tensor/cuda/reduction.h"
#include "core/tensor/kernels/reduction_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {
namespace {

Reduction ReductionOf(ReduceOp op) {
  switch (op) {
    case ReduceOp::kSum:
      return Reduction::kSum;
    case ReduceOp::kMaximum:
      return Reduction::kMaximum;
    case ReduceOp::kMinimum:
      return Reduction::kMinimum;
  }
  return Reduction::kSum;
}

class CudaReductionKernels : public ReductionKernels {
 public:
  explicit CudaReductionKernels(CudaDevice& device) : device_(device) {}

  void Reduce(ReduceOp op, const Tensor& in, double scale, const Tensor& out,
              bool accumulate) override {
    if (out.elements() == 0) return;
    ReduceArguments arguments{.op = ReductionOf(op),
                              .in = in.raw_data(),
                              .out = out.raw_data(),
                              .scale = scale,
                              .accumulate = accumulate};
    // `in` without what is reduced, and what is reduced alone.
    Tensor kept = in;
    Tensor reduced = in;
    for (int axis = 0; axis < in.rank(); ++axis) {
      if (out.size(axis) == in.size(axis)) {
        reduced = Narrowed(reduced, axis);
      } else {
        kept = Narrowed(kept, axis);
      }
    }
    arguments.kept = LayoutOf({&out, &kept});
    arguments.reduced = LayoutOf({&reduced});
    arguments.chunks = ChunksOf(arguments);
    Tensor partial;
    if (arguments.chunks > 1) {
      partial =
          Tensor::Empty(device_, {arguments.chunks, arguments.kept.elements}, DType::kFloat64);
      arguments.partial = partial.data<double>();
    }
    DispatchFloating(in.dtype(), "reduce",
                     [&]<typename T>() { LaunchReduce<T>(device_.platform(), arguments); });
  }

  void ArgMax(const Tensor& in, const Tensor& out) override {
    if (out.elements() == 0) return;
    DispatchFloating(in.dtype(), "argmax", [&]<typename T>() {
      LaunchArgMax<T>(device_.platform(), in.raw_data(), in.size(0), in.size(1), in.stride(0),
                      in.stride(1), out.data<int32_t>());
    });
  }

 private:
  // Size 1 along `axis`; a size of 0 stays.
  static Tensor Narrowed(const Tensor& tensor, int axis) {
    return tensor.size(axis) == 0 ? tensor : tensor.Slice(axis, 0, 1);
  }

  CudaDevice& device_;
};

}  // namespace

std::unique_ptr<ReductionKernels> MakeReductionKernels(CudaDevice& device) {
  return std::make_unique<CudaReductionKernels>(device);
}

}  // namespace trainyard::cuda
