#include "core/nn/variable.h"

#include <algorithm>
#include <atomic>
#include <optional>

#include "core/tensor/kernels/elementwise_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {
namespace {

thread_local bool gradients_enabled = true;
std::atomic<uint64_t> next_node_id{1};
std::atomic<uint64_t> next_pass{1};

}  // namespace

// One operation of a computation, or a leaf.
class Node {
 public:
  struct Input {
    std::shared_ptr<Node> node;  // null where nothing is needed
    int output = 0;
  };
  struct Output {
    Shape shape;
    Tensor gradient;      // undefined: nothing arrived yet
    bool filled = false;  // whether `gradient` holds something to add to
  };
  // Gradients of the outputs are slices of one buffer along `axis`.
  struct Packing {
    Shape shape;
    int axis = 0;
    std::vector<int64_t> starts;
    Tensor buffer;
  };

  Node(const char* operation, Device& device, DType dtype)
      : operation_(operation), device_(device), dtype_(dtype) {}
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  bool is_leaf() const { return is_leaf_; }

  // A buffer for the gradient of an output; `filled` tells whether it has content.
  Tensor Buffer(int index) {
    Output& output = outputs_[index];
    if (output.gradient.defined()) return output.gradient;
    if (packing_.has_value()) {
      if (!packing_->buffer.defined()) {
        packing_->buffer = Tensor::Empty(device_, packing_->shape, dtype_);
      }
      output.gradient = packing_->buffer.Slice(packing_->axis, packing_->starts[index],
                                               output.shape[packing_->axis]);
    } else {
      output.gradient = Tensor::Empty(device_, output.shape, dtype_);
    }
    return output.gradient;
  }

  // A gradient that was taken over may be somebody else's too; it is copied before it is changed.
  void OwnBuffer(int index) {
    Output& output = outputs_[index];
    if (is_leaf_ || packing_.has_value()) return;
    if (!output.gradient.is_contiguous() || !output.gradient.IsSoleOwner()) {
      output.gradient = output.gradient.Clone();
    }
  }

  void Add(int index, const Tensor& gradient) {
    Output& output = outputs_[index];
    if (output.filled) {
      OwnBuffer(index);
      device_.elementwise().Affine(gradient, 1, 0, output.gradient, /*accumulate=*/true);
      return;
    }
    output.filled = true;
    if (is_leaf_ || packing_.has_value()) {
      Buffer(index).CopyFrom(gradient);
    } else {
      output.gradient = gradient;
    }
  }

  const char* operation_;
  Device& device_;
  const DType dtype_;
  const uint64_t id_ = next_node_id.fetch_add(1, std::memory_order_relaxed);
  uint64_t visited_in_ = 0;
  bool is_leaf_ = false;
  bool used_up_ = false;
  std::vector<Input> inputs_;
  std::vector<Output> outputs_;
  std::optional<Packing> packing_;
  BackwardFunction backward_;
};

