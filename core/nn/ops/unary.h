// Functions of each element.
#pragma once

#include "core/nn/variable.h"
#include "core/tensor/kernels/elementwise_kernels.h"

namespace trainyard::nn {

// f(x), element by element; see UnaryOp.
Variable Apply(UnaryOp op, const Variable& x);

inline Variable Abs(const Variable& x) { return Apply(UnaryOp::kAbs, x); }
inline Variable Square(const Variable& x) { return Apply(UnaryOp::kSquare, x); }
inline Variable Sqrt(const Variable& x) { return Apply(UnaryOp::kSqrt, x); }
inline Variable Reciprocal(const Variable& x) { return Apply(UnaryOp::kReciprocal, x); }
inline Variable Exp(const Variable& x) { return Apply(UnaryOp::kExp, x); }
inline Variable Log(const Variable& x) { return Apply(UnaryOp::kLog, x); }
inline Variable Sigmoid(const Variable& x) { return Apply(UnaryOp::kSigmoid, x); }
inline Variable Tanh(const Variable& x) { return Apply(UnaryOp::kTanh, x); }
inline Variable Softplus(const Variable& x) { return Apply(UnaryOp::kSoftplus, x); }
inline Variable Relu(const Variable& x) { return Apply(UnaryOp::kRelu, x); }
inline Variable SquaredRelu(const Variable& x) { return Apply(UnaryOp::kSquaredRelu, x); }
inline Variable Silu(const Variable& x) { return Apply(UnaryOp::kSilu, x); }
inline Variable Gelu(const Variable& x) { return Apply(UnaryOp::kGelu, x); }
inline Variable Sin(const Variable& x) { return Apply(UnaryOp::kSin, x); }
inline Variable Cos(const Variable& x) { return Apply(UnaryOp::kCos, x); }

// act(x + bias) of rows x [..., d], bias [d] or undefined.
Variable BiasActivation(const Variable& x, const Variable& bias, Activation activation);

// act(a) * b: gated linear units (Shazeer, "GLU variants improve transformer", 2020).
Variable Gate(Activation activation, const Variable& a, const Variable& b);

}  // namespace trainyard::nn
