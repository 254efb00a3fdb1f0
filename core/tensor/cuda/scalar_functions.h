// Functions of single numbers, and their derivatives.
#pragma once

#include <math.h>

#include "core/tensor/kernels/elementwise_ops.h"
#include "core/tensor/kernels/portable.h"

namespace trainyard::cuda {

// By the type of the argument, on the host and on a GPU.
TRAINYARD_DEVICE float Exp(float x) { return expf(x); }
TRAINYARD_DEVICE double Exp(double x) { return exp(x); }
TRAINYARD_DEVICE float Log(float x) { return logf(x); }
TRAINYARD_DEVICE double Log(double x) { return log(x); }
TRAINYARD_DEVICE float Log1p(float x) { return log1pf(x); }
TRAINYARD_DEVICE double Log1p(double x) { return log1p(x); }
TRAINYARD_DEVICE float Sqrt(float x) { return sqrtf(x); }
TRAINYARD_DEVICE double Sqrt(double x) { return sqrt(x); }
TRAINYARD_DEVICE float Tanh(float x) { return tanhf(x); }
TRAINYARD_DEVICE double Tanh(double x) { return tanh(x); }
TRAINYARD_DEVICE float Erfc(float x) { return erfcf(x); }
TRAINYARD_DEVICE double Erfc(double x) { return erfc(x); }
TRAINYARD_DEVICE float Sin(float x) { return sinf(x); }
TRAINYARD_DEVICE double Sin(double x) { return sin(x); }
TRAINYARD_DEVICE float Cos(float x) { return cosf(x); }
TRAINYARD_DEVICE double Cos(double x) { return cos(x); }
TRAINYARD_DEVICE float Abs(float x) { return fabsf(x); }
TRAINYARD_DEVICE double Abs(double x) { return fabs(x); }

template <typename T>
TRAINYARD_PORTABLE T Max(T a, T b) {
  return a < b ? b : a;
}
template <typename T>
TRAINYARD_PORTABLE T Min(T a, T b) {
  return b < a ? b : a;
}

// NaN stays NaN, so that a training that diverges shows it.
template <typename T>
TRAINYARD_DEVICE T Relu(T x) {
  return x < T(0) ? T(0) : x;
}

template <typename T>
TRAINYARD_DEVICE T Sigmoid(T x) {
  return T(1) / (T(1) + Exp(-x));
}

template <typename T>
TRAINYARD_DEVICE T Softplus(T x) {
  return Relu(x) + Log1p(Exp(-Abs(x)));
}

// Phi(x), the normal distribution function.
template <typename T>
TRAINYARD_DEVICE T NormalCdf(T x) {
  return T(0.5) * Erfc(x * T(-0.70710678118654752440));
}

template <typename T>
TRAINYARD_DEVICE T NormalDensity(T x) {
  return T(0.39894228040143267794) * Exp(T(-0.5) * x * x);
}

template <typename T>
TRAINYARD_DEVICE T ApplyUnary(UnaryOp op, T x) {
  switch (op) {
    case UnaryOp::kNegate:
      return -x;
    case UnaryOp::kAbs:
      return Abs(x);
    case UnaryOp::kSquare:
      return x * x;
    case UnaryOp::kSqrt:
      return Sqrt(x);
    case UnaryOp::kReciprocal:
      return T(1) / x;
    case UnaryOp::kExp:
      return Exp(x);
    case UnaryOp::kLog:
      return Log(x);
    case UnaryOp::kSigmoid:
      return Sigmoid(x);
    case UnaryOp::kTanh:
      return Tanh(x);
    case UnaryOp::kSoftplus:
      return Softplus(x);
    case UnaryOp::kRelu:
      return Relu(x);
    case UnaryOp::kSquaredRelu:
      return Relu(x) * Relu(x);
    case UnaryOp::kSilu:
      return x * Sigmoid(x);
    case UnaryOp::kGelu:
      return x * NormalCdf(x);
    case UnaryOp::kSin:
      return Sin(x);
    case UnaryOp::kCos:
      return Cos(x);
  }
  return x;
}

// f'(x), of what SavesOutput says is kept: f(x) or x.
template <typename T>
TRAINYARD_DEVICE T UnaryDerivative(UnaryOp op, T saved) {
  switch (op) {
    case UnaryOp::kNegate:
      return T(-1);
    case UnaryOp::kAbs:
      return saved > T(0) ? T(1) : saved < T(0) ? T(-1) : T(0);
    case UnaryOp::kSquare:
      return T(2) * saved;
    case UnaryOp::kSqrt:
      return T(0.5) / saved;
    case UnaryOp::kReciprocal:
      return -saved * saved;
    case UnaryOp::kExp:
      return saved;
    case UnaryOp::kLog:
      return T(1) / saved;
    case UnaryOp::kSigmoid:
      return saved * (T(1) - saved);
    case UnaryOp::kTanh:
      return T(1) - saved * saved;
    case UnaryOp::kSoftplus:
      return Sigmoid(saved);
    case UnaryOp::kRelu:
      return saved > T(0) ? T(1) : T(0);
    case UnaryOp::kSquaredRelu:
      return T(2) * Relu(saved);
    case UnaryOp::kSilu: {
      const T sigmoid = Sigmoid(saved);
      return sigmoid * (T(1) + saved * (T(1) - sigmoid));
    }
    case UnaryOp::kGelu:
      return NormalCdf(saved) + saved * NormalDensity(saved);
    case UnaryOp::kSin:
      return Cos(saved);
    case UnaryOp::kCos:
      return -Sin(saved);
  }
  return T(0);
}

template <typename T>
TRAINYARD_DEVICE T ApplyBinary(BinaryOp op, T a, T b) {
  switch (op) {
    case BinaryOp::kAdd:
      return a + b;
    case BinaryOp::kSubtract:
      return a - b;
    case BinaryOp::kMultiply:
      return a * b;
    case BinaryOp::kDivide:
      return a / b;
    case BinaryOp::kMaximum:
      return Max(a, b);
    case BinaryOp::kMinimum:
      return Min(a, b);
  }
  return a;
}

template <typename T>
TRAINYARD_DEVICE T Activate(Activation activation, T x) {
  return activation == Activation::kNone ? x : ApplyUnary(FunctionOf(activation), x);
}

// act'(x), of what ActivationSavesOutput says is kept: act(x) or x.
template <typename T>
TRAINYARD_DEVICE T ActivationDerivative(Activation activation, T saved) {
  return activation == Activation::kNone ? T(1) : UnaryDerivative(FunctionOf(activation), saved);
}

// act'(x) of x, whatever is kept elsewhere.
template <typename T>
TRAINYARD_DEVICE T ActivationDerivativeAt(Activation activation, T x) {
  return ActivationDerivative(activation,
                              ActivationSavesOutput(activation) ? Activate(activation, x) : x);
}

}  // namespace trainyard::cuda
