#include "core/trees/subtree.h"

#include <span>

namespace trainyard {
namespace {

template <typename T>
void KeepRows(const std::vector<int32_t>& kept, size_t width, std::vector<T>& values) {
  if (values.empty()) return;
  size_t to = 0;
  for (const int32_t node : kept) {
    for (size_t k = 0; k < width; ++k) {
      values[to++] = values[static_cast<size_t>(node) * width + k];
    }
  }
  values.resize(to);
  values.shrink_to_fit();
}

// The nodes from `top` down that are left when those with `made_leaf` become leaves, rising.
std::vector<int32_t> RemainingNodes(const Tree& tree, size_t top,
                                    const std::vector<uint8_t>& made_leaf) {
  std::vector<uint8_t> remains(tree.feature.size(), 0);
  remains[top] = 1;
  std::vector<int32_t> kept;
  for (size_t t = top; t < remains.size(); ++t) {
    if (remains[t] == 0) continue;
    kept.push_back(static_cast<int32_t>(t));
    if (tree.left[t] < 0 || made_leaf[t] != 0) continue;
    remains[static_cast<size_t>(tree.left[t])] = 1;
    remains[static_cast<size_t>(tree.right[t])] = 1;
  }
  return kept;
}

Tree CopyNodes(const Tree& tree, const std::vector<int32_t>& kept,
               const std::vector<uint8_t>& made_leaf) {
  std::vector<int32_t> number(tree.feature.size(), -1);
  for (size_t i = 0; i < kept.size(); ++i) {
    number[static_cast<size_t>(kept[i])] = static_cast<int32_t>(i);
  }
  Tree result = tree;
  result.level_begin.clear();
  result.left_levels.clear();
  for (const int32_t node : kept) {
    const size_t t = static_cast<size_t>(node);
    result.level_begin.push_back(static_cast<int32_t>(result.left_levels.size()));
    if (made_leaf[t] != 0 || tree.left[t] < 0) {
      result.feature[t] = result.left[t] = result.right[t] = -1;
      result.threshold[t] = 0;
      result.missing_left[t] = 0;
      continue;
    }
    const std::span<const int32_t> levels = tree.LeftLevels(node);
    result.left_levels.insert(result.left_levels.end(), levels.begin(), levels.end());
    result.left[t] = number[static_cast<size_t>(tree.left[t])];
    result.right[t] = number[static_cast<size_t>(tree.right[t])];
  }
  result.level_begin.push_back(static_cast<int32_t>(result.left_levels.size()));
  if (result.left_levels.empty()) result.level_begin.clear();
  KeepRows(kept, 1, result.feature);
  KeepRows(kept, 1, result.threshold);
  KeepRows(kept, 1, result.left);
  KeepRows(kept, 1, result.right);
  KeepRows(kept, 1, result.missing_left);
  KeepRows(kept, 1, result.weight);
  KeepRows(kept, 1, result.row_count);
  KeepRows(kept, 1, result.impurity);
  KeepRows(kept, static_cast<size_t>(tree.outputs), result.mean);
  KeepRows(kept, static_cast<size_t>(tree.outputs), result.value);
  return result;
}

// Appends the structure of `from`, whose nodes move up by the number of nodes there are.
void AppendStructure(const Tree& from, Tree& to) {
  const int32_t offset = to.node_count();
  for (int node = 0; node < from.node_count(); ++node) {
    const size_t t = static_cast<size_t>(node);
    to.feature.push_back(from.feature[t]);
    to.threshold.push_back(from.threshold[t]);
    to.left.push_back(from.left[t] < 0 ? -1 : from.left[t] + offset);
    to.right.push_back(from.right[t] < 0 ? -1 : from.right[t] + offset);
    to.missing_left.push_back(from.missing_left[t]);
    to.level_begin.push_back(static_cast<int32_t>(to.left_levels.size()));
    const std::span<const int32_t> levels = from.LeftLevels(node);
    to.left_levels.insert(to.left_levels.end(), levels.begin(), levels.end());
  }
}

}  // namespace

Tree MakeLeaves(const Tree& tree, const std::vector<uint8_t>& made_leaf) {
  return CopyNodes(tree, RemainingNodes(tree, 0, made_leaf), made_leaf);
}

Tree SubtreeOf(const Tree& tree, int node) {
  const std::vector<uint8_t> none(tree.feature.size(), 0);
  return CopyNodes(tree, RemainingNodes(tree, static_cast<size_t>(node), none), none);
}

Tree JoinStructure(const Tree& tree, const Tree& left, const Tree& right) {
  Tree joined;
  joined.outputs = tree.outputs;
  joined.feature = {tree.feature[0]};
  joined.threshold = {tree.threshold[0]};
  joined.left = {1};
  joined.right = {1 + left.node_count()};
  joined.missing_left = {tree.missing_left[0]};
  joined.level_begin = {0};
  const std::span<const int32_t> levels = tree.LeftLevels(0);
  joined.left_levels.assign(levels.begin(), levels.end());
  AppendStructure(left, joined);
  AppendStructure(right, joined);
  joined.level_begin.push_back(static_cast<int32_t>(joined.left_levels.size()));
  if (joined.left_levels.empty()) joined.level_begin.clear();
  return joined;
}

}  // namespace trainyard
