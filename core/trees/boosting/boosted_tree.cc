#include "core/trees/boosting/boosted_tree.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"

namespace trainyard {
namespace {

// Sums over the rows of every node, in double and in the order of the rows.
struct NodeSums {
  std::vector<double> gradient;
  std::vector<double> hessian;
  std::vector<double> weight;
};

NodeSums SumNodes(std::span<const HistogramNode> nodes, const RowPartition& partition,
                  const TreeStatistics& statistics, ThreadPool& pool, StopToken& stop) {
  NodeSums sums;
  sums.gradient.resize(nodes.size());
  sums.hessian.resize(nodes.size());
  sums.weight.resize(nodes.size());
  pool.Run(static_cast<int64_t>(nodes.size()), [&](int64_t index, int) {
    const size_t t = static_cast<size_t>(index);
    if (!nodes[t].is_leaf() || stop.Ask()) return;
    double gradient = 0;
    double hessian = 0;
    double weight = 0;
    for (const uint32_t row : partition.rows(nodes[t].begin, nodes[t].end)) {
      gradient += statistics.gradients[row];
      if (!statistics.hessians.empty()) hessian += statistics.hessians[row];
      if (!statistics.data.weights.empty()) weight += statistics.data.weights[row];
    }
    sums.gradient[t] = gradient;
    sums.weight[t] =
        statistics.data.weights.empty() ? static_cast<double>(nodes[t].row_count()) : weight;
    sums.hessian[t] = statistics.hessians.empty() ? sums.weight[t] : hessian;
  });
  for (size_t t = nodes.size(); t-- > 0;) {
    if (nodes[t].is_leaf()) continue;
    const size_t left = static_cast<size_t>(nodes[t].left);
    const size_t right = static_cast<size_t>(nodes[t].right);
    sums.gradient[t] = sums.gradient[left] + sums.gradient[right];
    sums.hessian[t] = sums.hessian[left] + sums.hessian[right];
    sums.weight[t] = sums.weight[left] + sums.weight[right];
  }
  return sums;
}

// The statistic of every node before monotone bounds and the learning rate.
std::vector<double> NodeValues(std::span<const HistogramNode> nodes, const RowPartition& partition,
                               const NodeSums& sums, const TreeStatistics& statistics,
                               ThreadPool& pool, StopToken& stop) {
  std::vector<double> values(nodes.size());
  if (statistics.loss.uses_residuals()) {
    pool.Run(static_cast<int64_t>(nodes.size()), [&](int64_t index, int) {
      const size_t t = static_cast<size_t>(index);
      if (stop.Ask()) return;
      values[t] =
          statistics.loss.NodeValue(statistics.data, partition.rows(nodes[t].begin, nodes[t].end));
    });
    return values;
  }
  const double bound = statistics.loss.max_step();
  for (size_t t = 0; t < nodes.size(); ++t) {
    const GradientSums own = {sums.gradient[t], sums.hessian[t], 0};
    values[t] = std::clamp(NewtonStep(own, statistics.l2), -bound, bound);
  }
  return values;
}

void HoldMonotone(std::span<const HistogramNode> nodes, std::span<const int8_t> directions,
                  std::vector<double>& values) {
  if (directions.empty()) return;
  std::vector<ValueBounds> bounds(nodes.size());
  const auto held = [&](int32_t node) {
    const size_t t = static_cast<size_t>(node);
    return std::clamp(values[t], bounds[t].low, bounds[t].high);
  };
  for (size_t t = 0; t < nodes.size(); ++t) {
    values[t] = held(static_cast<int32_t>(t));
    if (nodes[t].is_leaf()) continue;
    ValueBounds& left = bounds[static_cast<size_t>(nodes[t].left)];
    ValueBounds& right = bounds[static_cast<size_t>(nodes[t].right)];
    left = right = bounds[t];
    const int direction = directions[static_cast<size_t>(nodes[t].split.feature)];
    if (direction == 0) continue;
    const double between = held(nodes[t].left) / 2 + held(nodes[t].right) / 2;
    (direction > 0 ? left : right).high = between;
    (direction > 0 ? right : left).low = between;
  }
}

void AppendSplit(const BinnedFeatures& features, const HistogramNode& node, double left_weight,
                 double right_weight, Tree& tree) {
  const int32_t feature = node.split.feature;
  const auto goes_left = [&](int code) {
    return node.split.left_codes.Contains(static_cast<size_t>(code));
  };
  double threshold = 0;
  bool missing_left = goes_left(features.missing_code(feature));
  if (features.categorical(feature)) {
    const std::span<const int32_t> levels = features.levels(feature);
    for (size_t bin = 0; bin < levels.size(); ++bin) {
      if (goes_left(static_cast<int>(bin))) tree.left_levels.push_back(levels[bin]);
    }
  } else {
    const std::span<const double> thresholds = features.thresholds(feature);
    const size_t bin = static_cast<size_t>(node.split.last_left_code);
    threshold = bin < thresholds.size() ? thresholds[bin] : std::numeric_limits<double>::infinity();
    if (!node.split.saw_missing) missing_left = left_weight >= right_weight;
  }
  tree.feature.push_back(feature);
  tree.threshold.push_back(threshold);
  tree.missing_left.push_back(missing_left ? 1 : 0);
}

}  // namespace

Tree FinishTree(const BinnedFeatures& features, std::span<const HistogramNode> nodes,
                const RowPartition& partition, const TreeStatistics& statistics, ThreadPool& pool,
                StopToken& stop) {
  const NodeSums sums = SumNodes(nodes, partition, statistics, pool, stop);
  std::vector<double> values = NodeValues(nodes, partition, sums, statistics, pool, stop);
  for (double& value : values) value *= statistics.learning_rate;
  HoldMonotone(nodes, statistics.directions, values);
  Tree tree;
  tree.weight = sums.weight;
  tree.level_begin.push_back(0);
  for (size_t t = 0; t < nodes.size(); ++t) {
    const HistogramNode& node = nodes[t];
    tree.left.push_back(node.left);
    tree.right.push_back(node.right);
    tree.row_count.push_back(static_cast<int64_t>(node.row_count()));
    const double curvature = sums.hessian[t] + statistics.l2;
    const double score =
        curvature > 0 ? sums.gradient[t] * sums.gradient[t] / curvature / sums.weight[t] : 0;
    tree.impurity.push_back(score);
    if (node.is_leaf()) {
      tree.feature.push_back(-1);
      tree.threshold.push_back(0);
      tree.missing_left.push_back(0);
    } else {
      AppendSplit(features, node, sums.weight[static_cast<size_t>(node.left)],
                  sums.weight[static_cast<size_t>(node.right)], tree);
    }
    tree.level_begin.push_back(static_cast<int32_t>(tree.left_levels.size()));
  }
  if (tree.left_levels.empty()) tree.level_begin.clear();
  const double greatest = *std::max_element(tree.impurity.begin(), tree.impurity.end());
  for (double& impurity : tree.impurity) impurity = greatest - impurity;
  tree.value = values;
  tree.mean = std::move(values);
  return tree;
}

absl::StatusOr<CodeWalker> CodeWalker::Make(const Tree& tree, const BinnedFeatures& features) {
  CodeWalker walker;
  walker.nodes_.resize(tree.feature.size());
  walker.depth_ = tree.depth();
  for (int t = 0; t < tree.node_count(); ++t) {
    const size_t i = static_cast<size_t>(t);
    Node& node = walker.nodes_[i];
    if (tree.is_leaf(t)) {
      node.codes = features.block_count() > 0 ? features.block(0) : nullptr;
      node.children[0] = node.children[1] = t;
      continue;
    }
    const int feature = tree.feature[i];
    if (feature >= features.feature_count() ||
        features.categorical(feature) != tree.is_categorical(t)) {
      return absl::InvalidArgumentError(absl::StrCat("node ", t, " splits on feature ", feature,
                                                     ", which does not fit the data"));
    }
    node.codes = features.block(feature / BinnedFeatures::kBlockFeatures);
    node.shift = 8 * (feature % BinnedFeatures::kBlockFeatures);
    node.children[0] = tree.right[i];
    node.children[1] = tree.left[i];
    if (tree.missing_left[i] != 0) {
      node.left_codes.Insert(static_cast<size_t>(features.missing_code(feature)));
    }
    if (tree.is_categorical(t)) {
      const std::span<const int32_t> levels = features.levels(feature);
      for (const int32_t level : tree.LeftLevels(t)) {
        const auto found = std::lower_bound(levels.begin(), levels.end(), level);
        if (found == levels.end() || *found != level) {
          return absl::InvalidArgumentError(
              absl::StrCat("node ", t, " splits on level ", level, ", which has no bin"));
        }
        node.left_codes.Insert(static_cast<size_t>(found - levels.begin()));
      }
      continue;
    }
    const std::span<const double> thresholds = features.thresholds(feature);
    const auto found = std::lower_bound(thresholds.begin(), thresholds.end(), tree.threshold[i]);
    const bool beyond = tree.threshold[i] == std::numeric_limits<double>::infinity();
    if (!beyond && (found == thresholds.end() || *found != tree.threshold[i])) {
      return absl::InvalidArgumentError(
          absl::StrCat("node ", t, " splits at ", tree.threshold[i], ", which is no bin's end"));
    }
    for (size_t code = 0; code <= static_cast<size_t>(found - thresholds.begin()); ++code) {
      node.left_codes.Insert(code);
    }
  }
  return walker;
}

void CodeWalker::FindLeaves(std::span<const uint32_t> rows, int32_t* leaves) const {
  constexpr size_t kLanes = 8;
  for (size_t first = 0; first < rows.size(); first += kLanes) {
    const size_t lanes = std::min(kLanes, rows.size() - first);
    std::array<uint32_t, kLanes> row;
    row.fill(rows[first]);
    std::copy_n(rows.begin() + static_cast<ptrdiff_t>(first), lanes, row.begin());
    std::array<int32_t, kLanes> at{};
    for (int level = 0; level < depth_; ++level) {
      for (size_t i = 0; i < kLanes; ++i) {
        const Node& node = nodes_[static_cast<size_t>(at[i])];
        const size_t code = node.codes[row[i]] >> node.shift & 0xFF;
        at[i] = node.children[node.left_codes.Contains(code) ? 1 : 0];
      }
    }
    std::copy_n(at.begin(), lanes, leaves + first);
  }
}

}  // namespace trainyard
