// Automatic differentiation, defined by running.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "core/tensor/tensor.h"

namespace trainyard::nn {

class Node;

// A tensor in a computation, with what is needed to differentiate by it. Copies are cheap and mean
// the same. Not thread-safe: one thread builds and differentiates a computation.
class Variable {
 public:
  Variable() = default;
  // A constant: nothing is differentiated by it.
  Variable(Tensor value) : value_(std::move(value)) {}  // NOLINT: constants mix with variables
  // A leaf: Backward leaves its gradient in grad().
  static Variable Leaf(Tensor value);

  bool defined() const { return value_.defined(); }
  const Tensor& value() const { return value_; }
  const Shape& shape() const { return value_.shape(); }
  int64_t size(int axis) const { return value_.size(axis); }
  int rank() const { return value_.rank(); }
  Device& device() const { return value_.device(); }
  DType dtype() const { return value_.dtype(); }
  bool requires_grad() const { return node_ != nullptr; }

  // Of a leaf: dL/dvalue as summed since the last ClearGradient, of the value's shape and
  // contiguous; undefined before the first Backward that reaches it.
  Tensor grad() const;
  // Of a leaf: its gradient, zeros where there was none.
  Tensor GradientOrZeros() const;
  // Of a leaf: the next gradient overwrites the buffer of this one.
  void ClearGradient() const;
  // Of a leaf: gives the buffer of the gradient back.
  void ReleaseGradient() const;

  // The same value as a constant.
  Variable Detached() const { return Variable(value_); }

 private:
  friend class Recorder;
  friend void Backward(const Variable& loss, const Tensor& seed);

  Variable(Tensor value, std::shared_ptr<Node> node, int output)
      : value_(std::move(value)), node_(std::move(node)), output_(output) {}

  Tensor value_;
  std::shared_ptr<Node> node_;  // null for constants
  int output_ = 0;              // which output of the node
};

// Differentiates `loss` by every leaf it depends on and adds to their gradients. `seed` is
// dL/dloss, of the loss's shape; undefined: ones. The computation is used up: its memory goes back
// while the pass runs. Throws TensorError where the loss depends on no leaf, the seed does not fit,
// or some part of the computation was used up before; gradients are then as they were. Where memory
// runs out on the way, gradients of leaves are undefined until they are cleared.
void Backward(const Variable& loss, const Tensor& seed = Tensor());

// Whether operations on this thread are recorded (they are, unless a NoGradScope lives).
bool GradientsEnabled();

// While it lives, operations on this thread give constants: for evaluation.
class NoGradScope {
 public:
  NoGradScope();
  ~NoGradScope();
  NoGradScope(const NoGradScope&) = delete;
  NoGradScope& operator=(const NoGradScope&) = delete;

 private:
  const bool before_;
};

// While it lives, operations on this thread are recorded although a NoGradScope lives outside.
class GradScope {
 public:
  GradScope();
  ~GradScope();
  GradScope(const GradScope&) = delete;
  GradScope& operator=(const GradScope&) = delete;

 private:
  const bool before_;
};

// Operations and leaves that exist in this process: for tests that look for leaks.
int64_t LiveNodes();

}  // namespace trainyard::nn
