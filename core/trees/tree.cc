#include "core/trees/tree.h"

#include <algorithm>
#include <cmath>

namespace trainyard {

std::span<const int32_t> Tree::LeftLevels(int node) const {
  if (level_begin.empty()) return {};
  const size_t t = static_cast<size_t>(node);
  const size_t begin = static_cast<size_t>(level_begin[t]);
  return std::span(left_levels).subspan(begin, static_cast<size_t>(level_begin[t + 1]) - begin);
}

int Tree::leaf_count() const {
  return static_cast<int>(std::count_if(left.begin(), left.end(), [](int32_t l) { return l < 0; }));
}

int Tree::depth() const {
  const std::vector<int32_t> depths = NodeDepths();
  return depths.empty() ? 0 : *std::max_element(depths.begin(), depths.end());
}

std::vector<int32_t> Tree::NodeDepths() const {
  std::vector<int32_t> depths(feature.size(), 0);
  for (size_t t = 0; t < feature.size(); ++t) {
    if (left[t] < 0) continue;
    depths[static_cast<size_t>(left[t])] = depths[t] + 1;
    depths[static_cast<size_t>(right[t])] = depths[t] + 1;
  }
  return depths;
}

bool GoesLeft(const Tree& tree, int node, const FeatureColumn& column, int64_t row) {
  const size_t t = static_cast<size_t>(node);
  const size_t r = static_cast<size_t>(row);
  if (!column.categorical) {
    const double value = column.numbers[r];
    return std::isnan(value) ? tree.missing_left[t] != 0 : value <= tree.threshold[t];
  }
  const int32_t code = column.codes[r];
  if (code < 0 || code >= column.level_count) return tree.missing_left[t] != 0;
  const std::span<const int32_t> levels = tree.LeftLevels(node);
  return std::binary_search(levels.begin(), levels.end(), code);
}

int FindLeaf(const Tree& tree, std::span<const FeatureColumn> features, int64_t row) {
  int node = 0;
  while (!tree.is_leaf(node)) {
    const size_t t = static_cast<size_t>(node);
    const FeatureColumn& column = features[static_cast<size_t>(tree.feature[t])];
    node = GoesLeft(tree, node, column, row) ? tree.left[t] : tree.right[t];
  }
  return node;
}

}  // namespace trainyard
