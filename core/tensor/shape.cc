#include "core/tensor/shape.h"

#include <algorithm>

#include "absl/strings/str_join.h"
#include "core/tensor/tensor_error.h"

namespace trainyard {

Shape::Shape(std::initializer_list<int64_t> dims)
    : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const int64_t> dims) {
  if (dims.size() > kMaxRank) {
    ThrowInvalidTensor("shape: ", dims.size(), " dimensions; at most ", kMaxRank, " are possible");
  }
  for (const int64_t size : dims) {
    if (size < 0) ThrowInvalidTensor("shape: a dimension of ", size, "; none may be negative");
    dims_[rank_++] = size;
  }
}

int Shape::AxisOf(int index) const {
  const int axis = index < 0 ? index + rank_ : index;
  if (axis < 0 || axis >= rank_) {
    ThrowInvalidTensor("shape: no dimension ", index, " in ", ToString());
  }
  return axis;
}

int64_t Shape::elements() const {
  int64_t product = 1;
  for (const int64_t size : dims()) product *= size;
  return product;
}

Shape Shape::WithDim(int index, int64_t size) const {
  Shape result = *this;
  result.set_dim(index, size);
  return result;
}

Shape Shape::WithoutDim(int index) const {
  const int axis = AxisOf(index);
  Shape result = *this;
  std::copy(dims_.begin() + axis + 1, dims_.begin() + rank_, result.dims_.begin() + axis);
  result.dims_[--result.rank_] = 0;
  return result;
}

Shape Shape::WithInserted(int index, int64_t size) const {
  if (rank_ == kMaxRank) {
    ThrowInvalidTensor("shape: ", ToString(), " cannot have a further dimension");
  }
  Shape result = *this;
  ++result.rank_;
  const int axis = index == rank_ ? rank_ : AxisOf(index);
  std::copy_backward(dims_.begin() + axis, dims_.begin() + rank_, result.dims_.begin() + rank_ + 1);
  result.dims_[axis] = size;
  return result;
}

bool operator==(const Shape& a, const Shape& b) { return std::ranges::equal(a.dims(), b.dims()); }

std::string Shape::ToString() const { return absl::StrCat("[", absl::StrJoin(dims(), ", "), "]"); }

Shape BroadcastShapes(const char* operation, const Shape& a, const Shape& b) {
  const Shape& longer = a.rank() >= b.rank() ? a : b;
  const Shape& shorter = a.rank() >= b.rank() ? b : a;
  Shape result = longer;
  for (int i = 1; i <= shorter.rank(); ++i) {
    const int64_t x = longer[-i];
    const int64_t y = shorter[-i];
    if (x != y && x != 1 && y != 1) {
      ThrowInvalidTensor(operation, ": shapes ", a.ToString(), " and ", b.ToString(),
                         " do not fit each other");
    }
    result.set_dim(-i, x == 1 ? y : x);
  }
  return result;
}

}  // namespace trainyard
