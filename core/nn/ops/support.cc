#include "core/nn/ops/support.h"

#include "core/tensor/kernels/reduction_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {

void ExpectFloating(const char* operation, const Variable& x) {
  if (x.defined() && IsFloating(x.dtype())) return;
  ThrowInvalidTensor(operation, ": ", x.value().Description(),
                     " where float32 or float64 is expected");
}

void ExpectSameFloating(const char* operation, const Variable& a, const Variable& b) {
  ExpectFloating(operation, a);
  ExpectAlike(operation, a.value(), b.value());
}

void ExpectRankAtLeast(const char* operation, const Variable& x, int rank) {
  ExpectFloating(operation, x);
  if (x.rank() >= rank) return;
  ThrowInvalidTensor(operation, ": ", x.value().Description(), " has fewer than ", rank,
                     " dimensions");
}

void ExpectIndices(const char* operation, const char* name, const Tensor& indices, int64_t count,
                   int64_t bound) {
  if (!indices.defined() || indices.dtype() != DType::kInt32 || indices.elements() != count) {
    ThrowInvalidTensor(operation, ": ", name, "s are ", indices.Description(), "; expected ", count,
                       " of int32");
  }
  if (!indices.device().is_host() || count == 0) return;
  const Tensor whole = indices.Contiguous();
  const int32_t* const values = whole.data<int32_t>();
  for (int64_t i = 0; i < count; ++i) {
    if (values[i] >= -1 && values[i] < bound) continue;
    ThrowInvalidTensor(operation, ": ", name, " ", values[i], " of row ", i, " is not in -1 to ",
                       bound - 1);
  }
}

namespace {

Shape RowShape(const Tensor& x) {
  const int64_t width = x.size(-1);
  int64_t rows = 1;
  for (int axis = 0; axis + 1 < x.rank(); ++axis) rows *= x.size(axis);
  return Shape{rows, width};
}

}  // namespace

Tensor AsRows(const Tensor& x) { return x.Contiguous().View(RowShape(x)); }

Tensor AsRowsOrNone(const Tensor& x) { return x.defined() ? AsRows(x) : x; }

Tensor AsStridedRows(const Tensor& x) {
  const Shape rows = RowShape(x);
  if (x.CanView(rows)) {
    const Tensor view = x.View(rows);
    if (view.size(1) == 1 || view.stride(1) == 1) return view;
  }
  return x.Contiguous().View(rows);
}

Tensor WithUnitLastStride(const Tensor& x) {
  if (x.rank() == 0 || x.size(-1) == 1 || x.stride(-1) == 1) return x;
  return x.Contiguous();
}

Tensor WithLeadingOnes(const Tensor& x, int rank) {
  Tensor result = x;
  while (result.rank() < rank) result = result.Unsqueezed(0);
  return result;
}

void AddUnbroadcast(BackwardContext& context, int input, const Shape& shape,
                    const Tensor& gradient) {
  if (!context.needs(input)) return;
  if (gradient.shape() == shape) {
    context.Add(input, gradient);
    return;
  }
  const GradientBuffer out = context.Buffer(input);
  gradient.device().reduction().Reduce(ReduceOp::kSum, gradient, 1,
                                       WithLeadingOnes(out.tensor(), gradient.rank()),
                                       out.accumulate());
  out.Finish();
}

}  // namespace trainyard::nn
