#include "core/trees/pruning.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <queue>
#include <span>
#include <utility>

#include "core/base/random.h"
#include "core/trees/subtree.h"

namespace trainyard {
namespace {

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
  return MakeLeaves(tree, links.made_leaf());
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
  return MakeLeaves(tree, made_leaf);
}

Tree Prune(const v1::CartOptions& options, const TreeTarget& target, Tree tree) {
  if (options.ccp_alpha() > 0) tree = PruneCostComplexity(tree, options.ccp_alpha());
  if (options.pruning_confidence() > 0 && target.classification()) {
    tree = PrunePessimistically(tree, options.pruning_confidence());
  }
  return tree;
}

}  // namespace trainyard
