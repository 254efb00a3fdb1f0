#include "core/tensor/cpu/strided_loop.h"

#include <algorithm>

namespace trainyard {
namespace {

// Axes of more than one element by the first operand's strides, the largest first.
int OrderOfAxes(const Tensor& first, std::array<int, kMaxRank>& order) {
  int count = 0;
  for (int axis = 0; axis < first.rank(); ++axis) {
    if (first.size(axis) == 1) continue;
    int at = count++;
    for (; at > 0 && first.stride(order[at - 1]) < first.stride(axis); --at) {
      order[at] = order[at - 1];
    }
    order[at] = axis;
  }
  return count;
}

}  // namespace

StridedLoop::StridedLoop(std::span<const Tensor* const> operands)
    : operands_(static_cast<int>(operands.size())), elements_(operands[0]->elements()) {
  std::array<int, kMaxRank> order{};
  const int count = OrderOfAxes(*operands[0], order);
  const auto stride_of = [&](int operand, int axis) {
    return operands[operand]->defined() ? operands[operand]->stride(axis) : 0;
  };
  for (int i = 0; i < count; ++i) {
    const int axis = order[i];
    const int64_t size = operands[0]->size(axis);
    bool joins = rank_ > 0;
    for (int operand = 0; joins && operand < operands_; ++operand) {
      joins = strides_[operand][rank_ - 1] == stride_of(operand, axis) * size;
    }
    if (!joins) sizes_[rank_++] = 1;
    sizes_[rank_ - 1] *= size;
    for (int operand = 0; operand < operands_; ++operand) {
      strides_[operand][rank_ - 1] = stride_of(operand, axis);
    }
  }
  if (rank_ == 0) {
    sizes_[rank_++] = 1;
    for (int operand = 0; operand < operands_; ++operand) strides_[operand][0] = 1;
  }
  for (int operand = 0; operand < operands_; ++operand) {
    int64_t stride = 1;
    linear_[operand] = operands[operand]->defined();
    for (int d = rank_ - 1; d >= 0; --d) {
      if (strides_[operand][d] != stride) linear_[operand] = false;
      stride *= sizes_[d];
    }
  }
}

}  // namespace trainyard
