// Automatic differentiation, defined by running.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

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

  // Of a leaf: dL/dvalue as summed since the last ClearGradient, of the value's shape; undefined
  // before the first Backward that reaches it.
  Tensor grad() const;
  // Of a leaf: the next gradient overwrites the buffer of this one.
  void ClearGradient() const;
  // Of a leaf: gives the buffer of the gradient away.
  void ReleaseGradient() const;

  // The same value as a constant.
  Variable Detached() const { return Variable(value_); }

 private:
  friend class BackwardContext;
  friend class Recorder;
  friend void Backward(const Variable& loss, const Tensor& seed);

  Variable(Tensor value, std::shared_ptr<Node> node, int output)
      : value_(std::move(value)), node_(std::move(node)), output_(output) {}

  Tensor value_;
  std::shared_ptr<Node> node_;  // null for constants
  int output_ = 0;              // which output of the node
};

// Where a backward pass writes a gradient.
struct GradientTarget {
  Tensor tensor;            // of the input's shape; any strides with 1 for the last
  bool accumulate = false;  // add to what is there, or overwrite it
};

// What the backward function of an operation works with.
class BackwardContext {
 public:
  // dL/doutput, of the output's shape but with any strides; undefined where that output was not
  // used (only possible for operations of several outputs).
  const Tensor& output_gradient(int output = 0) const;
  // Whether anybody needs the gradient of this input.
  bool needs(int input) const;
  // For inputs that are needed: a buffer to write into.
  GradientTarget Target(int input);
  // A buffer to add to, filled with zeros when it is new.
  Tensor AddTarget(int input);
  // Takes `gradient` over, or adds it to what is there. Does nothing for inputs not needed.
  void Add(int input, const Tensor& gradient);

 private:
  friend void Backward(const Variable& loss, const Tensor& seed);
  explicit BackwardContext(Node& node) : node_(node) {}
  Node& node_;
};

using BackwardFunction = std::function<void(BackwardContext&)>;

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
  bool before_;
};

// How an operation is made differentiable:
//
//   Variable Square(const Variable& x) {
//     Tensor y = …;
//     return Recorder("square", {x}).Record(y, [x = x.value()](BackwardContext& context) { … });
//   }
//
// The function captures the tensors it needs and nothing else: they live until the backward pass is
// over. It is not called when no output gradient reaches the operation.
class Recorder {
 public:
  Recorder(const char* operation, std::initializer_list<Variable> inputs)
      : Recorder(operation, std::span<const Variable>(inputs.begin(), inputs.size())) {}
  Recorder(const char* operation, std::span<const Variable> inputs);

  // Whether Record will keep a backward function; saves the work of preparing one.
  bool recording() const { return node_ != nullptr; }
  // Whether input `i` takes part in differentiation.
  bool needs(int i) const;

  template <typename Function>
  Variable Record(Tensor output, Function&& backward) {
    if (recording()) SetBackward(BackwardFunction(std::forward<Function>(backward)));
    return Output(std::move(output), 0);
  }
  // Several outputs.
  template <typename Function>
  std::vector<Variable> RecordMany(std::vector<Tensor> outputs, Function&& backward) {
    if (recording()) SetBackward(BackwardFunction(std::forward<Function>(backward)));
    std::vector<Variable> variables;
    for (size_t i = 0; i < outputs.size(); ++i) {
      variables.push_back(Output(std::move(outputs[i]), static_cast<int>(i)));
    }
    return variables;
  }
  // Outputs that are the slices of `whole`, one input, along `axis`: their gradients are written
  // into slices of one buffer, so that the backward pass copies nothing.
  std::vector<Variable> RecordSlices(const Tensor& whole, int axis,
                                     std::span<const int64_t> lengths);
  // The operation needs gradients although no input does (it uses leaves of its own).
  void ForceRecording();

 private:
  void SetBackward(BackwardFunction backward);
  Variable Output(Tensor value, int index);

  const char* operation_;
  std::vector<Variable> inputs_;
  std::shared_ptr<Node> node_;
};

// Differentiates `loss` by every leaf it depends on and adds to their gradients. `seed` is
// dL/dloss, of the loss's shape; undefined: ones. The computation is used up: its memory goes back
// while the pass runs, and a second call throws TensorError. A loss that depends on no leaf throws
// too.
void Backward(const Variable& loss, const Tensor& seed = Tensor());

// Numbers the random streams of one training. Two calls never give the same stream.
class RandomSource {
 public:
  explicit RandomSource(uint64_t seed) : seed_(seed) {}
  uint64_t seed() const { return seed_; }
  uint64_t next_stream() const { return next_; }
  void set_next_stream(uint64_t next) { next_ = next; }
  uint64_t TakeStream() { return next_++; }

 private:
  uint64_t seed_;
  uint64_t next_ = 0;
};

// Activation recomputation: calls `function` on the inputs without keeping anything but its result,
// and again, recorded, when the backward pass needs what was inside (Chen et al., "Training deep
// nets with sublinear memory cost", 2016). `function` must give the same result both times; it
// takes its randomness from `random` (may be null), whose state is put back for the second call.
Variable Checkpoint(const std::function<Variable(std::span<const Variable> inputs)>& function,
                    std::vector<Variable> inputs, RandomSource* random = nullptr);

}  // namespace trainyard::nn
