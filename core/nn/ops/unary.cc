#include "core/nn/ops/unary.h"

#include "core/nn/ops/support.h"
#include "core/nn/recorder.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {

Variable Apply(UnaryOp op, const Variable& x) {
  ExpectFloating("unary", x);
  const Tensor y = Tensor::Empty(x.device(), x.shape(), x.dtype());
  x.device().elementwise().Unary(op, x.value(), y);
  const Tensor saved = SavesOutput(op) ? y : x.value();
  return Recorder("unary", x).Record(y, [op, saved](BackwardContext& context) {
    const Tensor& dy = context.output_gradient();
    const GradientTarget target = context.Target(0);
    dy.device().elementwise().UnaryBackward(op, saved, dy, target.tensor, target.accumulate);
  });
}

namespace {

// Adds the gradients of act(x + bias), rows [n, d], to inputs 0 and 1. `saved` is what the kernel
// wants.
void BackwardOfBiasActivation(BackwardContext& context, Activation activation,
                              const Tensor& saved) {
  const Tensor scratch = context.Scratch();
  const Tensor dy = AsRows(context.output_gradient());
  const Tensor dx = AsRows(scratch);
  Tensor dbias;
  bool accumulate_bias = false;
  if (context.needs(1)) {
    const GradientTarget target = context.Target(1);
    dbias = target.tensor;
    accumulate_bias = target.accumulate;
  }
  dy.device().elementwise().BiasActivationBackward(activation, saved, dy, dx, dbias,
                                                   accumulate_bias);
  context.Add(0, scratch);
}

}  // namespace

Variable BiasActivation(const Variable& x, const Variable& bias, Activation activation) {
  ExpectRankAtLeast("bias_activation", x, 1);
  if (bias.defined()) {
    ExpectAlike("bias_activation", x.value(), bias.value());
    ExpectShape("bias_activation", "bias", bias.value(), {x.size(-1)});
  }
  Recorder recorder("bias_activation", x, bias);
  const Tensor y = Tensor::Empty(x.device(), x.shape(), x.dtype());
  const bool saves_output = activation == Activation::kNone || ActivationSavesOutput(activation);
  Tensor pre;
  if (recorder.recording() && !saves_output) pre = Tensor::Empty(x.device(), x.shape(), x.dtype());
  x.device().elementwise().BiasActivation(
      AsRows(x.value()), bias.defined() ? bias.value().Contiguous() : Tensor(), activation,
      pre.defined() ? AsRows(pre) : Tensor(), AsRows(y));
  const Tensor saved = AsRows(pre.defined() ? pre : y);
  return recorder.Record(y, [activation, saved](BackwardContext& context) {
    BackwardOfBiasActivation(context, activation, saved);
  });
}

Variable Gate(Activation activation, const Variable& a, const Variable& b) {
  ExpectSameFloating("gate", a, b);
  if (a.shape() != b.shape()) {
    ThrowInvalidTensor("gate: shapes ", a.shape().ToString(), " and ", b.shape().ToString(),
                       " differ");
  }
  const Tensor y = Tensor::Empty(a.device(), a.shape(), a.dtype());
  a.device().elementwise().Gate(activation, a.value(), b.value(), y);
  return Recorder("gate", a, b)
      .Record(y, [activation, a = a.value(), b = b.value()](BackwardContext& context) {
        const Tensor& dy = context.output_gradient();
        const GradientBuffer da = context.FreshBuffer(0, a);
        const GradientBuffer db = context.FreshBuffer(1, b);
        dy.device().elementwise().GateBackward(activation, a, b, dy, da.tensor(), db.tensor());
        da.Finish();
        db.Finish();
      });
}

}  // namespace trainyard::nn