// Long chains would overflow the stack if each node destroyed the one before it.
Node::~Node() {
  backward_ = nullptr;
  std::vector<std::shared_ptr<Node>> doomed;
  const auto take_inputs = [&doomed](Node& node) {
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

Variable Variable::Leaf(Tensor value) {
  if (!value.defined() || !IsFloating(value.dtype())) {
    ThrowInvalidTensor("leaf: ", value.Description(), " cannot be differentiated by");
  }
  auto node = std::make_shared<Node>("leaf", value.device(), value.dtype());
  node->is_leaf_ = true;
  node->outputs_.push_back({value.shape(), Tensor(), false});
  return Variable(std::move(value), std::move(node), 0);
}

namespace {

Node& LeafOf(const std::shared_ptr<Node>& node) {
  if (node == nullptr || !node->is_leaf()) {
    ThrowInvalidTensor("gradient: asked of a variable that is not a leaf");
  }
  return *node;
}

}  // namespace

Tensor Variable::grad() const {
  const Node::Output& output = LeafOf(node_).outputs_[0];
  return output.filled ? output.gradient : Tensor();
}

void Variable::ClearGradient() const { LeafOf(node_).outputs_[0].filled = false; }

void Variable::ReleaseGradient() const {
  Node::Output& output = LeafOf(node_).outputs_[0];
  output.filled = false;
  output.gradient = Tensor();
}

const Tensor& BackwardContext::output_gradient(int output) const {
  static const Tensor kUndefined;
  const Node::Output& from = node_.outputs_[output];
  return from.filled ? from.gradient : kUndefined;
}

bool BackwardContext::needs(int input) const { return node_.inputs_[input].node != nullptr; }

GradientTarget BackwardContext::Target(int input) {
  const Node::Input& to = node_.inputs_[input];
  Node::Output& output = to.node->outputs_[to.output];
  if (output.filled) to.node->OwnBuffer(to.output);
  GradientTarget target{to.node->Buffer(to.output), output.filled};
  output.filled = true;
  return target;
}

Tensor BackwardContext::AddTarget(int input) {
  const GradientTarget target = Target(input);
  if (!target.accumulate) target.tensor.Fill(0);
  return target.tensor;
}

void BackwardContext::Add(int input, const Tensor& gradient) {
  const Node::Input& to = node_.inputs_[input];
  if (to.node != nullptr) to.node->Add(to.output, gradient);
}

bool GradientsEnabled() { return gradients_enabled; }

NoGradScope::NoGradScope() : before_(std::exchange(gradients_enabled, false)) {}
NoGradScope::~NoGradScope() { gradients_enabled = before_; }

Recorder::Recorder(const char* operation, std::span<const Variable> inputs)
    : operation_(operation), inputs_(inputs.begin(), inputs.end()) {
  if (!gradients_enabled) return;
  if (std::ranges::any_of(inputs_, [](const Variable& v) { return v.requires_grad(); })) {
    ForceRecording();
  }
}

void Recorder::ForceRecording() {
  if (!gradients_enabled || node_ != nullptr) return;
  const auto first = std::ranges::find_if(
      inputs_, [](const Variable& v) { return v.defined() && IsFloating(v.dtype()); });
  if (first == inputs_.end()) {
    ThrowInvalidTensor(operation_, ": no input that can be differentiated");
  }
  node_ = std::make_shared<Node>(operation_, first->device(), first->dtype());
  for (const Variable& input : inputs_) node_->inputs_.push_back({input.node_, input.output_});
}

bool Recorder::needs(int i) const { return recording() && node_->inputs_[i].node != nullptr; }

std::vector<Variable> Recorder::RecordSlices(const Tensor& whole, int axis,
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
  if (recording()) node_->packing_ = {whole.shape(), which, std::move(starts), Tensor()};
  Node* const node = node_.get();
  return RecordMany(std::move(slices), [node](BackwardContext& context) {
    for (size_t i = 0; i < node->outputs_.size(); ++i) {
      if (!node->outputs_[i].filled) node->Buffer(static_cast<int>(i)).Fill(0);
    }
    context.Add(0, std::exchange(node->packing_->buffer, Tensor()));
  });
}

void Recorder::SetBackward(BackwardFunction backward) { node_->backward_ = std::move(backward); }

Variable Recorder::Output(Tensor value, int index) {
  if (!recording()) return Variable(std::move(value));
  node_->outputs_.push_back({value.shape(), Tensor(), false});
  return Variable(std::move(value), node_, index);
}

namespace {

// All operations that `root` depends on, newest first: an operation comes after all that use it.
std::vector<std::shared_ptr<Node>> InOrder(const std::shared_ptr<Node>& root) {
  const uint64_t pass = next_pass.fetch_add(1, std::memory_order_relaxed);
  std::vector<std::shared_ptr<Node>> nodes{root};
  root->visited_in_ = pass;
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (const Node::Input& input : nodes[i]->inputs_) {
      if (input.node == nullptr || input.node->is_leaf_ || input.node->visited_in_ == pass)
        continue;
      input.node->visited_in_ = pass;
      nodes.push_back(input.node);
    }
  }
  std::ranges::sort(nodes, [](const auto& a, const auto& b) { return a->id_ > b->id_; });
  return nodes;
}

}  // namespace

void Backward(const Variable& loss, const Tensor& seed) {
  if (!loss.requires_grad()) {
    ThrowInvalidTensor("backward: ", loss.value().Description(), " depends on no leaf");
  }
  loss.node_->Add(loss.output_, seed.defined()
                                    ? seed
                                    : Tensor::Full(loss.device(), loss.shape(), 1, loss.dtype()));
  if (loss.node_->is_leaf_) return;
  std::vector<std::shared_ptr<Node>> nodes = InOrder(loss.node_);
  for (std::shared_ptr<Node>& node : nodes) {
    if (node->used_up_) {
      ThrowInvalidTensor("backward: the computation of ", node->operation_,
                         " was differentiated before");
    }
    node->used_up_ = true;
    if (std::ranges::any_of(node->outputs_, &Node::Output::filled)) {
      BackwardContext context(*node);
      node->backward_(context);
    }
    node->backward_ = nullptr;
    node->inputs_.clear();
    for (Node::Output& output : node->outputs_) output.gradient = Tensor();
    node.reset();
  }
}

Variable Checkpoint(const std::function<Variable(std::span<const Variable> inputs)>& function,
                    std::vector<Variable> inputs, RandomSource* random) {
  if (!GradientsEnabled()) return function(inputs);
  const uint64_t first_stream = random == nullptr ? 0 : random->next_stream();
  std::vector<Variable> constants;
  for (const Variable& input : inputs) constants.push_back(input.Detached());
  Tensor value;
  {
    const NoGradScope no_grad;
    value = function(constants).value();
  }
  Recorder recorder("checkpoint", inputs);
  recorder.ForceRecording();
  return recorder.Record(value, [function, inputs, first_stream, random](BackwardContext& context) {
    std::vector<Variable> again;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const bool needed = context.needs(static_cast<int>(i));
      again.push_back(needed ? Variable::Leaf(inputs[i].value()) : inputs[i].Detached());
    }
    const uint64_t present = random == nullptr ? 0 : random->next_stream();
    if (random != nullptr) random->set_next_stream(first_stream);
    const Variable result = function(again);
    if (random != nullptr) random->set_next_stream(present);
    Backward(result, context.output_gradient());
    for (size_t i = 0; i < again.size(); ++i) {
      if (!context.needs(static_cast<int>(i))) continue;
      const Tensor gradient = again[i].grad();
      if (gradient.defined()) context.Add(static_cast<int>(i), gradient);
    }
  });
}

}  // namespace trainyard::nn
