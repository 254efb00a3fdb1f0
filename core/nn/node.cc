#include "core/nn/node.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "core/nn/variable.h"
#include "core/tensor/kernels/elementwise_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {
namespace {

std::atomic<uint64_t> next_node_id{1};
std::atomic<int64_t> live_nodes{0};

}  // namespace

int64_t LiveNodes() { return live_nodes.load(std::memory_order_relaxed); }

Node::Node(const char* operation, bool is_leaf, Device& device, DType dtype)
    : operation_(operation),
      is_leaf_(is_leaf),
      dtype_(dtype),
      device_(device),
      id_(next_node_id.fetch_add(1, std::memory_order_relaxed)) {
  live_nodes.fetch_add(1, std::memory_order_relaxed);
}

// Long chains would overflow the stack if each node destroyed the one before it. A backward
// function may hold variables, so it goes before the inputs are looked at.
Node::~Node() {
  live_nodes.fetch_sub(1, std::memory_order_relaxed);
  std::vector<std::shared_ptr<Node>> doomed;
  const auto take_inputs = [&doomed](Node& node) {
    node.backward_ = nullptr;
    for (Input& input : node.inputs_) {
      if (input.node != nullptr && input.node.use_count() == 1) {
        doomed.push_back(std::move(input.node));
      }
    }
  };
  take_inputs(*this);
  while (!doomed.empty()) {
    const std::shared_ptr<Node> node = std::move(doomed.back());
    doomed.pop_back();
    take_inputs(*node);
  }
}

void Node::Pack(const Shape& whole, int axis, std::vector<int64_t> starts) {
  packing_ = std::make_unique<Packing>(Packing{whole, axis, std::move(starts), Tensor()});
}

Tensor Node::TakePacked() {
  for (size_t i = 0; i < outputs_.size(); ++i) {
    if (!outputs_[i].filled) Buffer(static_cast<int>(i)).Fill(0);
    outputs_[i].gradient = Tensor();
  }
  return std::exchange(packing_->buffer, Tensor());
}

const Tensor& Node::Buffer(int index) {
  Output& output = outputs_[index];
  if (output.gradient.defined()) return output.gradient;
  if (packing_ == nullptr) {
    output.gradient = Tensor::Empty(device_, output.shape, dtype_);
    return output.gradient;
  }
  Packing& packing = *packing_;
  if (!packing.buffer.defined()) {
    packing.buffer = Tensor::Empty(device_, packing.whole, dtype_);
  }
  output.gradient =
      packing.buffer.Slice(packing.axis, packing.starts[index], output.shape[packing.axis]);
  return output.gradient;
}

// A gradient that was taken over may be somebody else's too; it is copied before it is changed.
void Node::MakeOwn(Output& output) {
  if (keeps_buffers()) return;
  if (!output.gradient.is_contiguous() || !output.gradient.IsSoleOwner()) {
    output.gradient = output.gradient.Clone();
  }
}

void Node::Add(int index, const Tensor& gradient) {
  Output& output = outputs_[index];
  if (gradient.shape() != output.shape) {
    ThrowInvalidTensor(operation_, ": a gradient of shape ", gradient.shape().ToString(),
                       " for an output of shape ", output.shape.ToString());
  }
  if (output.filled) {
    MakeOwn(output);
    device_.elementwise().Affine(gradient, 1, 0, output.gradient, /*accumulate=*/true);
  } else if (keeps_buffers()) {
    Buffer(index).CopyFrom(gradient);
  } else {
    output.gradient = gradient;
  }
  output.filled = true;
}

GradientTarget Node::Target(int index) {
  Output& output = outputs_[index];
  if (output.filled) MakeOwn(output);
  const bool accumulate = std::exchange(output.filled, true);
  return {Buffer(index), accumulate};
}

bool Node::HasGradient() const { return std::ranges::any_of(outputs_, &Output::filled); }

void Node::RunBackward() {
  used_up_ = true;
  if (HasGradient()) {
    BackwardContext context(*this);
    backward_(context);
  }
  backward_ = nullptr;
  inputs_.clear();
  for (Output& output : outputs_) output.gradient = Tensor();
  packing_.reset();
}

bool Node::Visit(uint64_t pass) { return std::exchange(visited_in_, pass) != pass; }

}  // namespace trainyard::nn
