// How an operation is made differentiable.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/nn/variable.h"
#include "core/tensor/tensor.h"

namespace trainyard::nn {

// Where a backward pass writes a gradient.
struct GradientTarget {
  Tensor tensor;            // of the input's shape; any strides with 1 for the last
  bool accumulate = false;  // add to what is there, or overwrite it
};

// A buffer that a kernel writes a gradient into; Finish brings the gradient to its place where that
// is another.
class GradientBuffer {
 public:
  // Undefined where nobody needs the gradient and none was asked for.
  const Tensor& tensor() const { return tensor_; }
  bool accumulate() const { return accumulate_; }
  void Finish() const;

 private:
  friend class BackwardContext;
  Tensor tensor_;
  bool accumulate_ = false;
  GradientTarget rest_;  // undefined: the gradient is in its place
};

// What the backward function of an operation works with.
class BackwardContext {
 public:
  // dL/doutput, of the output's shape but with any strides; undefined where that output was not
  // used (only possible for operations of several outputs). Others may hold the same tensor.
  const Tensor& output_gradient(int output = 0) const;
  // A contiguous tensor of an output's shape to overwrite: its gradient itself where nobody else
  // holds that, else a new one of undefined content.
  Tensor Scratch(int output = 0) const;
  // Whether anybody needs the gradient of this input.
  bool needs(int input) const;

  // Takes `gradient` over, or adds it to what is there. Does nothing for inputs not needed.
  void Add(int input, const Tensor& gradient);
  // For inputs that are needed: a buffer to write into.
  GradientTarget Target(int input);
  // Contiguous buffers for kernels that add or overwrite as told; undefined for inputs not needed.
  GradientBuffer Buffer(int input);
  // Contiguous buffers for kernels that always add, filled with zeros when they are new; likewise.
  GradientBuffer SumBuffer(int input);
  // Buffers like `like`, with a last stride of 1, for kernels that always overwrite; defined for
  // inputs not needed, too.
  GradientBuffer FreshBuffer(int input, const Tensor& like);
  // Of an operation that RecordSlices made: the gradient of the whole. Once.
  Tensor TakePacked();

 private:
  friend class Node;
  explicit BackwardContext(Node& node) : node_(node) {}
  Node& node_;
};

using BackwardFunction = std::function<void(BackwardContext&)>;

// How an operation is made differentiable:
//
//   Variable Square(const Variable& x) {
//     Tensor y = …;
//     return Recorder("square", x).Record(y, [x = x.value()](BackwardContext& context) { … });
//   }
//
// The function captures the tensors it needs and no variables: they live until the backward pass is
// over. It is not called when no output gradient reaches the operation.
class Recorder {
 public:
  // Undefined variables may stand for inputs that are left out. `operation` is a literal.
  template <std::same_as<Variable>... Inputs>
  explicit Recorder(const char* operation, const Inputs&... inputs)
      : Recorder(operation, {&inputs...}) {}
  Recorder(const char* operation, std::span<const Variable> inputs);
  // An operation that uses leaves of its own: it is recorded although no input may need it.
  static Recorder OfLeavesInside(const char* operation, std::span<const Variable> inputs,
                                 Device& device, DType dtype);

  // Whether Record will keep a backward function; saves the work of preparing one.
  bool recording() const { return node_ != nullptr; }
  // Whether input `i` takes part in differentiation.
  bool needs(int i) const;

  template <typename Function>
  Variable Record(Tensor output, Function&& backward) {
    if (!recording()) return Variable(std::move(output));
    SetBackward(BackwardFunction(std::forward<Function>(backward)));
    return Output(std::move(output), 0);
  }
  // Several outputs.
  template <typename Function>
  std::vector<Variable> RecordMany(std::vector<Tensor> outputs, Function&& backward) {
    if (recording()) SetBackward(BackwardFunction(std::forward<Function>(backward)));
    std::vector<Variable> variables;
    variables.reserve(outputs.size());
    for (size_t i = 0; i < outputs.size(); ++i) {
      variables.push_back(Output(std::move(outputs[i]), static_cast<int>(i)));
    }
    return variables;
  }
  // Outputs that are the slices of `whole` along `axis`, together all of it. Their gradients are
  // written into slices of one buffer, so that the backward pass copies nothing; it gets that
  // buffer by TakePacked().
  template <typename Function>
  std::vector<Variable> RecordSlices(const Tensor& whole, int axis,
                                     std::span<const int64_t> lengths, Function&& backward) {
    std::vector<Tensor> slices = Slices(whole, axis, lengths);
    return RecordMany(std::move(slices), std::forward<Function>(backward));
  }

 private:
  Recorder(const char* operation, std::initializer_list<const Variable*> inputs);

  void SetBackward(BackwardFunction backward);
  Variable Output(Tensor value, int index);
  std::vector<Tensor> Slices(const Tensor& whole, int axis, std::span<const int64_t> lengths);

  const char* operation_;
  std::shared_ptr<Node> node_;  // null: nothing is recorded
};

}  // namespace trainyard::nn
