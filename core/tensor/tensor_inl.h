// Templates of tensor.h.
#pragma once

#include "core/tensor/tensor.h"
#include "core/tensor/tensor_error.h"

namespace trainyard {

template <typename T>
T* Tensor::data() const {
  if (dtype_ != DTypeOf<T>()) {
    ThrowInvalidTensor("tensor: ", NameOf(DTypeOf<T>()), " elements asked of ", Description());
  }
  return static_cast<T*>(data_);
}

template <typename T>
Tensor Tensor::FromValues(Device& device, const Shape& shape, std::span<const T> values) {
  if (static_cast<int64_t>(values.size()) != shape.elements()) {
    ThrowInvalidTensor("tensor: ", values.size(), " values for the shape ", shape.ToString());
  }
  Tensor result = Empty(device, shape, DTypeOf<T>());
  device.CopyFromHost(result.data_, values.data(), values.size_bytes());
  return result;
}

template <typename T>
std::vector<T> Tensor::ToVector() const {
  const Tensor whole = Contiguous();
  std::vector<T> values(static_cast<size_t>(elements()));
  device_->CopyToHost(values.data(), whole.data<T>(), values.size() * sizeof(T));
  return values;
}

template <typename Function>
decltype(auto) DispatchFloating(DType type, const char* operation, Function&& function) {
  switch (type) {
    case DType::kFloat32:
      return function.template operator()<float>();
    case DType::kFloat64:
      return function.template operator()<double>();
    default:
      ThrowInvalidTensor(operation, ": ", NameOf(type), " elements; expected float32 or float64");
  }
}

}  // namespace trainyard
