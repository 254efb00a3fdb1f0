#include "core/tensor/cpu/gemm_epilogue.h"

#include <cmath>
#include <cstring>

namespace trainyard {
namespace {

template <typename T, typename Function>
void ForEach(int64_t count, T* values, Function function) {
  for (int64_t i = 0; i < count; ++i) values[i] = function(values[i]);
}

template <typename T>
T Sigmoid(T x) {
  return T(1) / (T(1) + std::exp(-x));
}

template <typename T>
void Activate(Activation activation, int64_t count, T* values) {
  constexpr T kHalfRoot = T(0.70710678118654752440);
  switch (activation) {
    case Activation::kNone:
      return;
    case Activation::kRelu:
      return ForEach(count, values, [](T x) { return x > 0 ? x : T(0); });
    case Activation::kSquaredRelu:
      return ForEach(count, values, [](T x) { return x > 0 ? x * x : T(0); });
    case Activation::kSilu:
      return ForEach(count, values, [](T x) { return x * Sigmoid(x); });
    case Activation::kGelu:
      return ForEach(count, values, [](T x) { return x * (T(0.5) * std::erfc(-x * kHalfRoot)); });
    case Activation::kSigmoid:
      return ForEach(count, values, Sigmoid<T>);
    case Activation::kTanh:
      return ForEach(count, values, [](T x) { return std::tanh(x); });
  }
}

}  // namespace

template <typename T>
void ApplyEpilogue(const GemmEpilogue<T>& epilogue, int64_t rows, int64_t columns, T* values,
                   int64_t stride) {
  for (int64_t i = 0; i < rows; ++i) {
    T* const row = values + i * stride;
    if (epilogue.bias != nullptr) {
      for (int64_t j = 0; j < columns; ++j) row[j] += epilogue.bias[j];
    }
    if (epilogue.pre != nullptr) {
      std::memcpy(epilogue.pre + i * epilogue.pre_stride, row,
                  static_cast<size_t>(columns) * sizeof(T));
    }
    Activate(epilogue.activation, columns, row);
  }
}

template void ApplyEpilogue(const GemmEpilogue<float>&, int64_t, int64_t, float*, int64_t);
template void ApplyEpilogue(const GemmEpilogue<double>&, int64_t, int64_t, double*, int64_t);

}  // namespace trainyard
