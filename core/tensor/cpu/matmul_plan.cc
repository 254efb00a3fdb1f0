#include "core/tensor/cpu/matmul_plan.h"

#include <algorithm>

namespace trainyard {
namespace {

// Where one matrix of `tensor` has its rows side by side in memory, or else its columns.
bool IsTransposed(const Tensor& tensor) {
  // A stride of 1 decides, unless the dimension has one element only.
  if (tensor.size(-1) > 1) return tensor.stride(-1) != 1;
  return tensor.size(-2) > 1 && tensor.stride(-2) == 1 && tensor.stride(-1) != 1;
}

int64_t RowStride(const Tensor& tensor, bool transposed) {
  return tensor.stride(transposed ? -1 : -2);
}

// Whether `outer` continues `inner` in all operands.
bool Joins(const MatmulBatch::Dimension& outer, const MatmulBatch::Dimension& inner) {
  return outer.a == inner.a * inner.size && outer.b == inner.b * inner.size &&
         outer.out == inner.out * inner.size && outer.pre == inner.pre * inner.size;
}

// Rows of a batch that shares its b and lies in memory like one matrix are rows of one product.
void FoldBatchIntoRows(MatmulBatch& batch, bool has_pre) {
  while (batch.rank > 0) {
    const MatmulBatch::Dimension& inner = batch.dimensions[batch.rank - 1];
    const int64_t m = batch.shape.m;
    const bool folds = inner.b == 0 && !batch.shape.transpose_a && inner.a == m * batch.a_stride &&
                       inner.out == m * batch.out_stride &&
                       (!has_pre || inner.pre == m * batch.pre_stride);
    if (!folds) return;
    batch.shape.m *= inner.size;
    batch.count /= inner.size;
    --batch.rank;
  }
}

}  // namespace

MatmulBatch::Offsets MatmulBatch::OffsetsOf(int64_t index) const {
  Offsets offsets;
  for (int i = rank - 1; i >= 0; --i) {
    const Dimension& dimension = dimensions[i];
    const int64_t at = index % dimension.size;
    index /= dimension.size;
    offsets.a += at * dimension.a;
    offsets.b += at * dimension.b;
    offsets.out += at * dimension.out;
    offsets.pre += at * dimension.pre;
  }
  return offsets;
}

MatmulBatch DescribeMatmul(const MatmulArguments& arguments) {
  const Tensor& a = arguments.a;
  const Tensor& b = arguments.b;
  const Tensor& out = arguments.out;
  const Tensor& pre = arguments.pre_activation;
  MatmulBatch batch;
  batch.shape = {out.size(-2), out.size(-1), a.size(-1), IsTransposed(a), IsTransposed(b)};
  batch.a_stride = RowStride(a, batch.shape.transpose_a);
  batch.b_stride = RowStride(b, batch.shape.transpose_b);
  batch.out_stride = out.stride(-2);
  batch.pre_stride = pre.defined() ? pre.stride(-2) : 0;
  for (int axis = 0; axis < out.rank() - 2; ++axis) {
    if (out.size(axis) == 1) continue;
    const MatmulBatch::Dimension next{out.size(axis), a.stride(axis), b.stride(axis),
                                      out.stride(axis), pre.defined() ? pre.stride(axis) : 0};
    batch.count *= next.size;
    if (batch.rank > 0 && Joins(batch.dimensions[batch.rank - 1], next)) {
      const int64_t outer = batch.dimensions[batch.rank - 1].size;
      batch.dimensions[batch.rank - 1] = next;
      batch.dimensions[batch.rank - 1].size *= outer;
    } else {
      batch.dimensions[batch.rank++] = next;
    }
  }
  if (batch.count > 0) FoldBatchIntoRows(batch, pre.defined());
  return batch;
}

MatmulSplit SplitMatmul(const MatmulBatch& batch, int threads) {
  // Below this many multiplications a second thread costs more than it saves.
  constexpr int64_t kGrain = int64_t{1} << 21;
  const GemmShape& shape = batch.shape;
  MatmulSplit split;
  const int64_t work = shape.m * shape.n * std::max<int64_t>(shape.k, 1);
  const int64_t parts = std::min<int64_t>(threads, work * batch.count / kGrain);
  if (parts <= 1) return split;
  if (batch.count >= 2 * parts || batch.count % parts == 0) {
    // A few runs a thread, so that a thread that was held up does not hold up the other.
    split.batch_parts = std::min(batch.count, std::min(4 * parts, work * batch.count / kGrain));
  } else if (shape.m >= shape.n) {
    split.row_parts = parts;
  } else {
    split.column_parts = parts;
  }
  return split;
}

Range PartOf(int64_t size, int64_t parts, int64_t index, int64_t unit) {
  const int64_t units = (size + unit - 1) / unit;
  return {std::min(units * index / parts * unit, size),
          std::min(units * (index + 1) / parts * unit, size)};
}

}  // namespace trainyard
