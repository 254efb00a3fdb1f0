// Element types of tensors.
#pragma once

#include <cstddef>
#include <cstdint>

namespace trainyard {

enum class DType : uint8_t {
  kFloat32,  // what models are made of
  kFloat64,  // for checks by finite differences: every kernel has a build in double
  kInt32,    // tokens, classes, positions, segments
  kUint8,    // masks
};

constexpr size_t SizeOf(DType type) {
  switch (type) {
    case DType::kFloat32:
    case DType::kInt32:
      return 4;
    case DType::kFloat64:
      return 8;
    case DType::kUint8:
      return 1;
  }
  return 0;
}

// "float32", "float64", "int32", "uint8".
const char* NameOf(DType type);

constexpr bool IsFloating(DType type) { return type == DType::kFloat32 || type == DType::kFloat64; }

template <typename T>
constexpr DType DTypeOf();
template <>
constexpr DType DTypeOf<float>() {
  return DType::kFloat32;
}
template <>
constexpr DType DTypeOf<double>() {
  return DType::kFloat64;
}
template <>
constexpr DType DTypeOf<int32_t>() {
  return DType::kInt32;
}
template <>
constexpr DType DTypeOf<uint8_t>() {
  return DType::kUint8;
}

}  // namespace trainyard
