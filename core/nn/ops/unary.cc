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
        // The kernel overwrites, so gradients that exist already are added to afterwards.
        const auto target_of = [&](int input) {
          if (!context.needs(input)) return GradientTarget{};
          return context.Target(input);
        };
        const GradientTarget targets[2] = {target_of(0), target_of(1)};
        Tensor parts[2];
        for (const int i : {0, 1}) {
          const bool direct = targets[i].tensor.defined() && !targets[i].accumulate;
          parts[i] =
              direct ? targets[i].tensor : Tensor::Empty(dy.device(), dy.shape(), dy.dtype());
        }
        ElementwiseKernels& kernels = dy.device().elementwise();
        kernels.GateBackward(activation, a, b, dy, parts[0], parts[1]);
        for (const int i : {0, 1}) {
          if (targets[i].accumulate) kernels.Affine(parts[i], 1, 0, targets[i].tensor, true);
        }
      });
}

}  // namespace trainyard::nn
