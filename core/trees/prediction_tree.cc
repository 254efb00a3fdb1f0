#include "core/trees/prediction_tree.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace trainyard {
namespace {

// Rows that walk together, so that one waits for memory while others compute.
constexpr int kLanes = 16;

// Nodes from the root down, siblings adjacent.
std::vector<int32_t> BreadthFirst(const Tree& tree) {
  std::vector<int32_t> order = {0};
  order.reserve(tree.feature.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const int node = order[i];
    if (tree.is_leaf(node)) continue;
    order.push_back(tree.left[static_cast<size_t>(node)]);
    order.push_back(tree.right[static_cast<size_t>(node)]);
  }
  return order;
}

}  // namespace

PredictionTree::PredictionTree(const Tree& tree, std::span<const int32_t> column_of_feature)
    : outputs_(static_cast<size_t>(tree.outputs)) {
  const std::vector<int32_t> order = BreadthFirst(tree);
  int32_t columns = 0;
  for (const int32_t column : column_of_feature) columns = std::max(columns, column + 1);
  if (SmallNode::Fits(tree.node_count(), columns)) {
    Compile(tree, order, column_of_feature, small_);
  } else {
    Compile(tree, order, column_of_feature, large_);
  }
}

template <typename Node>
void PredictionTree::Compile(const Tree& tree, std::span<const int32_t> order,
                             std::span<const int32_t> column_of_feature, std::vector<Node>& nodes) {
  nodes.reserve(order.size());
  int32_t child = 1;
  for (size_t i = 0; i < order.size(); ++i) {
    const int32_t t = order[i];
    if (tree.is_leaf(t)) {
      nodes.push_back(Node::Make(HUGE_VALF, static_cast<int32_t>(i), 0, true, false));
      thresholds_.push_back(HUGE_VAL);
      leaf_.push_back(static_cast<int32_t>(node_of_leaf_.size()));
      node_of_leaf_.push_back(t);
      const std::span<const double> value = tree.ValueOf(t);
      values_.insert(values_.end(), value.begin(), value.end());
      continue;
    }
    const size_t split = static_cast<size_t>(t);
    const std::span<const int32_t> levels = tree.LeftLevels(t);
    const uint32_t column =
        static_cast<uint32_t>(column_of_feature[static_cast<size_t>(tree.feature[split])]);
    const float threshold = levels.empty() ? RoundDown(tree.threshold[split]) : AddLevels(levels);
    nodes.push_back(
        Node::Make(threshold, child, column, tree.missing_left[split] != 0, !levels.empty()));
    thresholds_.push_back(tree.threshold[split]);
    leaf_.push_back(-1);
    child += 2;
  }
}

float PredictionTree::AddLevels(std::span<const int32_t> levels) {
  const uint32_t index = static_cast<uint32_t>(level_bits_.size());
  const size_t words = static_cast<size_t>(levels.back()) / 64 + 1;
  level_bits_.push_back(words);
  const size_t first = level_bits_.size();
  level_bits_.resize(first + words, 0);
  for (const int32_t level : levels) {
    level_bits_[first + static_cast<size_t>(level) / 64] |= uint64_t{1} << (level % 64);
  }
  return std::bit_cast<float>(index);
}

bool PredictionTree::InLevels(float threshold, float value) const {
  const size_t first = std::bit_cast<uint32_t>(threshold);
  const uint32_t code = std::bit_cast<uint32_t>(value);
  const uint32_t word = code / 64;
  return word < level_bits_[first] && ((level_bits_[first + 1 + word] >> (code % 64)) & 1) != 0;
}

template <typename Node>
bool PredictionTree::GoesRight(const Node& node, float value) const {
  if (value != value) return !node.missing_left();
  if (node.categorical()) return !InLevels(node.threshold, value);
  return value > node.threshold;
}

template <typename Node, bool kGeneral, bool kExact>
void PredictionTree::Walk(const std::vector<Node>& nodes, const RowBlock& block,
                          int32_t* leaves) const {
  const size_t columns = block.columns();
  const Node* const first_node = nodes.data();
  for (int64_t first = 0; first < block.row_count(); first += kLanes) {
    const int64_t lanes = std::min<int64_t>(kLanes, block.row_count() - first);
    const float* values = block.row(first);
    int32_t at[kLanes] = {};
    int32_t moved = 1;
    const auto step = [&](int64_t lane) {
      const Node node = first_node[at[lane]];
      const float value = values[static_cast<size_t>(lane) * columns + node.column()];
      bool right = kGeneral ? GoesRight(node, value) : value > node.threshold;
      if (!kExact && value == node.threshold && !node.categorical()) [[unlikely]] {
        right =
            block.Exact(first + lane, node.column()) > thresholds_[static_cast<size_t>(at[lane])];
      }
      const int32_t next = node.left() + static_cast<int32_t>(right);
      moved |= next ^ at[lane];
      at[lane] = next;
    };
    while (moved != 0) {
      moved = 0;
      if (lanes == kLanes) {
#pragma GCC unroll 16
        for (int64_t lane = 0; lane < kLanes; ++lane) step(lane);
      } else {
        for (int64_t lane = 0; lane < lanes; ++lane) step(lane);
      }
    }
    for (int64_t lane = 0; lane < lanes; ++lane) {
      leaves[first + lane] = leaf_[static_cast<size_t>(at[lane])];
    }
  }
}

template <typename Node>
void PredictionTree::Dispatch(const std::vector<Node>& nodes, const RowBlock& block,
                              int32_t* leaves) const {
  const bool general = block.has_missing() || !level_bits_.empty();
  if (general && block.exact()) return Walk<Node, true, true>(nodes, block, leaves);
  if (general) return Walk<Node, true, false>(nodes, block, leaves);
  if (block.exact()) return Walk<Node, false, true>(nodes, block, leaves);
  return Walk<Node, false, false>(nodes, block, leaves);
}

void PredictionTree::FindLeaves(const RowBlock& block, int32_t* leaves) const {
  if (large_.empty()) return Dispatch(small_, block, leaves);
  return Dispatch(large_, block, leaves);
}

}  // namespace trainyard
