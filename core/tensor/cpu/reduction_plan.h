// The dimensions of a reduction, joined and sorted.
#pragma once

#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "core/tensor/kernels/reduction_kernels.h"
#include "core/tensor/tensor.h"

namespace trainyard {

struct ReducedAxis {
  int64_t size = 1;
  int64_t in_stride = 0;
  int64_t out_stride = 0;  // 0 where the axis is reduced
};

// A set of axes as one index, the last axis fastest.
class AxisSet {
 public:
  void Add(const ReducedAxis& axis) { axes_.push_back(axis); }
  bool empty() const { return axes_.empty(); }
  const ReducedAxis& back() const { return axes_.back(); }
  ReducedAxis TakeLast();
  int64_t elements() const;

  struct Offsets {
    int64_t in = 0;
    int64_t out = 0;
  };
  Offsets OffsetsOf(int64_t index) const;

 private:
  absl::InlinedVector<ReducedAxis, kMaxRank> axes_;
};

// Splits the axes of `in` into those that `out` keeps and those that are reduced, each set by
// strides of `in`, the largest first; those that lie in memory like one are joined.
struct ReductionPlan {
  ReductionPlan(ReduceOp op, const Tensor& in, const Tensor& out);

  AxisSet kept;
  AxisSet reduced;
  // Elements that are neighbours in memory belong to different results.
  bool by_columns = false;
  // Sums are multiplied by this: reduced axes with a stride of 0 are left out.
  double factor = 1;
};

}  // namespace trainyard
