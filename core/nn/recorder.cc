#include "core/nn/recorder.h"

#include "core/nn/node.h"
#include "core/tensor/kernels/elementwise_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {
namespace {

Tensor EmptyLike(const Tensor& tensor) {
  return Tensor::Empty(tensor.device(), tensor.shape(), tensor.dtype());
}

}  // namespace

const Tensor& BackwardContext::output_gradient(int output) const {
  static const Tensor kUndefined;
  const Node::Output& from = node_.outputs()[output];
  return from.filled ? from.gradient : kUndefined;
}

Tensor BackwardContext::Scratch(int output) const {
  const Tensor& gradient = node_.outputs()[output].gradient;
  if (gradient.is_contiguous() && gradient.IsSoleOwner()) return gradient;
  return EmptyLike(gradient);
}

bool BackwardContext::needs(int input) const { return node_.inputs()[input].node != nullptr; }

GradientTarget BackwardContext::Target(int input) {
  const Node::Input& to = node_.inputs()[input];
  return to.node->Target(to.output);
}

GradientBuffer BackwardContext::Buffer(int input) {
  GradientBuffer buffer;
  if (!needs(input)) return buffer;
  const GradientTarget target = Target(input);
  if (target.tensor.is_contiguous()) {
    buffer.tensor_ = target.tensor;
    buffer.accumulate_ = target.accumulate;
    return buffer;
  }
  buffer.tensor_ = EmptyLike(target.tensor);
  buffer.rest_ = target;
  return buffer;
}

GradientBuffer BackwardContext::SumBuffer(int input) {
  GradientBuffer buffer = Buffer(input);
  if (buffer.tensor_.defined() && !buffer.accumulate_) buffer.tensor_.Fill(0);
  buffer.accumulate_ = true;
  return buffer;
}

GradientBuffer BackwardContext::FreshBuffer(int input, const Tensor& like) {
  GradientBuffer buffer;
  if (needs(input)) buffer.rest_ = Target(input);
  if (buffer.rest_.tensor.defined() && !buffer.rest_.accumulate) {
    buffer.tensor_ = std::exchange(buffer.rest_, GradientTarget()).tensor;
  } else {
    buffer.tensor_ = EmptyLike(like);
  }
  return buffer;
}

void GradientBuffer::Finish() const {
  if (!rest_.tensor.defined()) return;
  tensor_.device().elementwise().Affine(tensor_, 1, 0, rest_.tensor, rest_.accumulate);
}

void BackwardContext::Add(int input, const Tensor& gradient) {
  const Node::Input& to = node_.inputs()[input];
  if (to.node != nullptr) to.node->Add(to.output, gradient);
}

Tensor BackwardContext::TakePacked() { return node_.TakePacked(); }

namespace {

template <typename Inputs, typename ToVariable>
std::shared_ptr<Node> NodeOf(const char* operation, const Inputs& inputs, ToVariable to_variable,
                             const auto& input_of) {
  if (!GradientsEnabled()) return nullptr;
  const Variable* needed = nullptr;
  for (const auto& input : inputs) {
    const Variable& variable = to_variable(input);
    if (variable.requires_grad()) needed = &variable;
  }
  if (needed == nullptr) return nullptr;
  auto node =
      std::make_shared<Node>(operation, /*is_leaf=*/false, needed->device(), needed->dtype());
  for (const auto& input : inputs) node->inputs().push_back(input_of(to_variable(input)));
  return node;
}

}  // namespace

Recorder::Recorder(const char* operation, std::initializer_list<const Variable*> inputs)
    : operation_(operation),
      node_(NodeOf(
          operation, inputs, [](const Variable* v) -> const Variable& { return *v; },
          [](const Variable& v) {
            return Node::Input{v.node_, v.output_};
          })) {}

Recorder::Recorder(const char* operation, std::span<const Variable> inputs)
    : operation_(operation),
      node_(NodeOf(
          operation, inputs, [](const Variable& v) -> const Variable& { return v; },
          [](const Variable& v) {
            return Node::Input{v.node_, v.output_};
          })) {}

Recorder Recorder::OfLeavesInside(const char* operation, std::span<const Variable> inputs,
                                  Device& device, DType dtype) {
  Recorder recorder(operation, inputs);
  if (recorder.recording() || !GradientsEnabled()) return recorder;
  recorder.node_ = std::make_shared<Node>(operation, /*is_leaf=*/false, device, dtype);
  recorder.node_->inputs().resize(inputs.size());
  return recorder;
}

bool Recorder::needs(int i) const { return recording() && node_->inputs()[i].node != nullptr; }

std::vector<Tensor> Recorder::Slices(const Tensor& whole, int axis,
                                     std::span<const int64_t> lengths) {
  const int which = whole.shape().AxisOf(axis);
  std::vector<Tensor> slices;
  std::vector<int64_t> starts;
  int64_t start = 0;
  for (const int64_t length : lengths) {
    starts.push_back(start);
    slices.push_back(whole.Slice(which, start, length));
    start += length;
  }
  if (start != whole.size(which)) {
    ThrowInvalidTensor(operation_, ": lengths that sum to ", start, " for axis ", which, " of ",
                       whole.Description());
  }
  if (recording()) node_->Pack(whole.shape(), which, std::move(starts));
  return slices;
}

void Recorder::SetBackward(BackwardFunction backward) { node_->set_backward(std::move(backward)); }

Variable Recorder::Output(Tensor value, int index) {
  if (!recording()) return Variable(std::move(value));
  node_->outputs().push_back({value.shape(), Tensor(), false});
  return Variable(std::move(value), node_, index);
}

}  // namespace trainyard::nn
