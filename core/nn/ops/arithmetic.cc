#include "core/nn/ops/arithmetic.h"

#include "core/nn/ops/support.h"
#include "core/nn/recorder.h"
#include "core/tensor/kernels/elementwise_kernels.h"

namespace trainyard::nn {
namespace {

Tensor Apply(const char* operation, BinaryOp op, const Variable& a, const Variable& b) {
  ExpectSameFloating(operation, a, b);
  const Shape shape =
      a.shape() == b.shape() ? a.shape() : BroadcastShapes(operation, a.shape(), b.shape());
  const Tensor out = Tensor::Empty(a.device(), shape, a.dtype());
  a.device().elementwise().Binary(op, a.value().BroadcastTo(shape), b.value().BroadcastTo(shape),
                                  out);
  return out;
}

// Adds `gradient` * `factor` to the gradient of input `input`, of shape `to`.
void AddProduct(BackwardContext& context, int input, const Shape& to, const Tensor& gradient,
                const Tensor& factor) {
  if (!context.needs(input)) return;
  const Tensor other = factor.BroadcastTo(gradient.shape());
  ElementwiseKernels& kernels = gradient.device().elementwise();
  if (to == gradient.shape()) {
    const GradientTarget target = context.Target(input);
    kernels.MultiplyAdd(gradient, other, target.tensor, target.accumulate);
    return;
  }
  const Tensor product = Tensor::Empty(gradient.device(), gradient.shape(), gradient.dtype());
  kernels.MultiplyAdd(gradient, other, product, false);
  AddUnbroadcast(context, input, to, product);
}

Tensor Scaled(const Tensor& x, double scale) {
  const Tensor out = Tensor::Empty(x.device(), x.shape(), x.dtype());
  x.device().elementwise().Affine(x, scale, 0, out, false);
  return out;
}

Variable Choose(const char* operation, BinaryOp op, const Variable& a, const Variable& b) {
  const Tensor out = Apply(operation, op, a, b);
  return Recorder(operation, a, b)
      .Record(out, [op, a = a.value(), b = b.value()](BackwardContext& context) {
        const Tensor& dy = context.output_gradient();
        const Tensor both[2] = {a, b};
        for (const int input : {0, 1}) {
          if (!context.needs(input)) continue;
          const Tensor part = Tensor::Empty(dy.device(), dy.shape(), dy.dtype());
          dy.device().elementwise().ChoiceBackward(op, both[input].BroadcastTo(dy.shape()),
                                                   both[1 - input].BroadcastTo(dy.shape()),
                                                   /*first=*/input == 0, dy, part, false);
          AddUnbroadcast(context, input, both[input].shape(), part);
        }
      });
}

}  // namespace

Variable Add(const Variable& a, const Variable& b) {
  const Tensor out = Apply("add", BinaryOp::kAdd, a, b);
  return Recorder("add", a, b)
      .Record(out, [a = a.shape(), b = b.shape()](BackwardContext& context) {
        AddUnbroadcast(context, 0, a, context.output_gradient());
        AddUnbroadcast(context, 1, b, context.output_gradient());
      });
}

Variable Subtract(const Variable& a, const Variable& b) {
  const Tensor out = Apply("subtract", BinaryOp::kSubtract, a, b);
  return Recorder("subtract", a, b)
      .Record(out, [a = a.shape(), b = b.shape()](BackwardContext& context) {
        AddUnbroadcast(context, 0, a, context.output_gradient());
        if (context.needs(1)) AddUnbroadcast(context, 1, b, Scaled(context.output_gradient(), -1));
      });
}

Variable Multiply(const Variable& a, const Variable& b) {
  const Tensor out = Apply("multiply", BinaryOp::kMultiply, a, b);
  return Recorder("multiply", a, b)
      .Record(out, [a = a.value(), b = b.value()](BackwardContext& context) {
        AddProduct(context, 0, a.shape(), context.output_gradient(), b);
        AddProduct(context, 1, b.shape(), context.output_gradient(), a);
      });
}

// d(a / b) = da / b - (a / b) / b db.
Variable Divide(const Variable& a, const Variable& b) {
  const Tensor out = Apply("divide", BinaryOp::kDivide, a, b);
  return Recorder("divide", a, b)
      .Record(out, [a = a.shape(), b = b.value(), out](BackwardContext& context) {
        const Tensor& dy = context.output_gradient();
        const Tensor quotient = Tensor::Empty(dy.device(), dy.shape(), dy.dtype());
        ElementwiseKernels& kernels = dy.device().elementwise();
        kernels.Binary(BinaryOp::kDivide, dy, b.BroadcastTo(dy.shape()), quotient);
        if (context.needs(1)) AddProduct(context, 1, b.shape(), Scaled(quotient, -1), out);
        AddUnbroadcast(context, 0, a, quotient);
      });
}

Variable Maximum(const Variable& a, const Variable& b) {
  return Choose("maximum", BinaryOp::kMaximum, a, b);
}

Variable Minimum(const Variable& a, const Variable& b) {
  return Choose("minimum", BinaryOp::kMinimum, a, b);
}

Variable Affine(const Variable& x, double scale, double shift) {
  ExpectFloating("affine", x);
  const Tensor out = Tensor::Empty(x.device(), x.shape(), x.dtype());
  x.device().elementwise().Affine(x.value(), scale, shift, out, false);
  return Recorder("affine", x).Record(out, [scale](BackwardContext& context) {
    const Tensor& dy = context.output_gradient();
    const GradientTarget target = context.Target(0);
    dy.device().elementwise().Affine(dy, scale, 0, target.tensor, target.accumulate);
  });
}

}  // namespace trainyard::nn
