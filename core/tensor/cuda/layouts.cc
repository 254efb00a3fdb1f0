#include "core/tensor/cuda/layouts.h"

#include <algorithm>
#include <span>

namespace trainyard::cuda {
namespace {

int64_t StrideOf(const Tensor* operand, int axis) {
  return operand->defined() ? operand->stride(axis) : 0;
}

}  // namespace

StridedLayout LayoutOf(std::initializer_list<const Tensor*> operands) {
  const Tensor& shape_of = **std::find_if(operands.begin(), operands.end(),
                                          [](const Tensor* operand) { return operand->defined(); });
  const std::span<const Tensor* const> all(operands.begin(), operands.size());
  StridedLayout layout;
  layout.elements = shape_of.elements();
  for (int axis = shape_of.rank() - 1; axis >= 0; --axis) {
    const int64_t size = shape_of.size(axis);
    if (size == 1) continue;
    const int last = layout.rank - 1;
    bool joins = layout.rank > 0;
    for (size_t j = 0; j < all.size() && joins; ++j) {
      joins = StrideOf(all[j], axis) == layout.strides[j][last] * layout.sizes[last];
    }
    if (joins) {
      layout.sizes[last] *= size;
      continue;
    }
    layout.sizes[layout.rank] = size;
    for (size_t j = 0; j < all.size(); ++j) {
      layout.strides[j][layout.rank] = StrideOf(all[j], axis);
    }
    ++layout.rank;
  }
  layout.contiguous = layout.rank <= 1;
  for (size_t j = 0; j < all.size(); ++j) {
    if (layout.rank == 1 && all[j]->defined() && layout.strides[j][0] != 1) {
      layout.contiguous = false;
    }
  }
  if (layout.elements >> 31 == 0 && layout.elements > 0) {
    for (int axis = 0; axis < layout.rank; ++axis) {
      layout.dividers[axis] = FastDivider(static_cast<uint32_t>(layout.sizes[axis]));
    }
  }
  return layout;
}

}  // namespace trainyard::cuda
