#include "core/nn/ops/matmul.h"

#include "core/nn/ops/support.h"
#include "core/nn/recorder.h"
#include "core/tensor/kernels/matmul_kernels.h"
#include "core/tensor/kernels/reduction_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {
namespace {

// A matrix as the kernel takes it: one of the last two strides is 1.
Tensor AsOperand(const Tensor& x) {
  const bool fits = x.size(-1) == 1 || x.stride(-1) == 1 || x.size(-2) == 1 || x.stride(-2) == 1;
  return fits ? x : x.Contiguous();
}

void Product(const Tensor& a, const Tensor& b, double scale, const Tensor& out, bool accumulate) {
  MatmulArguments arguments;
  arguments.a = AsOperand(a);
  arguments.b = AsOperand(b);
  arguments.out = out;
  arguments.alpha = scale;
  arguments.accumulate = accumulate;
  out.device().matmul().Matmul(arguments);
}

// Batch dimensions of `x` replaced by those of `batch`, whose last two dimensions do not count.
Tensor WithBatch(const Tensor& x, const Shape& batch) {
  Shape shape = batch;
  shape.set_dim(-2, x.size(-2));
  shape.set_dim(-1, x.size(-1));
  return x.shape() == shape ? x : x.BroadcastTo(shape);
}

// Adds scale * left right, of the product's batch, to the gradient of an input of shape `to`.
void AddProduct(BackwardContext& context, int input, const Shape& to, const Tensor& left,
                const Tensor& right, double scale) {
  Shape full = left.shape();
  full.set_dim(-1, right.size(-1));
  if (full == to) {
    const GradientTarget target = context.Target(input);
    Product(left, right, scale, target.tensor, target.accumulate);
    return;
  }
  const Tensor product = Tensor::Empty(left.device(), full, left.dtype());
  Product(left, right, scale, product, false);
  AddUnbroadcast(context, input, to, product);
}

// With C = s op(A) op(B): dop(A) = s dC op(B)', dop(B) = s op(A)' dC.
struct MatmulBackward {
  Tensor a;
  Tensor b;
  MatmulOptions options;

  void operator()(BackwardContext& context) const {
    const Tensor& dc = context.output_gradient();
    const Tensor left = WithBatch(options.transpose_a ? a.Transposed() : a, dc.shape());
    const Tensor right = WithBatch(options.transpose_b ? b.Transposed() : b, dc.shape());
    if (context.needs(0) && !options.transpose_a) {
      AddProduct(context, 0, a.shape(), dc, right.Transposed(), options.scale);
    } else if (context.needs(0)) {
      AddProduct(context, 0, a.shape(), right, dc.Transposed(), options.scale);
    }
    if (context.needs(1) && !options.transpose_b) {
      AddProduct(context, 1, b.shape(), left.Transposed(), dc, options.scale);
    } else if (context.needs(1)) {
      AddProduct(context, 1, b.shape(), dc.Transposed(), left, options.scale);
    }
  }
};

Shape BatchOf(const Shape& shape) {
  return Shape(shape.dims().subspan(0, static_cast<size_t>(shape.rank() - 2)));
}

}  // namespace

Variable Matmul(const Variable& a, const Variable& b, const MatmulOptions& options) {
  ExpectRankAtLeast("matmul", a, 2);
  ExpectRankAtLeast("matmul", b, 2);
  ExpectAlike("matmul", a.value(), b.value());
  const Tensor left = options.transpose_a ? a.value().Transposed() : a.value();
  const Tensor right = options.transpose_b ? b.value().Transposed() : b.value();
  if (left.size(-1) != right.size(-2)) {
    ThrowInvalidTensor("matmul: inner sizes of ", left.shape().ToString(), " and ",
                       right.shape().ToString(), " differ");
  }
  const Shape shape = BroadcastShapes("matmul", BatchOf(left.shape()), BatchOf(right.shape()))
                          .WithAppended(left.size(-2))
                          .WithAppended(right.size(-1));
  const Tensor out = Tensor::Empty(a.device(), shape, a.dtype());
  Product(WithBatch(left, shape), WithBatch(right, shape), options.scale, out, false);
  return Recorder("matmul", a, b).Record(out, MatmulBackward{a.value(), b.value(), options});
}

