#include "core/nn/ops/reductions.h"

#include <array>

#include "core/nn/ops/support.h"
#include "core/nn/recorder.h"
#include "core/tensor/kernels/elementwise_kernels.h"
#include "core/tensor/kernels/reduction_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {
namespace {

struct Reduction {
  Shape kept;         // with size 1 in the reduced dimensions
  Shape dropped;      // without them
  int64_t count = 1;  // elements that make one
};

Reduction PlanReduction(const char* operation, const Variable& x, std::span<const int> axes) {
  ExpectFloating(operation, x);
  std::array<bool, kMaxRank> reduced{};
  Reduction plan;
  plan.kept = x.shape();
  for (const int axis : axes) {
    const int which = x.shape().AxisOf(axis);
    if (reduced[which]) {
      ThrowInvalidTensor(operation, ": axis ", which, " named twice for ", x.value().Description());
    }
    reduced[which] = true;
    plan.count *= x.size(which);
    plan.kept.set_dim(which, 1);
  }
  for (int axis = 0; axis < x.rank(); ++axis) {
    if (!reduced[axis]) plan.dropped = plan.dropped.WithAppended(x.size(axis));
  }
  return plan;
}

Variable ScaledSum(const char* operation, const Variable& x, const Reduction& plan, double scale,
                   KeepDims keep) {
  Tensor out = Tensor::Empty(x.device(), plan.kept, x.dtype());
  x.device().reduction().Reduce(ReduceOp::kSum, x.value(), scale, out, false);
  if (keep == KeepDims::kNo) out = out.View(plan.dropped);
  return Recorder(operation, x)
      .Record(out, [scale, kept = plan.kept, shape = x.shape()](BackwardContext& context) {
        const Tensor dy = context.output_gradient().Contiguous().View(kept).BroadcastTo(shape);
        const GradientTarget target = context.Target(0);
        dy.device().elementwise().Affine(dy, scale, 0, target.tensor, target.accumulate);
      });
}

std::span<const int> AllAxes(const Variable& x) {
  static constexpr std::array<int, kMaxRank> kAxes = {0, 1, 2, 3, 4, 5};
  return {kAxes.data(), static_cast<size_t>(x.rank())};
}

}  // namespace

Variable Sum(const Variable& x, std::span<const int> axes, KeepDims keep) {
  return ScaledSum("sum", x, PlanReduction("sum", x, axes), 1, keep);
}

Variable Mean(const Variable& x, std::span<const int> axes, KeepDims keep) {
  const Reduction plan = PlanReduction("mean", x, axes);
  if (plan.count == 0) ThrowInvalidTensor("mean: ", x.value().Description(), " has no elements");
  return ScaledSum("mean", x, plan, 1 / static_cast<double>(plan.count), keep);
}

Variable Sum(const Variable& x) { return Sum(x, AllAxes(x)); }
Variable Mean(const Variable& x) { return Mean(x, AllAxes(x)); }

namespace {

// 1 where x equals its maximum, else 0: sign of x - max is 0 or below.
Tensor MarkMaxima(const Tensor& x, const Tensor& maximum) {
  ElementwiseKernels& kernels = x.device().elementwise();
  const Tensor ones = Tensor::Full(x.device(), {1}, 1, x.dtype()).BroadcastTo(x.shape());
  const Tensor mark = Tensor::Empty(x.device(), x.shape(), x.dtype());
  // kMaximum gives ties to the first input, so x is chosen exactly where it reaches the maximum.
  kernels.ChoiceBackward(BinaryOp::kMaximum, x, maximum.BroadcastTo(x.shape()), /*first=*/true,
                         ones, mark, false);
  return mark;
}

}  // namespace

Variable Max(const Variable& x, std::span<const int> axes, KeepDims keep) {
  const Reduction plan = PlanReduction("max", x, axes);
  if (plan.count == 0) ThrowInvalidTensor("max: ", x.value().Description(), " has no elements");
  const Tensor maximum = Tensor::Empty(x.device(), plan.kept, x.dtype());
  x.device().reduction().Reduce(ReduceOp::kMaximum, x.value(), 1, maximum, false);
  const Tensor out = keep == KeepDims::kNo ? maximum.View(plan.dropped) : maximum;
  return Recorder("max", x).Record(out, [x = x.value(), maximum](BackwardContext& context) {
    const Tensor mark = MarkMaxima(x, maximum);
    const Tensor share = Tensor::Empty(x.device(), maximum.shape(), x.dtype());
    x.device().reduction().Reduce(ReduceOp::kSum, mark, 1, share, false);
    ElementwiseKernels& kernels = x.device().elementwise();
    const Tensor dy = context.output_gradient().Contiguous().View(maximum.shape());
    kernels.Binary(BinaryOp::kDivide, dy, share, share);
    const GradientTarget target = context.Target(0);
    kernels.MultiplyAdd(mark, share.BroadcastTo(x.shape()), target.tensor, target.accumulate);
  });
}

}  // namespace trainyard::nn
