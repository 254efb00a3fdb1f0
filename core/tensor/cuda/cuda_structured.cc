#include <memory>

#include "core/tensor/cuda/cuda_device.h"
#include "core/tensor/cuda/cuda_kernels.h"
#include "core/tensor/cuda/layouts.h"
#include "core/tensor/cuda/structured.h"
#include "core/tensor/kernels/elementwise_kernels.h"
#include "core/tensor/kernels/matmul_kernels.h"
#include "core/tensor/kernels/reduction_kernels.h"
#include "core/tensor/kernels/structured_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {
namespace {

// The middle and a copy of the result are kept feature-major: [features, rows]. Then features l,
// l + L, l + 2L, … are rows of a matrix whose stride is L * rows, both permutations are strides,
// and all six products of the forward and the backward pass are batches of plain matrix products.
class CudaStructuredKernels : public StructuredKernels {
 public:
  explicit CudaStructuredKernels(CudaDevice& device) : device_(device) {}

  void Monarch(const MonarchArguments& arguments) override {
    if (arguments.y.elements() == 0) return;
    const Tensor& w1 = arguments.w1;
    const Tensor& w2 = arguments.w2;
    const int64_t rows = arguments.x.size(0);
    const Tensor x = Padded(arguments.x, w1.size(0) * w1.size(2));
    const Tensor h = arguments.h.View({w1.size(0), w1.size(1), rows});
    device_.matmul().Matmul({.a = w1, .b = BlocksOf(x, w1.size(0)).Transposed(), .out = h});
    const Tensor y = Tensor::Empty(device_, {w2.size(0) * w2.size(1), rows}, x.dtype());
    device_.matmul().Matmul({.a = w2,
                             .b = Interleaved(arguments.h, w2.size(0), rows),
                             .out = Interleaved(y, w2.size(0), rows)});
    Transpose(y, arguments.bias, arguments.y);
  }

  void MonarchBackward(const MonarchArguments& forward,
                       const MonarchGradients& gradients) override {
    if (gradients.dy.elements() == 0) return;
    const Tensor& w1 = forward.w1;
    const Tensor& w2 = forward.w2;
    const int64_t rows = forward.x.size(0);
    const Tensor dy = FeatureMajor(gradients.dy, w2.size(0) * w2.size(1));
    const Tensor dy_blocks = Interleaved(dy, w2.size(0), rows);
    if (gradients.dw2.defined()) {
      device_.matmul().Matmul({.a = dy_blocks,
                               .b = Interleaved(forward.h, w2.size(0), rows).Transposed(),
                               .out = gradients.dw2,
                               .accumulate = true});
    }
    if (gradients.dw1.defined() || gradients.dx.defined()) {
      const Tensor dh = Tensor::Empty(device_, {w1.size(0), w1.size(1), rows}, w1.dtype());
      device_.matmul().Matmul(
          {.a = w2.Transposed(), .b = dy_blocks, .out = Interleaved(dh, w2.size(0), rows)});
      BackwardThroughFirst(forward, gradients, dh);
    }
    if (gradients.dbias.defined()) {
      device_.reduction().Reduce(ReduceOp::kSum, gradients.dy, 1, gradients.dbias.Unsqueezed(0),
                                 true);
    }
  }

 private:
  void BackwardThroughFirst(const MonarchArguments& forward, const MonarchGradients& gradients,
                            const Tensor& dh) {
    const Tensor& w1 = forward.w1;
    const int64_t columns = w1.size(0) * w1.size(2);
    if (gradients.dw1.defined()) {
      const Tensor x = Padded(forward.x, columns);
      device_.matmul().Matmul(
          {.a = dh, .b = BlocksOf(x, w1.size(0)), .out = gradients.dw1, .accumulate = true});
    }
    const Tensor& dx = gradients.dx;
    if (!dx.defined()) return;
    const bool direct = dx.size(1) == columns;
    const Tensor target = direct ? dx : Tensor::Empty(device_, {dx.size(0), columns}, dx.dtype());
    device_.matmul().Matmul({.a = dh.Transposed(),
                             .b = w1,
                             .out = BlocksOf(target, w1.size(0)),
                             .accumulate = direct && gradients.accumulate_dx});
    if (direct) return;
    device_.elementwise().Affine(target.Slice(1, 0, dx.size(1)), 1, 0, dx, gradients.accumulate_dx);
  }

  // Row-major [n, blocks * p] as [blocks, n, p].
  static Tensor BlocksOf(const Tensor& x, int64_t blocks) {
    return x.View({x.size(0), blocks, x.size(1) / blocks}).Permuted({1, 0, 2});
  }

  // Feature-major, whatever its shape says, as [blocks, features / blocks, rows].
  static Tensor Interleaved(const Tensor& h, int64_t blocks, int64_t rows) {
    return h.View({h.elements() / (blocks * rows), blocks, rows}).Permuted({1, 0, 2});
  }

  // `x` with zeros behind its columns.
  Tensor Padded(const Tensor& x, int64_t columns) {
    if (x.size(1) == columns) return x;
    const Tensor padded = Tensor::Zeros(device_, {x.size(0), columns}, x.dtype());
    padded.Slice(1, 0, x.size(1)).CopyFrom(x);
    return padded;
  }

  // [features, n] of [n, out]; features from `out` on are zeros.
  Tensor FeatureMajor(const Tensor& y, int64_t features) {
    const Tensor result = Tensor::Empty(device_, {features, y.size(0)}, y.dtype());
    if (features > y.size(1)) result.Slice(0, y.size(1), features - y.size(1)).Fill(0);
    Transpose(y, Tensor(), result.Slice(0, 0, y.size(1)));
    return result;
  }

  // out = the transpose of in's first rows, plus bias.
  void Transpose(const Tensor& in, const Tensor& bias, const Tensor& out) {
    const TransposeArguments arguments{.rows = out.size(0),
                                       .columns = out.size(1),
                                       .in = in.raw_data(),
                                       .in_stride = in.stride(0),
                                       .bias = DataOf(bias),
                                       .bias_stride = bias.defined() ? bias.stride(0) : 0,
                                       .out = out.raw_data(),
                                       .out_stride = out.stride(0)};
    DispatchFloating(out.dtype(), "monarch",
                     [&]<typename T>() { LaunchTranspose<T>(device_.platform(), arguments); });
  }

  CudaDevice& device_;
};

}  // namespace

std::unique_ptr<StructuredKernels> MakeStructuredKernels(CudaDevice& device) {
  return std::make_unique<CudaStructuredKernels>(device);
}

}  // namespace trainyard::cuda
