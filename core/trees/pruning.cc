#include "core/trees/pruning.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <queue>
#include <span>
#include <utility>

#include "core/base/random.h"

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

// The nodes that are left when those with `made_leaf` become leaves, rising.
std::vector<int32_t> RemainingNodes(const Tree& tree, const std::vector<uint8_t>& made_leaf) {
  std::vector<uint8_t> remains(tree.feature.size(), 0);
  remains[0] = 1;
  std::vector<int32_t> kept;
  for (size_t t = 0; t < remains.size(); ++t) {
    if (remains[t] == 0) continue;
    kept.push_back(static_cast<int32_t>(t));
    if (tree.left[t] < 0 || made_leaf[t] != 0) continue;
    remains[static_cast<size_t>(tree.left[t])] = 1;
    remains[static_cast<size_t>(tree.right[t])] = 1;
  }
  return kept;
}

Tree CutAt(const Tree& tree, const std::vector<uint8_t>& made_leaf) {
  const std::vector<int32_t> kept = RemainingNodes(tree, made_leaf);
  std::vector<int32_t> number(tree.feature.size(), -1);
  for (size_t i = 0; i < kept.size(); ++i) {
    number[static_cast<size_t>(kept[i])] = static_cast<int32_t>(i);
  }
  Tree result = tree;
  result.level_begin.clear();
  result.left_levels.clear();
  for (const int32_t node : kept) {
    const size_t t = static_cast<size_t>(node);
    if (!tree.level_begin.empty()) {
      result.level_begin.push_back(static_cast<int32_t>(result.left_levels.size()));
    }
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

// Makes weakest links leaves, one after the other.
class WeakestLinks {
 public:
  explicit WeakestLinks(const Tree& tree)
      : tree_(tree),
        parent_(tree.feature.size(), -1),
        leaves_(tree.feature.size(), 1),
        own_(tree.feature.size()),
        below_(tree.feature.size()),
        alpha_(tree.feature.size(), 0),
        made_leaf_(tree.feature.size(), 0) {
    for (size_t t = tree.feature.size(); t-- > 0;) {
      own_[t] = tree.weight[t] / tree.weight[0] * tree.impurity[t];
      below_[t] = own_[t];
      if (tree.left[t] < 0) continue;
      parent_[static_cast<size_t>(tree.left[t])] = static_cast<int32_t>(t);
      parent_[static_cast<size_t>(tree.right[t])] = static_cast<int32_t>(t);
      Update(t);
    }
  }

  // The alpha at which the next node falls; infinity when the root is a leaf.
  double NextAlpha() {
    while (!queue_.empty() && IsOutdated(queue_.top())) queue_.pop();
    return queue_.empty() ? std::numeric_limits<double>::infinity() : queue_.top().first;
  }

  // To be called when NextAlpha is finite.
  void Fell() {
    size_t t = static_cast<size_t>(queue_.top().second);
    queue_.pop();
    RemoveBelow(static_cast<int32_t>(t));
    leaves_[t] = 1;
    below_[t] = own_[t];
    while (parent_[t] >= 0) {
      t = static_cast<size_t>(parent_[t]);
      Update(t);
    }
  }

  double impurity() const { return below_[0]; }
  const std::vector<uint8_t>& made_leaf() const { return made_leaf_; }

 private:
  using Link = std::pair<double, int32_t>;  // alpha, node

  bool IsOutdated(const Link& link) const {
    const size_t t = static_cast<size_t>(link.second);
    return made_leaf_[t] != 0 || alpha_[t] != link.first;
  }

  void Update(size_t t) {
    const size_t left = static_cast<size_t>(tree_.left[t]);
    const size_t right = static_cast<size_t>(tree_.right[t]);
    leaves_[t] = leaves_[left] + leaves_[right];
    below_[t] = below_[left] + below_[right];
    alpha_[t] = (own_[t] - below_[t]) / static_cast<double>(leaves_[t] - 1);
    queue_.emplace(alpha_[t], static_cast<int32_t>(t));
  }

  // Marks the inner nodes from `top` down.
  void RemoveBelow(int32_t top) {
    std::vector<int32_t> open = {top};
    while (!open.empty()) {
      const size_t t = static_cast<size_t>(open.back());
      open.pop_back();
      if (tree_.left[t] < 0 || made_leaf_[t] != 0) continue;
      made_leaf_[t] = 1;
      open.push_back(tree_.left[t]);
      open.push_back(tree_.right[t]);
    }
  }

  const Tree& tree_;
  std::vector<int32_t> parent_;
  std::vector<int32_t> leaves_;
  std::vector<double> own_;    // R(t)
  std::vector<double> below_;  // R of the subtree
  std::vector<double> alpha_;
  std::vector<uint8_t> made_leaf_;  // fallen, or below one that fell
  std::priority_queue<Link, std::vector<Link>, std::greater<>> queue_;
};

}  // namespace

PruningPath CostComplexityPath(const Tree& tree) {
  WeakestLinks links(tree);
  PruningPath path = {{0.0}, {links.impurity()}};
  for (double alpha = links.NextAlpha(); std::isfinite(alpha); alpha = links.NextAlpha()) {
    links.Fell();
    path.alphas.push_back(alpha);
    path.impurities.push_back(links.impurity());
  }
  return path;
}

Tree PruneCostComplexity(const Tree& tree, double alpha) {
  WeakestLinks links(tree);
  for (double next = links.NextAlpha(); std::isfinite(next) && next <= alpha;
       next = links.NextAlpha()) {
    links.Fell();
  }
  return CutAt(tree, links.made_leaf());
}

double PessimisticErrors(double errors, double weight, double confidence) {
  const double none = weight * (1 - std::pow(confidence, 1 / weight));
  if (errors <= 0) return none;
  if (errors < 1) return none + errors * (PessimisticErrors(1, weight, confidence) - none);
  if (errors + 0.5 >= weight) return weight;
  const double z = NormalQuantile(1 - confidence);
  const double share = (errors + 0.5) / weight;
  const double spread =
      std::sqrt(share / weight - share * share / weight + z * z / (4 * weight * weight));
  return weight * (share + z * z / (2 * weight) + z * spread) / (1 + z * z / weight);
}

Tree PrunePessimistically(const Tree& tree, double confidence) {
  constexpr double kSlack = 0.1;
  std::vector<double> errors(tree.feature.size());
  std::vector<uint8_t> made_leaf(tree.feature.size(), 0);
  for (size_t t = tree.feature.size(); t-- > 0;) {
    const std::span<const double> shares = tree.MeanOf(static_cast<int>(t));
    const double wrong = 1 - *std::max_element(shares.begin(), shares.end());
    const double as_leaf =
        PessimisticErrors(std::max(wrong, 0.0) * tree.weight[t], tree.weight[t], confidence);
    errors[t] = as_leaf;
    if (tree.left[t] < 0) continue;
    const double below =
        errors[static_cast<size_t>(tree.left[t])] + errors[static_cast<size_t>(tree.right[t])];
    made_leaf[t] = as_leaf <= below + kSlack ? 1 : 0;
    if (made_leaf[t] == 0) errors[t] = below;
  }
  return CutAt(tree, made_leaf);
}

Tree Prune(const v1::CartOptions& options, const TreeTarget& target, Tree tree) {
  if (options.ccp_alpha() > 0) tree = PruneCostComplexity(tree, options.ccp_alpha());
  if (options.pruning_confidence() > 0 && target.classification()) {
    tree = PrunePessimistically(tree, options.pruning_confidence());
  }
  return tree;
}

}  // namespace trainyard
