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
    const GradientBuffer dx = context.Buffer(0);
    const GradientBuffer dw1 = context.SumBuffer(1);
    const GradientBuffer dw2 = context.SumBuffer(2);
    const GradientBuffer dbias = context.SumBuffer(3);
    gradients.dx = AsRowsOrNone(dx.tensor());
    gradients.accumulate_dx = dx.accumulate();
    gradients.dw1 = dw1.tensor();
    gradients.dw2 = dw2.tensor();
    gradients.dbias = dbias.tensor();
    MonarchArguments arguments = forward;
    arguments.y = gradients.dy;  // for its shape
    forward.x.device().structured().MonarchBackward(arguments, gradients);
    for (const GradientBuffer* gradient : {&dx, &dw1, &dw2, &dbias}) gradient->Finish();
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
