// Tensors in the host's memory for tests of kernels: random values, elements by their indices.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <random>
#include <vector>

#include "core/tensor/tensor.h"

namespace trainyard {

inline double At(const Tensor& tensor, std::initializer_list<int64_t> indices) {
  int64_t offset = 0;
  int axis = 0;
  for (const int64_t index : indices) offset += index * tensor.stride(axis++);
  return tensor.dtype() == DType::kFloat64 ? tensor.data<double>()[offset]
                                           : static_cast<double>(tensor.data<float>()[offset]);
}

// All elements in row-major order.
inline std::vector<double> Doubles(const Tensor& tensor) {
  std::vector<double> values;
  values.reserve(static_cast<size_t>(tensor.elements()));
  const auto visit = [&](auto& self, const auto* data, int axis) -> void {
    if (axis == tensor.rank()) return values.push_back(static_cast<double>(*data));
    for (int64_t i = 0; i < tensor.size(axis); ++i) {
      self(self, data + i * tensor.stride(axis), axis + 1);
    }
  };
  if (tensor.dtype() == DType::kFloat64) {
    visit(visit, tensor.data<double>(), 0);
  } else {
    visit(visit, tensor.data<float>(), 0);
  }
  return values;
}

// Sets element `index` of a contiguous tensor.
inline void Set(const Tensor& tensor, int64_t index, double value) {
  if (tensor.dtype() == DType::kFloat64) {
    tensor.data<double>()[index] = value;
  } else {
    tensor.data<float>()[index] = static_cast<float>(value);
  }
}

// Contiguous, normally distributed.
inline Tensor RandomTensor(Device& device, const Shape& shape, DType type, uint64_t seed) {
  Tensor tensor = Tensor::Empty(device, shape, type);
  std::mt19937_64 generator(seed);
  std::normal_distribution<double> normal;
  for (int64_t i = 0; i < tensor.elements(); ++i) Set(tensor, i, normal(generator));
  return tensor;
}

// A copy of a contiguous tensor.
inline Tensor CopyOf(const Tensor& tensor) {
  Tensor copy = Tensor::Empty(tensor.device(), tensor.shape(), tensor.dtype());
  tensor.device().CopyFromHost(copy.raw_data(), tensor.raw_data(), tensor.bytes());
  return copy;
}

}  // namespace trainyard
