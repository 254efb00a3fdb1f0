// Other views of the same elements, parts and joins.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "core/nn/variable.h"

namespace trainyard::nn {

// Views where the elements allow it, else copies. One size may be -1.
Variable Reshape(const Variable& x, std::initializer_list<int64_t> dims);
Variable Reshape(const Variable& x, const Shape& shape);
// Views.
Variable Transpose(const Variable& x, int axis1 = -2, int axis2 = -1);
Variable Permute(const Variable& x, std::span<const int> order);
inline Variable Permute(const Variable& x, std::initializer_list<int> order) {
  return Permute(x, std::span<const int>(order.begin(), order.size()));
}
Variable BroadcastTo(const Variable& x, const Shape& shape);
Variable Slice(const Variable& x, int axis, int64_t start, int64_t length);
// Views of `lengths` elements along `axis`, which together make x. Their gradients are written into
// one buffer without a copy.
std::vector<Variable> Split(const Variable& x, int axis, std::span<const int64_t> lengths);
inline std::vector<Variable> Split(const Variable& x, int axis,
                                   std::initializer_list<int64_t> lengths) {
  return Split(x, axis, std::span<const int64_t>(lengths.begin(), lengths.size()));
}
// A copy of all parts, one behind the other along `axis`; the other sizes are equal.
Variable Concatenate(std::span<const Variable> parts, int axis);
inline Variable Concatenate(std::initializer_list<Variable> parts, int axis) {
  return Concatenate(std::span<const Variable>(parts.begin(), parts.size()), axis);
}

}  // namespace trainyard::nn
