#include "core/nn/variable.h"

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

#include "core/nn/node.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {
namespace {

thread_local bool gradients_enabled = true;
std::atomic<uint64_t> next_pass{1};

Node& LeafOf(const std::shared_ptr<Node>& node) {
  if (node == nullptr || !node->is_leaf()) {
    ThrowInvalidTensor("gradient: asked of a variable that is not a leaf");
  }
  return *node;
}

}  // namespace

Variable Variable::Leaf(Tensor value) {
  if (!value.defined() || !IsFloating(value.dtype())) {
    ThrowInvalidTensor("leaf: ", value.Description(), " cannot be differentiated by");
  }
  auto node = std::make_shared<Node>("leaf", /*is_leaf=*/true, value.device(), value.dtype());
  node->outputs().push_back({value.shape(), Tensor(), false});
  return Variable(std::move(value), std::move(node), 0);
}

Tensor Variable::grad() const {
  const Node::Output& output = LeafOf(node_).outputs()[0];
  return output.filled ? output.gradient : Tensor();
}

Tensor Variable::GradientOrZeros() const {
  const GradientTarget target = LeafOf(node_).Target(0);
  if (!target.accumulate) target.tensor.Fill(0);
  return target.tensor;
}

void Variable::ClearGradient() const { LeafOf(node_).outputs()[0].filled = false; }

void Variable::ReleaseGradient() const {
  Node::Output& output = LeafOf(node_).outputs()[0];
  output.filled = false;
  output.gradient = Tensor();
}

bool GradientsEnabled() { return gradients_enabled; }

NoGradScope::NoGradScope() : before_(std::exchange(gradients_enabled, false)) {}
NoGradScope::~NoGradScope() { gradients_enabled = before_; }

GradScope::GradScope() : before_(std::exchange(gradients_enabled, true)) {}
GradScope::~GradScope() { gradients_enabled = before_; }

namespace {

// All operations that `root` depends on, newest first: an operation comes after all that use it.
std::vector<std::shared_ptr<Node>> InOrder(const std::shared_ptr<Node>& root) {
  const uint64_t pass = next_pass.fetch_add(1, std::memory_order_relaxed);
  std::vector<std::shared_ptr<Node>> nodes{root};
  root->Visit(pass);
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i]->used_up()) {
      ThrowInvalidTensor("backward: the computation of ", nodes[i]->operation(),
                         " was differentiated before");
    }
    // By index: the vector grows.
    Node& node = *nodes[i];
    for (const Node::Input& input : node.inputs()) {
      if (input.node == nullptr || input.node->is_leaf() || !input.node->Visit(pass)) continue;
      nodes.push_back(input.node);
    }
  }
  std::ranges::sort(nodes, [](const auto& a, const auto& b) { return a->id() > b->id(); });
  return nodes;
}

void CheckSeed(const Variable& loss, const Tensor& seed) {
  if (!loss.requires_grad()) {
    ThrowInvalidTensor("backward: ", loss.value().Description(), " depends on no leaf");
  }
  if (!seed.defined()) return;
  ExpectAlike("backward", loss.value(), seed);
  if (seed.shape() != loss.shape()) {
    ThrowInvalidTensor("backward: a seed of shape ", seed.shape().ToString(),
                       " for a loss of shape ", loss.shape().ToString());
  }
}

}  // namespace

void Backward(const Variable& loss, const Tensor& seed) {
  CheckSeed(loss, seed);
  const auto start = [&] {
    loss.node_->Add(loss.output_, seed.defined()
                                      ? seed
                                      : Tensor::Full(loss.device(), loss.shape(), 1, loss.dtype()));
  };
  if (loss.node_->is_leaf()) return start();
  std::vector<std::shared_ptr<Node>> nodes = InOrder(loss.node_);
  start();
  for (std::shared_ptr<Node>& node : nodes) {
    node->RunBackward();
    node.reset();
  }
}

}  // namespace trainyard::nn
