// Launches of the elementwise kernels. T is float or double.
#pragma once

#include <cstdint>

#include "core/tensor/cuda/strided_layout.h"
#include "core/tensor/kernels/elementwise_ops.h"

namespace trainyard::cuda {

class Platform;

// What is computed for each element; outputs first, then inputs, in the order of the comments.
enum class MapOp : uint8_t {
  kAffine,              // out; in: scale * in + shift
  kUnary,               // y; x
  kUnaryBackward,       // dx; saved, dy
  kBinary,              // out; a, b
  kChoiceBackward,      // dx; x, other, dy
  kBiasActivation,      // pre, y; x, bias
  kActivationBackward,  // dx; saved, dy
  kGate,                // y; a, b
  kGateBackward,        // da, db; a, b, dy
};

struct MapArguments {
  MapOp op = MapOp::kAffine;
  UnaryOp unary = UnaryOp::kNegate;
  BinaryOp binary = BinaryOp::kAdd;
  Activation activation = Activation::kNone;
  double scale = 1;
  double shift = 0;
  bool first = false;       // of kChoiceBackward
  bool accumulate = false;  // adds to the outputs
  StridedLayout layout;
  // Null: an output is not stored, an input counts as zeros.
  void* data[kMostOperands] = {};
};

template <typename T>
void LaunchMap(Platform& platform, const MapArguments& arguments);

// Any types, as numbers of DType.
enum class ElementType : uint8_t { kFloat32, kFloat64, kInt32, kUint8 };

struct CopyArguments {
  StridedLayout layout;  // of out and in
  void* out = nullptr;
  const void* in = nullptr;
  ElementType out_type = ElementType::kFloat32;
  ElementType in_type = ElementType::kFloat32;
};
void LaunchCopy(Platform& platform, const CopyArguments& arguments);

struct FillArguments {
  StridedLayout layout;  // of out
  void* out = nullptr;
  ElementType type = ElementType::kFloat32;
  double value = 0;
};
void LaunchFill(Platform& platform, const FillArguments& arguments);

}  // namespace trainyard::cuda
