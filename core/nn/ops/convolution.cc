#include "core/nn/ops/convolution.h"

#include "core/nn/ops/support.h"
#include "core/nn/recorder.h"
#include "core/tensor/kernels/convolution_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {
namespace {

void Check(const Variable& x, const Variable& w, const Variable& bias, int64_t pad_left) {
  ExpectSameFloating("convolve1d", x, w);
  ExpectShape("convolve1d", "x", x.value(), {-1, -1, -1});
  ExpectShape("convolve1d", "w", w.value(), {-1, x.size(2), -1});
  if (pad_left < 0 || pad_left >= w.size(0)) {
    ThrowInvalidTensor("convolve1d: ", pad_left, " elements of padding for a width of ", w.size(0));
  }
  if (!bias.defined()) return;
  ExpectAlike("convolve1d", x.value(), bias.value());
  ExpectShape("convolve1d", "bias", bias.value(), {w.size(2)});
}

}  // namespace

Variable Convolve1d(const Variable& x, const Variable& w, const Variable& bias, int64_t pad_left) {
  Check(x, w, bias, pad_left);
  Convolution1dArguments arguments;
  arguments.x = x.value().Contiguous();
  arguments.w = w.value().Contiguous();
  if (bias.defined()) arguments.bias = bias.value().Contiguous();
  const Tensor y = Tensor::Empty(x.device(), x.shape().WithDim(2, w.size(2)), x.dtype());
  arguments.y = y;
  arguments.pad_left = pad_left;
  x.device().convolution().Convolve1d(arguments);
  arguments.y = Tensor();
  return Recorder("convolve1d", x, w, bias).Record(y, [arguments](BackwardContext& context) {
    const Tensor dy = context.output_gradient().Contiguous();
    const GradientBuffer dx = context.Buffer(0);
    const GradientBuffer dw = context.SumBuffer(1);
    const GradientBuffer dbias = context.SumBuffer(2);
    Convolution1dArguments forward = arguments;
    forward.y = dy;  // for its shape
    dy.device().convolution().Convolve1dBackward(forward, dy, dx.tensor(), dx.accumulate(),
                                                 dw.tensor(), dbias.tensor());
    for (const GradientBuffer* gradient : {&dx, &dw, &dbias}) gradient->Finish();
  });
}

}  // namespace trainyard::nn
