// y = f(x) and dy f'(x), in lanes.
#pragma once

#include "core/tensor/cpu/lanes.h"
#include "core/tensor/kernels/elementwise_kernels.h"

namespace trainyard::TRAINYARD_LANES {

inline Lanes Number(double x) { return Lanes::Of(static_cast<Scalar>(x)); }

template <UnaryOp op>
inline Lanes Apply(Lanes x) {
  using enum UnaryOp;
  const Lanes zero = Number(0);
  if constexpr (op == kNegate) return Negate(x);
  if constexpr (op == kAbs) return Abs(x);
  if constexpr (op == kSquare) return x * x;
  if constexpr (op == kSqrt) return Sqrt(x);
  if constexpr (op == kReciprocal) return Number(1) / x;
  if constexpr (op == kExp) return Exp(x);
  if constexpr (op == kLog) return Log(x);
  if constexpr (op == kSigmoid) return Sigmoid(x);
  if constexpr (op == kTanh) return Tanh(x);
  if constexpr (op == kSoftplus) return Softplus(x);
  if constexpr (op == kRelu) return Maximum(zero, x);
  if constexpr (op == kSquaredRelu) {
    const Lanes positive = Maximum(zero, x);
    return positive * positive;
  }
  if constexpr (op == kSilu) return x * Sigmoid(x);
  if constexpr (op == kGelu) return x * NormalDistribution(x).cumulative;
  if constexpr (op == kSin) return Sin(x);
  if constexpr (op == kCos) return Cos(x);
}

// f'(x), of y where SavesOutput(op), else of x.
template <UnaryOp op>
inline Lanes Slope(Lanes saved) {
  using enum UnaryOp;
  const Lanes zero = Number(0);
  const Lanes one = Number(1);
  if constexpr (op == kNegate) return Number(-1);
  if constexpr (op == kAbs) {
    return Select(zero < saved, one, Select(saved < zero, Number(-1), zero));
  }
  if constexpr (op == kSquare) return saved + saved;
  if constexpr (op == kSqrt) return Number(0.5) / saved;
  if constexpr (op == kReciprocal) return Negate(saved * saved);
  if constexpr (op == kExp) return saved;
  if constexpr (op == kLog) return one / saved;
  if constexpr (op == kSigmoid) return saved * (one - saved);
  if constexpr (op == kTanh) return one - saved * saved;
  if constexpr (op == kSoftplus) return Sigmoid(saved);
  if constexpr (op == kRelu) return Select(zero < saved, one, zero);
  if constexpr (op == kSquaredRelu) {
    const Lanes positive = Maximum(zero, saved);
    return positive + positive;
  }
  if constexpr (op == kSilu) {
    const Lanes sigmoid = Sigmoid(saved);
    return sigmoid * Fma(saved, one - sigmoid, one);
  }
  if constexpr (op == kGelu) {
    const NormalDistribution normal(saved);
    return Fma(saved, normal.density, normal.cumulative);
  }
  if constexpr (op == kSin) return Cos(saved);
  if constexpr (op == kCos) return Negate(Sin(saved));
}

// f(x) and f'(x), both of x.
struct ValueAndSlope {
  Lanes value;
  Lanes slope;
};

template <UnaryOp op>
inline ValueAndSlope Both(Lanes x) {
  using enum UnaryOp;
  if constexpr (op == kSilu) {
    const Lanes sigmoid = Sigmoid(x);
    return {x * sigmoid, sigmoid * Fma(x, Number(1) - sigmoid, Number(1))};
  } else if constexpr (op == kGelu) {
    const NormalDistribution normal(x);
    return {x * normal.cumulative, Fma(x, normal.density, normal.cumulative)};
  } else {
    const Lanes value = Apply<op>(x);
    return {value, Slope<op>(SavesOutput(op) ? value : x)};
  }
}

template <Activation activation>
inline Lanes Activate(Lanes x) {
  if constexpr (activation == Activation::kNone) return x;
  return Apply<FunctionOf(activation)>(x);
}

// Of y where ActivationSavesOutput(activation), else of x; a ReLU's slope is the same for both.
template <Activation activation>
inline Lanes ActivationSlope(Lanes saved) {
  if constexpr (activation == Activation::kNone) return Number(1);
  return Slope<FunctionOf(activation)>(saved);
}

template <Activation activation>
inline ValueAndSlope ActivateBoth(Lanes x) {
  if constexpr (activation == Activation::kNone) {
    return {x, Number(1)};
  } else {
    return Both<FunctionOf(activation)>(x);
  }
}

template <BinaryOp op>
inline Lanes Combine(Lanes a, Lanes b) {
  using enum BinaryOp;
  if constexpr (op == kAdd) return a + b;
  if constexpr (op == kSubtract) return a - b;
  if constexpr (op == kMultiply) return a * b;
  if constexpr (op == kDivide) return a / b;
  // Either that is not a number is the result.
  if constexpr (op == kMaximum) return Select(b <= a, a, Select(a <= a, Maximum(a, b), a));
  if constexpr (op == kMinimum) return Select(a <= b, a, Select(a <= a, Minimum(a, b), a));
}

}  // namespace trainyard::TRAINYARD_LANES
