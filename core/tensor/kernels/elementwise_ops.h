// Functions of elements, by name. Included by code of GPUs: nothing that is slow to parse.
#pragma once

#include <cstdint>

#include "core/tensor/kernels/portable.h"

namespace trainyard {

// y = f(x).
enum class UnaryOp : uint8_t {
  kNegate,
  kAbs,
  kSquare,
  kSqrt,
  kReciprocal,
  kExp,
  kLog,
  kSigmoid,
  kTanh,
  kSoftplus,  // log(1 + exp(x)), without overflow
  kRelu,
  kSquaredRelu,  // max(x, 0)^2
  kSilu,         // x * sigmoid(x)
  kGelu,         // x * Phi(x), by the error function
  kSin,
  kCos,
};

enum class BinaryOp : uint8_t { kAdd, kSubtract, kMultiply, kDivide, kMaximum, kMinimum };

// What follows a matrix product or a bias; kNone is the identity. A subset of UnaryOp.
enum class Activation : uint8_t { kNone, kRelu, kSquaredRelu, kSilu, kGelu, kSigmoid, kTanh };

// The function of an activation other than kNone.
TRAINYARD_PORTABLE constexpr UnaryOp FunctionOf(Activation activation) {
  switch (activation) {
    case Activation::kNone:
    case Activation::kRelu:
      return UnaryOp::kRelu;
    case Activation::kSquaredRelu:
      return UnaryOp::kSquaredRelu;
    case Activation::kSilu:
      return UnaryOp::kSilu;
    case Activation::kGelu:
      return UnaryOp::kGelu;
    case Activation::kSigmoid:
      return UnaryOp::kSigmoid;
    case Activation::kTanh:
      return UnaryOp::kTanh;
  }
  return UnaryOp::kRelu;
}

// Whether UnaryBackward wants y rather than x.
TRAINYARD_PORTABLE constexpr bool SavesOutput(UnaryOp op) {
  return op == UnaryOp::kSqrt || op == UnaryOp::kReciprocal || op == UnaryOp::kExp ||
         op == UnaryOp::kSigmoid || op == UnaryOp::kTanh;
}

// Whether BiasActivationBackward wants y rather than x + bias.
TRAINYARD_PORTABLE constexpr bool ActivationSavesOutput(Activation activation) {
  return activation == Activation::kRelu || activation == Activation::kSigmoid ||
         activation == Activation::kTanh;
}

}  // namespace trainyard
