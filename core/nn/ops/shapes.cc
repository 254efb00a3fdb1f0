#include "core/nn/ops/shapes.h"

#include <array>
#include <utility>

#include "core/nn/ops/support.h"
#include "core/nn/recorder.h"
#include "core/tensor/kernels/elementwise_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {
namespace {

Variable RecordReshape(const Variable& x, Tensor y) {
  return Recorder("reshape", x).Record(std::move(y), [shape = x.shape()](BackwardContext& context) {
    const Tensor& dy = context.output_gradient();
    context.Add(0, (dy.CanView(shape) ? dy : dy.Contiguous()).View(shape));
  });
}

}  // namespace

Variable Reshape(const Variable& x, std::initializer_list<int64_t> dims) {
  ExpectFloating("reshape", x);
  // A tensor without gaps knows what -1 stands for.
  const Tensor& value = x.value();
  const Shape shape =
      Tensor::Borrow(value.device(), value.shape(), value.dtype(), nullptr).View(dims).shape();
  return Reshape(x, shape);
}

Variable Reshape(const Variable& x, const Shape& shape) {
  ExpectFloating("reshape", x);
  const Tensor& value = x.value();
  return RecordReshape(x, (value.CanView(shape) ? value : value.Contiguous()).View(shape));
}

Variable Transpose(const Variable& x, int axis1, int axis2) {
  ExpectFloating("transpose", x);
  return Recorder("transpose", x)
      .Record(x.value().Transposed(axis1, axis2), [axis1, axis2](BackwardContext& context) {
        context.Add(0, context.output_gradient().Transposed(axis1, axis2));
      });
}

Variable Permute(const Variable& x, std::span<const int> order) {
  ExpectFloating("permute", x);
  Tensor y = x.value().Permuted(order);
  std::array<int, kMaxRank> inverse{};
  for (int i = 0; i < x.rank(); ++i) inverse[x.shape().AxisOf(order[i])] = i;
  return Recorder("permute", x)
      .Record(std::move(y), [inverse, rank = x.rank()](BackwardContext& context) {
        const std::span<const int> back(inverse.data(), static_cast<size_t>(rank));
        context.Add(0, context.output_gradient().Permuted(back));
      });
}

Variable BroadcastTo(const Variable& x, const Shape& shape) {
  ExpectFloating("broadcast", x);
  return Recorder("broadcast", x)
      .Record(x.value().BroadcastTo(shape), [from = x.shape()](BackwardContext& context) {
        AddUnbroadcast(context, 0, from, context.output_gradient());
      });
}

Variable Slice(const Variable& x, int axis, int64_t start, int64_t length) {
  ExpectFloating("slice", x);
  return Recorder("slice", x)
      .Record(x.value().Slice(axis, start, length),
              [axis, start, length](BackwardContext& context) {
                const Tensor& dy = context.output_gradient();
                const GradientBuffer dx = context.SumBuffer(0);
                const Tensor part = dx.tensor().Slice(axis, start, length);
                dy.device().elementwise().Affine(dy, 1, 0, part, /*accumulate=*/true);
                dx.Finish();
              });
}

std::vector<Variable> Split(const Variable& x, int axis, std::span<const int64_t> lengths) {
  ExpectFloating("split", x);
  return Recorder("split", x).RecordSlices(x.value(), axis, lengths, [](BackwardContext& context) {
    context.Add(0, context.TakePacked());
  });
}

Variable Concatenate(std::span<const Variable> parts, int axis) {
  if (parts.empty()) ThrowInvalidTensor("concatenate: nothing to join");
  Shape shape = parts[0].shape();
  const int which = shape.AxisOf(axis);
  shape.set_dim(which, 0);
  std::vector<int64_t> lengths;
  for (const Variable& part : parts) {
    ExpectSameFloating("concatenate", parts[0], part);
    const bool fits =
        part.rank() == shape.rank() && part.shape().WithDim(which, 0) == shape.WithDim(which, 0);
    if (!fits) {
      ThrowInvalidTensor("concatenate: ", parts[0].value().Description(), " and ",
                         part.value().Description(), " along axis ", which);
    }
    lengths.push_back(part.size(which));
    shape.set_dim(which, shape[which] + lengths.back());
  }
  const Tensor whole = Tensor::Empty(parts[0].device(), shape, parts[0].dtype());
  int64_t start = 0;
  for (const Variable& part : parts) {
    whole.Slice(which, start, part.size(which)).CopyFrom(part.value());
    start += part.size(which);
  }
  return Recorder("concatenate", parts)
      .Record(whole, [which, lengths = std::move(lengths)](BackwardContext& context) {
        int64_t from = 0;
        for (size_t i = 0; i < lengths.size(); ++i) {
          context.Add(static_cast<int>(i),
                      context.output_gradient().Slice(which, from, lengths[i]));
          from += lengths[i];
        }
      });
}

}  // namespace trainyard::nn
