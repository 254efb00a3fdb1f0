// What a computation is made of: for core/nn alone; operations use Recorder.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "core/nn/recorder.h"
#include "core/tensor/tensor.h"

namespace trainyard::nn {

// One operation of a computation, or a leaf, with the gradients of its outputs as they arrive.
class Node {
 public:
  struct Input {
    std::shared_ptr<Node> node;  // null where nothing is needed
    int output = 0;
  };
  struct Output {
    Shape shape;
    // The buffer. It may be another's too (Add takes tensors over), unless this node packs its
    // outputs or is a leaf.
    Tensor gradient;
    bool filled = false;  // whether the buffer holds something to add to
  };

  Node(const char* operation, bool is_leaf, Device& device, DType dtype);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  const char* operation() const { return operation_; }
  bool is_leaf() const { return is_leaf_; }
  // Nodes made later have larger numbers, so an operation's is larger than those of its inputs.
  uint64_t id() const { return id_; }
  absl::InlinedVector<Input, 3>& inputs() { return inputs_; }
  absl::InlinedVector<Output, 1>& outputs() { return outputs_; }
  void set_backward(BackwardFunction backward) { backward_ = std::move(backward); }

  // Gradients of the outputs become slices along `axis` of one buffer of `whole`.
  void Pack(const Shape& whole, int axis, std::vector<int64_t> starts);
  // That buffer, with zeros where no gradient arrived; the node forgets it.
  Tensor TakePacked();

  // Adds `gradient` to that of an output, or takes it over as the first.
  void Add(int output, const Tensor& gradient);
  // A buffer to write an output's gradient into; the caller does write.
  GradientTarget Target(int output);

  // Whether a gradient of some output arrived.
  bool HasGradient() const;
  bool used_up() const { return used_up_; }
  // Runs the backward function where a gradient arrived, and gives everything back that it needed.
  void RunBackward();

  // Marks the node as seen by a pass; false when it was.
  bool Visit(uint64_t pass);

 private:
  struct Packing {
    Shape whole;
    int axis = 0;
    std::vector<int64_t> starts;
    Tensor buffer;
  };

  bool keeps_buffers() const { return is_leaf_ || packing_ != nullptr; }
  const Tensor& Buffer(int output);
  void MakeOwn(Output& output);

  const char* const operation_;
  const bool is_leaf_;
  bool used_up_ = false;
  const DType dtype_;
  Device& device_;
  const uint64_t id_;
  uint64_t visited_in_ = 0;
  absl::InlinedVector<Input, 3> inputs_;
  absl::InlinedVector<Output, 1> outputs_;
  std::unique_ptr<Packing> packing_;
  BackwardFunction backward_;
};

}  // namespace trainyard::nn
