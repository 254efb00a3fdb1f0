// Kernels that treat each element on its own.
#pragma once

#include "core/tensor/kernels/elementwise_ops.h"
#include "core/tensor/tensor.h"

namespace trainyard {

// Inputs may have any strides (0 too) and have the shape of the output unless said otherwise;
// outputs are dense views (no two elements share memory). `accumulate` adds to what the output
// holds. An output may be an input, element for element.
class ElementwiseKernels {
 public:
  virtual ~ElementwiseKernels() = default;

  // Any type.
  virtual void Fill(double value, const Tensor& out) = 0;
  // Any types, converted as by static_cast.
  virtual void Copy(const Tensor& in, const Tensor& out) = 0;

  // From here on: float32 or float64, the same for all tensors of a call.

  virtual void Unary(UnaryOp op, const Tensor& x, const Tensor& y) = 0;
  // dx = dy * f'(x). `saved` is y for kSqrt, kReciprocal, kExp, kSigmoid and kTanh (SavesOutput),
  // else x.
  virtual void UnaryBackward(UnaryOp op, const Tensor& saved, const Tensor& dy, const Tensor& dx,
                             bool accumulate) = 0;
  virtual void Binary(BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& out) = 0;
  // out = a * b (+ out).
  virtual void MultiplyAdd(const Tensor& a, const Tensor& b, const Tensor& out,
                           bool accumulate) = 0;
  // dx = dy where x's side was chosen by kMaximum or kMinimum, else 0; at ties the first input
  // gets all. `first`: whether x is the first input.
  virtual void ChoiceBackward(BinaryOp op, const Tensor& x, const Tensor& other, bool first,
                              const Tensor& dy, const Tensor& dx, bool accumulate) = 0;
  // out = scale * in + shift (+ out).
  virtual void Affine(const Tensor& in, double scale, double shift, const Tensor& out,
                      bool accumulate) = 0;

  // y = act(x + bias), rows [n, d], bias [d] or undefined. x + bias is stored in `pre` unless that
  // is undefined; y may be x, pre may be x.
  virtual void BiasActivation(const Tensor& x, const Tensor& bias, Activation activation,
                              const Tensor& pre, const Tensor& y) = 0;
  // dx = dy * act'(pre), [n, d]; dbias (+)= column sums of dx, unless undefined. dx may be dy.
  // Activations whose derivative follows from y (kRelu, kSigmoid, kTanh) take `pre` = y
  // (ActivationSavesOutput).
  virtual void BiasActivationBackward(Activation activation, const Tensor& pre, const Tensor& dy,
                                      const Tensor& dx, const Tensor& dbias,
                                      bool accumulate_bias) = 0;
  // y = act(a) * b: gated linear units.
  virtual void Gate(Activation activation, const Tensor& a, const Tensor& b, const Tensor& y) = 0;
  // da = dy * b * act'(a), db = dy * act(a). da may be a, db may be b.
  virtual void GateBackward(Activation activation, const Tensor& a, const Tensor& b,
                            const Tensor& dy, const Tensor& da, const Tensor& db) = 0;
};

}  // namespace trainyard
