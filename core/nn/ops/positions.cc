#include "core/nn/ops/positions.h"

#include "core/nn/ops/support.h"
#include "core/nn/recorder.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {
namespace {

// [batch, n, heads * s] as [batch, n, heads, s].
Tensor ByHead(const Tensor& x, int heads) {
  const Tensor rows = WithUnitLastStride(x);
  return rows.View({x.size(0), x.size(1), heads, x.size(2) / heads});
}

void CheckRotary(const Variable& x, const RotaryOptions& options) {
  ExpectFloating("rotary", x);
  ExpectShape("rotary", "x", x.value(), {-1, -1, -1});
  if (options.heads < 1 || x.size(2) % (2 * options.heads) != 0) {
    ThrowInvalidTensor("rotary: ", options.heads, " heads of even size do not make ",
                       x.value().Description());
  }
  if (!options.positions.defined()) return;
  ExpectShape("rotary", "positions", options.positions, {x.size(0), x.size(1)});
  if (options.positions.dtype() != DType::kInt32) {
    ThrowInvalidTensor("rotary: positions are ", options.positions.Description(),
                       "; expected int32");
  }
}

RotaryArguments ArgumentsOf(const RotaryOptions& options) {
  RotaryArguments arguments;
  if (options.positions.defined()) arguments.positions = options.positions.Contiguous();
  arguments.first = options.first;
  arguments.base = options.base;
  arguments.pairing = options.pairing;
  return arguments;
}

}  // namespace

Variable Rotary(const Variable& x, const RotaryOptions& options) {
  CheckRotary(x, options);
  RotaryArguments arguments = ArgumentsOf(options);
  const Tensor y = Tensor::Empty(x.device(), x.shape(), x.dtype());
  arguments.x = ByHead(x.value(), options.heads);
  arguments.out = ByHead(y, options.heads);
  x.device().position().Rotary(arguments);
  return Recorder("rotary", x).Record(y, [options](BackwardContext& context) {
    const GradientTarget target = context.Target(0);
    RotaryArguments back = ArgumentsOf(options);
    back.x = ByHead(context.output_gradient(), options.heads);
    back.out = ByHead(target.tensor, options.heads);
    back.inverse = true;
    back.accumulate = target.accumulate;
    back.x.device().position().Rotary(back);
  });
}

Tensor Sinusoid(Device& device, int64_t n, int64_t d, DType type, int64_t first, double base) {
  if (n < 0 || d < 0 || d % 2 != 0) {
    ThrowInvalidTensor("sinusoid: ", n, " positions of ", d, " coordinates; the latter are even");
  }
  const Tensor out = Tensor::Empty(device, {n, d}, type);
  device.position().Sinusoid(first, base, out);
  return out;
}

Variable ToeplitzBias(const Variable& w, int64_t n, int64_t m) {
  ExpectFloating("toeplitz_bias", w);
  ExpectShape("toeplitz_bias", "w", w.value(), {n + m - 1});
  const Tensor out = Tensor::Empty(w.device(), {n, m}, w.dtype());
  w.device().position().Toeplitz(w.value().Contiguous(), out);
  return Recorder("toeplitz_bias", w).Record(out, [](BackwardContext& context) {
    const Tensor d = context.output_gradient().Contiguous().Unsqueezed(0);
    const GradientBuffer dw = context.SumBuffer(0);
    d.device().position().ToeplitzBackward(d, dw.tensor());
    dw.Finish();
  });
}

}  // namespace trainyard::nn
