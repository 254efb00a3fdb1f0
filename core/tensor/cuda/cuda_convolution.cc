#include <memory>

#include "core/tensor/cuda/convolution.h"
#include "core/tensor/cuda/cuda_device.h"
#include "core/tensor/cuda/cuda_kernels.h"
#include "core/tensor/kernels/convolution_kernels.h"
#include "core/tensor/kernels/matmul_kernels.h"
#include "core/tensor/kernels/reduction_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {
namespace {

// Convolutions are products with the windows of the sequence, written out as rows.
class CudaConvolutionKernels : public ConvolutionKernels {
 public:
  explicit CudaConvolutionKernels(CudaDevice& device) : device_(device) {}

  void Convolve1d(const Convolution1dArguments& arguments) override {
    if (arguments.y.elements() == 0) return;
    const int64_t batch = arguments.x.size(0);
    const Tensor windows = WindowsOf(arguments);
    const Tensor weights = Flattened(arguments.w);
    device_.matmul().Matmul({.a = windows.View({batch, -1, weights.size(0)}),
                             .b = weights.BroadcastTo({batch, weights.size(0), weights.size(1)}),
                             .out = arguments.y,
                             .bias = arguments.bias});
  }

  void Convolve1dBackward(const Convolution1dArguments& forward, const Tensor& dy, const Tensor& dx,
                          bool accumulate_dx, const Tensor& dw, const Tensor& dbias) override {
    if (dy.elements() == 0) return;
    const Shape rows({dy.size(0) * dy.size(1), dy.size(2)});
    const Tensor flat_dy = dy.CanView(rows) ? dy.View(rows) : dy.Clone().View(rows);
    if (dw.defined()) {
      device_.matmul().Matmul({.a = WindowsOf(forward).Transposed(),
                               .b = flat_dy,
                               .out = Flattened(dw),
                               .accumulate = true});
    }
    if (dx.defined()) BackwardToInput(forward, flat_dy, dx, accumulate_dx);
    if (dbias.defined()) {
      device_.reduction().Reduce(ReduceOp::kSum, flat_dy, 1, dbias.Unsqueezed(0), true);
    }
  }

 private:
  static Tensor Flattened(const Tensor& w) { return w.View({w.size(0) * w.size(1), w.size(2)}); }

  static WindowArguments Sizes(const Convolution1dArguments& arguments) {
    return {.batch = arguments.x.size(0),
            .length = arguments.x.size(1),
            .channels = arguments.x.size(2),
            .width = arguments.w.size(0),
            .pad_left = arguments.pad_left};
  }

  static bool IsPointwise(const Convolution1dArguments& arguments) {
    return arguments.w.size(0) == 1 && arguments.pad_left == 0;
  }

  // [batch * length, width * channels].
  Tensor WindowsOf(const Convolution1dArguments& arguments) {
    const Tensor& x = arguments.x;
    if (IsPointwise(arguments)) return x.View({x.size(0) * x.size(1), x.size(2)});
    WindowArguments unfold = Sizes(arguments);
    const Tensor windows = Tensor::Empty(
        device_, {unfold.batch * unfold.length, unfold.width * unfold.channels}, x.dtype());
    unfold.x = x.raw_data();
    unfold.windows = windows.raw_data();
    DispatchFloating(x.dtype(), "convolution",
                     [&]<typename T>() { LaunchUnfold<T>(device_.platform(), unfold); });
    return windows;
  }

  void BackwardToInput(const Convolution1dArguments& forward, const Tensor& flat_dy,
                       const Tensor& dx, bool accumulate) {
    const Tensor weights = Flattened(forward.w).Transposed();
    const Shape rows({dx.size(0) * dx.size(1), dx.size(2)});
    if (IsPointwise(forward) && dx.CanView(rows)) {
      device_.matmul().Matmul(
          {.a = flat_dy, .b = weights, .out = dx.View(rows), .accumulate = accumulate});
      return;
    }
    const Tensor windows =
        Tensor::Empty(device_, {flat_dy.size(0), weights.size(1)}, flat_dy.dtype());
    device_.matmul().Matmul({.a = flat_dy, .b = weights, .out = windows});
    const Tensor target = dx.is_contiguous() ? dx : dx.Clone();
    WindowArguments fold = Sizes(forward);
    fold.x = target.raw_data();
    fold.windows = windows.raw_data();
    DispatchFloating(dx.dtype(), "convolution",
                     [&]<typename T>() { LaunchFold<T>(device_.platform(), fold, accumulate); });
    if (!dx.is_contiguous()) dx.CopyFrom(target);
  }

  CudaDevice& device_;
};

}  // namespace

std::unique_ptr<ConvolutionKernels> MakeConvolutionKernels(CudaDevice& device) {
  return std::make_unique<CudaConvolutionKernels>(device);
}

}  // namespace trainyard::cuda
