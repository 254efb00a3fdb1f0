#include <memory>

#include "core/tensor/cuda/cuda_device.h"
#include "core/tensor/cuda/cuda_kernels.h"
#include "core/tensor/cuda/layouts.h"
#include "core/tensor/cuda/loss.h"
#include "core/tensor/kernels/loss_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {
namespace {

Rows RowsOf(const Tensor& tensor) { return {tensor.raw_data(), tensor.stride(0)}; }

class CudaLossKernels : public LossKernels {
 public:
  explicit CudaLossKernels(CudaDevice& device) : device_(device) {}

  void Softmax(const Tensor& x, const Tensor& y) override { Forward(x, y, false); }
  void LogSoftmax(const Tensor& x, const Tensor& y) override { Forward(x, y, true); }
  void SoftmaxBackward(const Tensor& y, const Tensor& dy, const Tensor& dx,
                       bool accumulate) override {
    Backward(y, dy, dx, accumulate, false);
  }
  void LogSoftmaxBackward(const Tensor& y, const Tensor& dy, const Tensor& dx,
                          bool accumulate) override {
    Backward(y, dy, dx, accumulate, true);
  }

  void CrossEntropy(const Tensor& logits, const Tensor& targets, const Tensor& weights,
                    double gradient_scale, const Tensor& losses) override {
    if (logits.elements() == 0) return;
    const CrossEntropyArguments arguments{
        .rows = logits.size(0),
        .columns = logits.size(1),
        .logits = RowsOf(logits),
        .targets = targets.data<int32_t>(),
        .target_stride = targets.stride(0),
        .weights = DataOf(weights),
        .weight_stride = weights.defined() ? weights.stride(0) : 0,
        .gradient_scale = gradient_scale,
        .losses = losses.raw_data(),
        .loss_stride = losses.stride(0)};
    DispatchFloating(logits.dtype(), "cross entropy",
                     [&]<typename T>() { LaunchCrossEntropy<T>(device_.platform(), arguments); });
  }

 private:
  void Forward(const Tensor& x, const Tensor& y, bool logarithm) {
    if (x.elements() == 0) return;
    const SoftmaxArguments arguments{x.size(0), x.size(1), logarithm, RowsOf(x), RowsOf(y)};
    DispatchFloating(x.dtype(), "softmax",
                     [&]<typename T>() { LaunchSoftmax<T>(device_.platform(), arguments); });
  }

  void Backward(const Tensor& y, const Tensor& dy, const Tensor& dx, bool accumulate,
                bool logarithm) {
    if (y.elements() == 0) return;
    const SoftmaxBackwardArguments arguments{y.size(0), y.size(1),  logarithm, accumulate,
                                             RowsOf(y), RowsOf(dy), RowsOf(dx)};
    DispatchFloating(y.dtype(), "softmax", [&]<typename T>() {
      LaunchSoftmaxBackward<T>(device_.platform(), arguments);
    });
  }

  CudaDevice& device_;
};

}  // namespace

std::unique_ptr<LossKernels> MakeLossKernels(CudaDevice& device) {
  return std::make_unique<CudaLossKernels>(device);
}

}  // namespace trainyard::cuda
