#include "core/trees/growing_node.h"

#include <span>

namespace trainyard {
namespace {

// The order in which nodes get their numbers: as created, or depth-first with left before right.
std::vector<int32_t> NodeOrder(const std::vector<GrowingNode>& nodes, bool as_created) {
  std::vector<int32_t> order;
  order.reserve(nodes.size());
  if (as_created) {
    for (size_t i = 0; i < nodes.size(); ++i) order.push_back(static_cast<int32_t>(i));
    return order;
  }
  std::vector<int32_t> stack = {0};
  while (!stack.empty()) {
    const int32_t index = stack.back();
    stack.pop_back();
    order.push_back(index);
    const GrowingNode& node = nodes[static_cast<size_t>(index)];
    if (node.left < 0) continue;
    stack.push_back(node.right);
    stack.push_back(node.left);
  }
  return order;
}

// N(t) and m(t) from sums over the leaves' rows, added up from below.
void FillMeans(const std::vector<RowRange>& ranges, const NodeRows& rows, Tree& tree) {
  const size_t width = static_cast<size_t>(tree.outputs) + 1;
  const size_t count = ranges.size();
  std::vector<double> sums(count * width, 0);
  for (size_t t = count; t-- > 0;) {
    const std::span<double> own = std::span(sums).subspan(t * width, width);
    if (tree.left[t] < 0) {
      rows.AddSums(ranges[t], own);
    } else {
      const size_t left = static_cast<size_t>(tree.left[t]) * width;
      const size_t right = static_cast<size_t>(tree.right[t]) * width;
      for (size_t k = 0; k < width; ++k) own[k] = sums[left + k] + sums[right + k];
    }
  }
  for (size_t t = 0; t < count; ++t) {
    tree.weight.push_back(sums[t * width]);
    for (size_t k = 1; k < width; ++k) tree.mean.push_back(sums[t * width + k] / sums[t * width]);
  }
  tree.value = tree.mean;
}

void Reserve(size_t nodes, Tree& tree) {
  tree.feature.reserve(nodes);
  tree.threshold.reserve(nodes);
  tree.left.reserve(nodes);
  tree.right.reserve(nodes);
  tree.missing_left.reserve(nodes);
  tree.level_begin.reserve(nodes + 1);
  tree.weight.reserve(nodes);
  tree.row_count.reserve(nodes);
  tree.impurity.reserve(nodes);
  tree.mean.reserve(nodes * static_cast<size_t>(tree.outputs));
}

}  // namespace

GrowingNode GrowthRules::MakeRoot(NodeRows& rows) {
  GrowingNode root;
  root.range = {0, rows.count()};
  limits_ = {};
  Measure(rows, root);
  total_weight_ = root.weight;
  limits_ = {options_.min_samples_leaf(), options_.min_weight_fraction_leaf() * root.weight};
  root.splittable = root.splittable && root.weight >= 2 * limits_.min_weight;
  return root;
}

void GrowthRules::Measure(NodeRows& rows, GrowingNode& node) const {
  const NodeStatistics statistics = rows.Prepare(node.range);
  node.weight = statistics.weight;
  node.impurity = statistics.impurity;
  const int64_t count = node.range.size();
  node.splittable = !statistics.pure && count >= options_.min_samples_split() &&
                    count >= 2 * int64_t{options_.min_samples_leaf()} &&
                    node.weight >= 2 * limits_.min_weight &&
                    (options_.max_depth() == 0 || node.depth < options_.max_depth());
}

void GrowthRules::MakeChildren(const Split& split, uint32_t middle, NodeRows& rows,
                               GrowingNode& node, GrowingNode& left, GrowingNode& right) const {
  left.range = {node.range.begin, middle};
  right.range = {middle, node.range.end};
  left.depth = right.depth = node.depth + 1;
  Measure(rows, left);
  Measure(rows, right);
  const bool numeric = split.left_levels.empty();
  node.feature = split.feature;
  node.threshold = numeric ? split.threshold : 0;
  node.left_levels = split.left_levels;
  node.missing_left =
      split.saw_missing || !numeric ? split.missing_left : left.weight > right.weight;
}

bool GrowthRules::Allows(const Split& split, double tolerance, const NodeRows& rows) const {
  const double least = options_.min_impurity_decrease() / rows.impurity_scale() * total_weight_;
  return split.decrease >= least - tolerance;
}

Tree AssembleTree(const std::vector<GrowingNode>& nodes, const NodeRows& rows, bool as_created) {
  const std::vector<int32_t> order = NodeOrder(nodes, as_created);
  std::vector<int32_t> number(nodes.size());
  for (size_t i = 0; i < order.size(); ++i) {
    number[static_cast<size_t>(order[i])] = static_cast<int32_t>(i);
  }
  const auto child = [&](int32_t c) { return c < 0 ? -1 : number[static_cast<size_t>(c)]; };
  Tree tree;
  tree.outputs = rows.outputs();
  Reserve(nodes.size(), tree);
  tree.level_begin.push_back(0);
  std::vector<RowRange> ranges;
  ranges.reserve(nodes.size());
  for (const int32_t index : order) {
    const GrowingNode& node = nodes[static_cast<size_t>(index)];
    tree.feature.push_back(node.feature);
    tree.threshold.push_back(node.threshold);
    tree.left.push_back(child(node.left));
    tree.right.push_back(child(node.right));
    tree.missing_left.push_back(node.missing_left ? 1 : 0);
    tree.left_levels.insert(tree.left_levels.end(), node.left_levels.begin(),
                            node.left_levels.end());
    tree.level_begin.push_back(static_cast<int32_t>(tree.left_levels.size()));
    tree.row_count.push_back(node.range.size());
    tree.impurity.push_back(node.impurity);
    ranges.push_back(node.range);
  }
  if (tree.left_levels.empty()) tree.level_begin = {};
  FillMeans(ranges, rows, tree);
  return tree;
}

}  // namespace trainyard
