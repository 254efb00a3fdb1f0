#include "core/nn/ops/softmax.h"

#include "core/nn/ops/support.h"
#include "core/nn/recorder.h"
#include "core/tensor/kernels/loss_kernels.h"

namespace trainyard::nn {
namespace {

using BackwardKernel = void (LossKernels::*)(const Tensor&, const Tensor&, const Tensor&, bool);
using ForwardKernel = void (LossKernels::*)(const Tensor&, const Tensor&);

Variable Apply(const char* operation, const Variable& x, ForwardKernel forward,
               BackwardKernel backward) {
  ExpectRankAtLeast(operation, x, 1);
  const Tensor y = Tensor::Empty(x.device(), x.shape(), x.dtype());
  (x.device().loss().*forward)(AsStridedRows(x.value()), AsRows(y));
  return Recorder(operation, x).Record(y, [y, backward](BackwardContext& context) {
    const Tensor dy = AsStridedRows(context.output_gradient());
    const GradientBuffer dx = context.Buffer(0);
    (dy.device().loss().*backward)(AsRows(y), dy, AsRows(dx.tensor()), dx.accumulate());
    dx.Finish();
  });
}

}  // namespace

Variable Softmax(const Variable& x) {
  return Apply("softmax", x, &LossKernels::Softmax, &LossKernels::SoftmaxBackward);
}

Variable LogSoftmax(const Variable& x) {
  return Apply("log_softmax", x, &LossKernels::LogSoftmax, &LossKernels::LogSoftmaxBackward);
}

}  // namespace trainyard::nn
