#include "core/nn/ops/monarch.h"

#include "core/nn/ops/support.h"
#include "core/nn/recorder.h"
#include "core/tensor/kernels/structured_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {
namespace {

void Check(const Variable& x, const Variable& w1, const Variable& w2, const Variable& bias,
           int64_t out) {
  ExpectRankAtLeast("monarch", x, 1);
  ExpectAlike("monarch", x.value(), w1.value());
  ExpectAlike("monarch", x.value(), w2.value());
  ExpectShape("monarch", "w1", w1.value(), {-1, -1, -1});
  ExpectShape("monarch", "w2", w2.value(), {-1, -1, -1});
  const bool fits = w1.size(0) * w1.size(1) == w2.size(0) * w2.size(2) &&
                    x.size(-1) <= w1.size(0) * w1.size(2) && out >= 0 &&
                    out <= w2.size(0) * w2.size(1);
  if (!fits) {
    ThrowInvalidTensor("monarch: w1 ", w1.shape().ToString(), " and w2 ", w2.shape().ToString(),
                       " do not map ", x.shape().ToString(), " to ", out, " columns");
  }
  if (!bias.defined()) return;
  ExpectAlike("monarch", x.value(), bias.value());
  ExpectShape("monarch", "bias", bias.value(), {out});
}

struct MonarchBackward {
  MonarchArguments forward;

  void operator()(BackwardContext& context) const {
    MonarchGradients gradients;
    gradients.dy = AsRows(context.output_gradient());
    if (context.needs(1)) gradients.dw1 = context.AddTarget(1);
    if (context.needs(2)) gradients.dw2 = context.AddTarget(2);
    if (context.needs(3)) gradients.dbias = context.AddTarget(3);
    StructuredKernels& kernels = forward.x.device().structured();
    if (!context.needs(0)) {
      kernels.MonarchBackward(forward, gradients);
      return;
    }
    context.WriteContiguous(0, [&](const Tensor& dx, bool accumulate) {
      gradients.dx = AsRows(dx);
      gradients.accumulate_dx = accumulate;
      kernels.MonarchBackward(forward, gradients);
    });
  }
};

}  // namespace

Variable MonarchProduct(const Variable& x, const Variable& w1, const Variable& w2,
                        const Variable& bias, int64_t out) {
  Check(x, w1, w2, bias, out);
  const Tensor y = Tensor::Empty(x.device(), x.shape().WithDim(-1, out), x.dtype());
  MonarchArguments arguments;
  arguments.x = AsRows(x.value());
  arguments.w1 = w1.value().Contiguous();
  arguments.w2 = w2.value().Contiguous();
  if (bias.defined()) arguments.bias = bias.value().Contiguous();
  arguments.h =
      Tensor::Empty(x.device(), {arguments.x.size(0), w1.size(0) * w1.size(1)}, x.dtype());
  arguments.y = AsRows(y);
  x.device().structured().Monarch(arguments);
  arguments.y = Tensor();
  return Recorder("monarch", x, w1, w2, bias).Record(y, MonarchBackward{arguments});
}

}  // namespace trainyard::nn