namespace {

struct LinearBackward {
  Tensor x;       // rows
  Tensor weight;  // [in, out]
  Activation activation = Activation::kNone;
  Tensor saved;  // rows of what the activation's backward kernel wants; undefined without one

  // Rows of dL/d(x W + b); adds the bias's gradient.
  Tensor OfPreActivation(BackwardContext& context) const {
    if (activation == Activation::kNone) {
      const Tensor dy = AsStridedRows(context.output_gradient());
      if (context.needs(2)) {
        const GradientTarget target = context.Target(2);
        dy.device().reduction().Reduce(ReduceOp::kSum, dy, 1, target.tensor.Unsqueezed(0),
                                       target.accumulate);
      }
      return dy;
    }
    const Tensor dpre = AsRows(context.Scratch());
    GradientTarget bias;
    if (context.needs(2)) bias = context.Target(2);
    dpre.device().elementwise().BiasActivationBackward(
        activation, saved, AsRows(context.output_gradient()), dpre, bias.tensor, bias.accumulate);
    return dpre;
  }

  void operator()(BackwardContext& context) const {
    const Tensor dpre = OfPreActivation(context);
    if (context.needs(1)) {
      const GradientTarget target = context.Target(1);
      Product(x.Transposed(), dpre, 1, target.tensor, target.accumulate);
    }
    if (!context.needs(0)) return;
    const GradientTarget target = context.Target(0);
    const Shape rows{x.size(0), x.size(1)};
    if (target.tensor.CanView(rows)) {
      Product(dpre, weight.Transposed(), 1, target.tensor.View(rows), target.accumulate);
      return;
    }
    const Tensor dx = Tensor::Empty(x.device(), rows, x.dtype());
    Product(dpre, weight.Transposed(), 1, dx, false);
    dx.device().elementwise().Affine(dx.View(target.tensor.shape()), 1, 0, target.tensor,
                                     target.accumulate);
  }
};

void CheckLinear(const Variable& x, const Variable& weight, const Variable& bias) {
  ExpectRankAtLeast("linear", x, 1);
  ExpectAlike("linear", x.value(), weight.value());
  ExpectShape("linear", "weight", weight.value(), {x.size(-1), -1});
  if (!bias.defined()) return;
  ExpectAlike("linear", x.value(), bias.value());
  ExpectShape("linear", "bias", bias.value(), {weight.size(1)});
}

}  // namespace

Variable LinearProduct(const Variable& x, const Variable& weight, const Variable& bias,
                       Activation activation) {
  CheckLinear(x, weight, bias);
  Recorder recorder("linear", x, weight, bias);
  const Tensor y = Tensor::Empty(x.device(), x.shape().WithDim(-1, weight.size(1)), x.dtype());
  MatmulArguments arguments;
  arguments.a = AsStridedRows(x.value());
  arguments.b = AsOperand(weight.value());
  arguments.out = y.View({arguments.a.size(0), weight.size(1)});
  if (bias.defined()) arguments.bias = bias.value().Contiguous();
  arguments.activation = activation;
  Tensor saved;
  if (activation != Activation::kNone && recorder.recording()) {
    saved = arguments.out;
    if (!ActivationSavesOutput(activation)) {
      saved = Tensor::Empty(x.device(), saved.shape(), x.dtype());
      arguments.pre_activation = saved;
    }
  }
  x.device().matmul().Matmul(arguments);
  return recorder.Record(y, LinearBackward{arguments.a, arguments.b, activation, saved});
}

}  // namespace trainyard::nn
