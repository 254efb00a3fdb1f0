#include "core/trees/prediction_tree.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <utility>

namespace trainyard {
namespace {

// Rows that walk together, so many that the node of a row has arrived when its turn comes again.
constexpr int64_t kMostLanes = 256;
constexpr int64_t kLeastLanes = 32;
// Of the values of these rows: they stay in the first-level cache where they can.
constexpr int64_t kLaneBytes = 32 << 10;

int64_t LanesOf(size_t columns) {
  return std::clamp(kLaneBytes / static_cast<int64_t>(columns * sizeof(float)), kLeastLanes,
                    kMostLanes);
}

// A row on its way down.
struct Lane {
  uint32_t row;   // among the lanes
  uint32_t node;  // place in the nodes
};

// Splits on the shortest path to a leaf.
int LeastLeafDepth(const Tree& tree) {
  std::vector<int32_t> level = {0};
  for (int depth = 0;; ++depth) {
    std::vector<int32_t> below;
    for (const int32_t node : level) {
      if (tree.is_leaf(node)) return depth;
      below.push_back(tree.left[static_cast<size_t>(node)]);
      below.push_back(tree.right[static_cast<size_t>(node)]);
    }
    level.swap(below);
  }
}

}  // namespace

std::vector<int32_t> BreadthFirst(const Tree& tree) {
  std::vector<int32_t> order = {0};
  order.reserve(tree.feature.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const int32_t node = order[i];
    if (tree.is_leaf(node)) continue;
    order.push_back(tree.left[static_cast<size_t>(node)]);
    order.push_back(tree.right[static_cast<size_t>(node)]);
  }
  return order;
}

PredictionTree::PredictionTree(const Tree& tree, std::span<const int32_t> column_of_feature)
    : outputs_(static_cast<size_t>(tree.outputs)) {
  int32_t columns = 0;
  for (const int32_t column : column_of_feature) columns = std::max(columns, column + 1);
  if (SmallNode::Fits(tree.node_count(), columns)) {
    Compile(tree, column_of_feature, small_);
  } else {
    Compile(tree, column_of_feature, large_);
  }
}

// The root and an unused place come first, so that left children have even places.
template <typename Node>
void PredictionTree::Compile(const Tree& tree, std::span<const int32_t> column_of_feature,
                             std::vector<Node>& nodes) {
  least_depth_ = LeastLeafDepth(tree);
  nodes.reserve(tree.feature.size() + 1);
  thresholds_.reserve(tree.feature.size() + 1);
  uint32_t next = 2;  // place of the next children
  for (const int32_t node : BreadthFirst(tree)) {
    const size_t t = static_cast<size_t>(node);
    if (tree.is_leaf(node)) {
      nodes.push_back(Node::Leaf(static_cast<uint32_t>(node_of_leaf_.size())));
      thresholds_.push_back(0);
      AddLeaf(tree, node);
    } else {
      const std::span<const int32_t> levels = tree.LeftLevels(node);
      Split split;
      split.threshold = levels.empty() ? RoundDown(tree.threshold[t]) : AddLevels(levels);
      split.left = next;
      split.column = static_cast<uint32_t>(column_of_feature[static_cast<size_t>(tree.feature[t])]);
      split.missing_left = tree.missing_left[t] != 0;
      split.categorical = !levels.empty();
      split.left_is_leaf = tree.is_leaf(tree.left[t]);
      split.right_is_leaf = tree.is_leaf(tree.right[t]);
      nodes.push_back(Node::Of(split));
      thresholds_.push_back(tree.threshold[t]);
      next += 2;
    }
    if (node == 0) {
      nodes.push_back(Node::Leaf(0));
      thresholds_.push_back(0);
    }
  }
}

void PredictionTree::AddLeaf(const Tree& tree, int32_t node) {
  node_of_leaf_.push_back(node);
  const std::span<const double> value = tree.ValueOf(node);
  values_.insert(values_.end(), value.begin(), value.end());
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

template <typename Node>
void PredictionTree::RestoreFrom(const std::vector<Node>& nodes,
                                 std::span<const int32_t> feature_of_column, Tree& tree) const {
  bool leaf = leaf_count() == 1;
  std::vector<uint8_t> is_leaf(nodes.size(), leaf ? 1 : 0);
  std::vector<int32_t> level_begin = {0};
  for (size_t place = 0; place < nodes.size(); ++place) {
    if (place == 1) continue;
    const Node& node = nodes[place];
    leaf = is_leaf[place] != 0;
    tree.feature.push_back(leaf ? -1 : feature_of_column[node.column()]);
    tree.threshold.push_back(thresholds_[place]);
    tree.missing_left.push_back(!leaf && node.missing_left() ? 1 : 0);
    if (leaf) {
      tree.left.push_back(-1);
      tree.right.push_back(-1);
      const double* const value = ValuesOf(static_cast<int32_t>(node.leaf()));
      tree.value.insert(tree.value.end(), value, value + outputs_);
    } else {
      // Place 1 has no node.
      tree.left.push_back(static_cast<int32_t>(node.left()) - 1);
      tree.right.push_back(static_cast<int32_t>(node.left()));
      for (const bool right : {false, true}) {
        is_leaf[node.left() + (right ? 1 : 0)] = node.leaf_follows(right) ? 1 : 0;
      }
      tree.value.insert(tree.value.end(), outputs_, 0.0);
      if (node.categorical()) RestoreLevels(node.threshold, tree.left_levels);
    }
    level_begin.push_back(static_cast<int32_t>(tree.left_levels.size()));
  }
  if (!tree.left_levels.empty()) tree.level_begin = std::move(level_begin);
}

Tree PredictionTree::Restore(std::span<const int32_t> feature_of_column) const {
  Tree tree;
  tree.outputs = static_cast<int>(outputs_);
  if (large_.empty()) {
    RestoreFrom(small_, feature_of_column, tree);
  } else {
    RestoreFrom(large_, feature_of_column, tree);
  }
  return tree;
}

void PredictionTree::RestoreLevels(float threshold, std::vector<int32_t>& levels) const {
  const size_t first = std::bit_cast<uint32_t>(threshold);
  for (size_t word = 0; word < level_bits_[first]; ++word) {
    for (uint64_t bits = level_bits_[first + 1 + word]; bits != 0; bits &= bits - 1) {
      levels.push_back(static_cast<int32_t>(64 * word) + std::countr_zero(bits));
    }
  }
}

bool PredictionTree::InLevels(float threshold, float value) const {
  const size_t first = std::bit_cast<uint32_t>(threshold);
  const uint32_t code = std::bit_cast<uint32_t>(value);
  const uint32_t word = code / 64;
  return word < level_bits_[first] && ((level_bits_[first + 1 + word] >> (code % 64)) & 1) != 0;
}

template <PredictionTree::Special kSpecial, typename Node>
inline bool PredictionTree::GoesRight(const Node& node, float value) const {
  const bool greater = value > node.threshold;
  if constexpr (kSpecial == Special::kNone) return greater;
  const bool missing = value != value;
  if constexpr (kSpecial == Special::kMissingAndLevels) {
    if (node.categorical() && !missing) return !InLevels(node.threshold, value);
  }
  return greater | (missing & !node.missing_left());
}

// All rows that are not at a leaf make one step in turn; those that reach one leave the lanes,
// without branches. No row does so before the last step to the highest leaf.
template <PredictionTree::Special kSpecial, bool kExact, typename Node>
void PredictionTree::Walk(const std::vector<Node>& nodes, const RowBlock& block,
                          int32_t* leaves) const {
  const size_t columns = block.columns();
  const int64_t most = LanesOf(columns);
  std::array<Lane, kMostLanes> lanes;
  std::array<uint32_t, kMostLanes> reached;
  for (int64_t first = 0; first < block.row_count(); first += most) {
    const size_t count = static_cast<size_t>(std::min(most, block.row_count() - first));
    const float* const values = block.row(first);
    const auto is_right = [&](Lane lane, const Node& node) {
      const float value = values[lane.row * columns + node.column()];
      if constexpr (!kExact) {
        if (value == node.threshold && !node.categorical()) [[unlikely]] {
          return block.Exact(first + lane.row, node.column()) > thresholds_[lane.node];
        }
      }
      return GoesRight<kSpecial>(node, value);
    };
    for (size_t i = 0; i < count; ++i) lanes[i] = {static_cast<uint32_t>(i), 0};
    for (int step = 1; step < least_depth_; ++step) {
      for (size_t i = 0; i < count; ++i) {
        const Node node = nodes[lanes[i].node];
        lanes[i].node = node.left() + uint32_t{is_right(lanes[i], node)};
      }
    }
    for (size_t walking = count; walking > 0;) {
      size_t kept = 0;
      for (size_t i = 0; i < walking; ++i) {
        const Lane lane = lanes[i];
        const Node node = nodes[lane.node];
        const bool right = is_right(lane, node);
        const uint32_t next = node.left() + uint32_t{right};
        __builtin_prefetch(&nodes[next]);
        reached[lane.row] = next;
        lanes[kept] = {lane.row, next};
        kept += node.leaf_follows(right) ? 0 : 1;
      }
      walking = kept;
    }
    for (size_t i = 0; i < count; ++i) {
      leaves[first + static_cast<int64_t>(i)] = static_cast<int32_t>(nodes[reached[i]].leaf());
    }
  }
}

template <typename Node>
void PredictionTree::Dispatch(const std::vector<Node>& nodes, const RowBlock& block,
                              int32_t* leaves) const {
  if (node_of_leaf_.size() == 1) {
    std::fill_n(leaves, block.row_count(), 0);
  } else if (!level_bits_.empty()) {
    block.exact() ? Walk<Special::kMissingAndLevels, true>(nodes, block, leaves)
                  : Walk<Special::kMissingAndLevels, false>(nodes, block, leaves);
  } else if (block.has_missing()) {
    block.exact() ? Walk<Special::kMissing, true>(nodes, block, leaves)
                  : Walk<Special::kMissing, false>(nodes, block, leaves);
  } else {
    block.exact() ? Walk<Special::kNone, true>(nodes, block, leaves)
                  : Walk<Special::kNone, false>(nodes, block, leaves);
  }
}

void PredictionTree::FindLeaves(const RowBlock& block, int32_t* leaves) const {
  if (large_.empty()) return Dispatch(small_, block, leaves);
  return Dispatch(large_, block, leaves);
}

}  // namespace trainyard
