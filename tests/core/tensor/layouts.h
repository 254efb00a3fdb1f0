// Tensors of one shape that lie in memory in different ways.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "core/tensor/tensor.h"
#include "tests/core/tensor/host_tensors.h"

namespace trainyard {

enum class Layout : uint8_t {
  kContiguous,
  kTransposed,  // the last two dimensions exchanged in memory
  kReversed,    // all dimensions in the opposite order in memory
  kSliced,      // from a larger tensor
  kUnaligned,   // contiguous, beginning at an odd element
  kRow,         // the same along the first dimension
  kColumn,      // the same along the last dimension
  kOneNumber,   // the same everywhere
};

inline constexpr Layout kAllLayouts[] = {
    Layout::kContiguous, Layout::kTransposed, Layout::kReversed, Layout::kSliced,
    Layout::kUnaligned,  Layout::kRow,        Layout::kColumn,   Layout::kOneNumber};
// No two elements share memory.
inline constexpr Layout kDenseLayouts[] = {Layout::kContiguous, Layout::kTransposed,
                                           Layout::kReversed, Layout::kSliced, Layout::kUnaligned};

// Normally distributed.
inline Tensor RandomInLayout(Device& device, const Shape& shape, DType type, Layout layout,
                             uint64_t seed) {
  const int rank = shape.rank();
  if (rank == 0) return RandomTensor(device, shape, type, seed);
  switch (layout) {
    case Layout::kContiguous:
      break;
    case Layout::kTransposed: {
      if (rank < 2) break;
      Shape stored = shape.WithDim(-1, shape[-2]).WithDim(-2, shape[-1]);
      return RandomTensor(device, stored, type, seed).Transposed();
    }
    case Layout::kReversed: {
      Shape stored = shape;
      std::vector<int> order;
      for (int i = 0; i < rank; ++i) {
        stored.set_dim(i, shape[rank - 1 - i]);
        order.push_back(rank - 1 - i);
      }
      return RandomTensor(device, stored, type, seed).Permuted(order);
    }
    case Layout::kSliced: {
      Shape stored = shape;
      for (int i = 0; i < rank; ++i) stored.set_dim(i, shape[i] + 3);
      Tensor result = RandomTensor(device, stored, type, seed);
      for (int i = 0; i < rank; ++i) result = result.Slice(i, i % 2 + 1, shape[i]);
      return result;
    }
    case Layout::kUnaligned:
      return RandomTensor(device, {shape.elements() + 1}, type, seed)
          .Slice(0, 1, shape.elements())
          .View(shape);
    case Layout::kRow:
      return RandomTensor(device, shape.WithDim(0, 1), type, seed).BroadcastTo(shape);
    case Layout::kColumn:
      return RandomTensor(device, shape.WithDim(-1, 1), type, seed).BroadcastTo(shape);
    case Layout::kOneNumber:
      return RandomTensor(device, Shape{}, type, seed).BroadcastTo(shape);
  }
  return RandomTensor(device, shape, type, seed);
}

// A contiguous tensor of these numbers.
inline Tensor FromDoubles(Device& device, const Shape& shape, DType type,
                          const std::vector<double>& values) {
  const Tensor tensor = Tensor::Empty(device, shape, type);
  for (size_t i = 0; i < values.size(); ++i) Set(tensor, static_cast<int64_t>(i), values[i]);
  return tensor;
}

// Sets element `index`, counted in row-major order, of a tensor of any layout.
inline void SetAt(const Tensor& tensor, int64_t index, double value) {
  int64_t offset = 0;
  for (int axis = tensor.rank() - 1; axis >= 0; --axis) {
    offset += index % tensor.size(axis) * tensor.stride(axis);
    index /= tensor.size(axis);
  }
  Set(tensor, offset, value);
}

}  // namespace trainyard
