#include "core/tensor/cpu/reduction_plan.h"

#include <algorithm>

namespace trainyard {

ReducedAxis AxisSet::TakeLast() {
  if (axes_.empty()) return {};
  const ReducedAxis last = axes_.back();
  axes_.pop_back();
  return last;
}

int64_t AxisSet::elements() const {
  int64_t product = 1;
  for (const ReducedAxis& axis : axes_) product *= axis.size;
  return product;
}

AxisSet::Offsets AxisSet::OffsetsOf(int64_t index) const {
  Offsets offsets;
  for (size_t i = axes_.size(); i-- > 0;) {
    const int64_t at = index % axes_[i].size;
    index /= axes_[i].size;
    offsets.in += at * axes_[i].in_stride;
    offsets.out += at * axes_[i].out_stride;
  }
  return offsets;
}

ReductionPlan::ReductionPlan(ReduceOp op, const Tensor& in, const Tensor& out) {
  struct Axis : ReducedAxis {
    bool is_reduced = false;
  };
  absl::InlinedVector<Axis, kMaxRank> axes;
  for (int i = 0; i < in.rank(); ++i) {
    if (in.size(i) == 1) continue;
    const bool is_reduced = out.size(i) == 1;
    if (is_reduced && in.stride(i) == 0 && in.size(i) > 0) {
      if (op == ReduceOp::kSum) factor *= static_cast<double>(in.size(i));
      continue;
    }
    axes.push_back({{in.size(i), in.stride(i), is_reduced ? 0 : out.stride(i)}, is_reduced});
  }
  std::stable_sort(axes.begin(), axes.end(),
                   [](const Axis& a, const Axis& b) { return a.in_stride > b.in_stride; });
  by_columns = !axes.empty() && !axes.back().is_reduced && axes.back().in_stride == 1;
  absl::InlinedVector<Axis, kMaxRank> joined;
  for (const Axis& axis : axes) {
    if (!joined.empty() && joined.back().is_reduced == axis.is_reduced &&
        joined.back().in_stride == axis.in_stride * axis.size &&
        joined.back().out_stride == axis.out_stride * axis.size) {
      joined.back().size *= axis.size;
      joined.back().in_stride = axis.in_stride;
      joined.back().out_stride = axis.out_stride;
    } else {
      joined.push_back(axis);
    }
  }
  for (const Axis& axis : joined) (axis.is_reduced ? reduced : kept).Add(axis);
}

}  // namespace trainyard
