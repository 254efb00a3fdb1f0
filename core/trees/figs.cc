#include "core/trees/figs.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/trees/figs_search.h"

namespace trainyard {
namespace {

// A node of a growing tree; leaves keep their rows.
struct FigsNode {
  LeafToSearch leaf;
  SearchedLeaf searched;
  bool stale = true;  // the target of its rows changed since it was searched
  double weight = 0;
  double impurity = 0;
  int64_t row_count = 0;
  std::vector<double> value;
  Split split;
  bool missing_left = false;
  int32_t left = -1;
  int32_t right = -1;
};

struct FigsTree {
  std::vector<FigsNode> nodes;
  std::vector<int32_t> leaf_of_row;  // node number, -1 for rows that take no part
};

class FigsGrower {
 public:
  FigsGrower(const PresortedFeatures& features, const TreeTarget& target,
             std::span<const double> weights, std::span<const uint32_t> rows,
             const v1::CartOptions& cart, const v1::FigsOptions& figs, ThreadPool& pool,
             const GrowthHooks& hooks)
      : features_(features),
        weights_(weights),
        cart_(cart),
        figs_(figs),
        pool_(pool),
        hooks_(hooks),
        stop_(hooks.check),
        classification_(target.classification()),
        width_(static_cast<size_t>(target.outputs)) {
    for (const uint32_t row : rows) {
      if (!weights.empty() && !(weights[row] > 0)) continue;
      rows_.push_back(row);
      total_weight_ += WeightOf(row);
    }
    FillTargets(target);
    left_over_ = targets_;
  }

  absl::StatusOr<TreeEnsemble> Grow() {
    if (hooks_.progress) hooks_.progress(0);
    AddCandidateTree();
    for (int32_t step = 0; step < figs_.max_splits(); ++step) {
      TY_RETURN_IF_ERROR(SearchStale());
      const auto [tree, node] = BestLeaf();
      if (tree < 0) break;
      Split(static_cast<size_t>(tree), static_cast<size_t>(node));
      if (hooks_.progress) hooks_.progress((step + 1.0) / figs_.max_splits());
    }
    if (stop_.Ask()) return stop_.status();
    return Finish();
  }

 private:
  double WeightOf(uint32_t row) const { return weights_.empty() ? 1.0 : weights_[row]; }

  void FillTargets(const TreeTarget& target) {
    targets_.assign(static_cast<size_t>(features_.row_count()) * width_, 0.0);
    for (const uint32_t row : rows_) {
      double* own = &targets_[row * width_];
      if (classification_) {
        own[target.classes[row]] = 1;
      } else {
        std::copy_n(&target.values[row * width_], width_, own);
      }
    }
  }

  // The last tree is only a root that may be split; it counts once it is.
  void AddCandidateTree() {
    FigsTree& tree = trees_.emplace_back();
    tree.nodes.emplace_back();
    FigsNode& root = tree.nodes.front();
    root.leaf.rows = rows_;
    root.value.assign(width_, 0.0);
    root.row_count = static_cast<int64_t>(rows_.size());
    root.weight = total_weight_;
    tree.leaf_of_row.assign(static_cast<size_t>(features_.row_count()), -1);
    for (const uint32_t row : rows_) tree.leaf_of_row[row] = 0;
  }

  // Target of one tree: what the others leave over.
  void TargetOf(const FigsTree& tree, std::vector<double>& own) const {
    own = left_over_;
    for (const uint32_t row : rows_) {
      const std::vector<double>& value =
          tree.nodes[static_cast<size_t>(tree.leaf_of_row[row])].value;
      for (size_t k = 0; k < width_; ++k) own[row * width_ + k] += value[k];
    }
  }

  absl::Status SearchStale() {
    std::vector<double> target;
    for (FigsTree& tree : trees_) {
      std::vector<LeafToSearch> leaves;
      std::vector<size_t> numbers;
      for (size_t t = 0; t < tree.nodes.size(); ++t) {
        FigsNode& node = tree.nodes[t];
        if (node.left >= 0 || !node.stale) continue;
        numbers.push_back(t);
        leaves.push_back(std::move(node.leaf));
      }
      if (leaves.empty()) continue;
      TargetOf(tree, target);
      std::vector<SearchedLeaf> found =
          SearchLeaves(features_, TreeTarget::Regression(target, static_cast<int>(width_)),
                       weights_, leaves, cart_, total_weight_, pool_, stop_);
      if (stop_.Ask()) return stop_.status();
      for (size_t i = 0; i < numbers.size(); ++i) {
        FigsNode& node = tree.nodes[numbers[i]];
        node.leaf = std::move(leaves[i]);
        node.searched = std::move(found[i]);
        node.stale = false;
      }
    }
    return absl::OkStatus();
  }

  // Tree and node; -1 when no leaf has a split.
  std::pair<int, int> BestLeaf() const {
    std::pair<int, int> best = {-1, -1};
    double greatest = 0;
    for (size_t i = 0; i < trees_.size(); ++i) {
      for (size_t t = 0; t < trees_[i].nodes.size(); ++t) {
        const FigsNode& node = trees_[i].nodes[t];
        if (node.left >= 0 || !node.searched.split.found()) continue;
        if (node.searched.reduction <= greatest * (1 + kTieTolerance)) continue;
        greatest = node.searched.reduction;
        best = {static_cast<int>(i), static_cast<int>(t)};
      }
    }
    return best;
  }

  bool GoesLeft(const ::trainyard::Split& split, const OrderEntry& entry) const {
    if (entry.rank == features_.missing_rank(split.feature)) return split.missing_left;
    if (split.left_levels.empty()) return entry.rank <= split.last_left_rank;
    return std::binary_search(split.left_levels.begin(), split.left_levels.end(),
                              static_cast<int32_t>(entry.rank));
  }

  void Split(size_t number, size_t node_number) {
    const bool new_tree = number + 1 == trees_.size() && trees_[number].nodes.size() == 1;
    FigsTree& tree = trees_[number];
    std::vector<double> target;
    TargetOf(tree, target);
    {
      FigsNode& node = tree.nodes[node_number];
      node.split = std::move(node.searched.split);
      node.impurity = node.searched.impurity;
      node.left = static_cast<int32_t>(tree.nodes.size());
      node.right = node.left + 1;
    }
    tree.nodes.resize(tree.nodes.size() + 2);
    DivideRows(tree, node_number, target);
    if (!new_tree) return;
    const bool full =
        figs_.max_trees() > 0 && trees_.size() >= static_cast<size_t>(figs_.max_trees());
    if (!full) AddCandidateTree();
  }

  // Fills the children, and says which leaves of other trees hold their rows.
  void DivideRows(FigsTree& tree, size_t node_number, const std::vector<double>& target) {
    FigsNode& node = tree.nodes[node_number];
    std::vector<uint8_t> side(static_cast<size_t>(features_.row_count()), 0);
    for (const OrderEntry& entry : features_.order(node.split.feature)) {
      side[entry.row] = GoesLeft(node.split, entry) ? 1 : 0;
    }
    for (const uint32_t row : node.leaf.rows) {
      const int32_t child = side[row] != 0 ? node.left : node.right;
      tree.nodes[static_cast<size_t>(child)].leaf.rows.push_back(row);
    }
    for (const int32_t child : {node.left, node.right}) {
      FigsNode& own = tree.nodes[static_cast<size_t>(child)];
      own.leaf.depth = node.leaf.depth + 1;
      Measure(target, own);
      for (const uint32_t row : own.leaf.rows) {
        tree.leaf_of_row[row] = child;
        for (size_t k = 0; k < width_; ++k) {
          left_over_[row * width_ + k] = target[row * width_ + k] - own.value[k];
        }
        MarkStale(tree, row);
      }
    }
    node.missing_left = node.split.saw_missing || !node.split.left_levels.empty()
                            ? node.split.missing_left
                            : tree.nodes[static_cast<size_t>(node.left)].weight >
                                  tree.nodes[static_cast<size_t>(node.right)].weight;
    node.leaf.rows = {};
  }

  void MarkStale(const FigsTree& changed, uint32_t row) {
    for (FigsTree& other : trees_) {
      if (&other == &changed) continue;
      other.nodes[static_cast<size_t>(other.leaf_of_row[row])].stale = true;
    }
  }

  // Weight, mean and impurity of a new leaf.
  void Measure(const std::vector<double>& target, FigsNode& node) const {
    node.value.assign(width_, 0.0);
    node.row_count = static_cast<int64_t>(node.leaf.rows.size());
    for (const uint32_t row : node.leaf.rows) {
      node.weight += WeightOf(row);
      for (size_t k = 0; k < width_; ++k) node.value[k] += WeightOf(row) * target[row * width_ + k];
    }
    for (double& value : node.value) value /= node.weight;
    for (const uint32_t row : node.leaf.rows) {
      for (size_t k = 0; k < width_; ++k) {
        const double rest = target[row * width_ + k] - node.value[k];
        node.impurity += WeightOf(row) * rest * rest;
      }
    }
    node.impurity /= node.weight * static_cast<double>(width_);
  }

  TreeEnsemble Finish() {
    TreeEnsemble ensemble;
    ensemble.combination = TreeCombination::kSum;
    ensemble.outputs = static_cast<int>(width_);
    ensemble.link = classification_ ? Link::kClip : Link::kIdentity;
    if (trees_.size() > 1 && trees_.back().nodes.size() == 1) trees_.pop_back();
    if (trees_.front().nodes.size() == 1) Measure(targets_, ResetRoot());
    for (const FigsTree& tree : trees_) ensemble.trees.push_back(Assemble(tree));
    return ensemble;
  }

  FigsNode& ResetRoot() {
    FigsNode& root = trees_.front().nodes.front();
    root.weight = 0;
    root.impurity = 0;
    return root;
  }

  Tree Assemble(const FigsTree& from) const {
    Tree tree;
    tree.outputs = static_cast<int>(width_);
    tree.level_begin.push_back(0);
    for (const FigsNode& node : from.nodes) {
      const bool numeric = node.split.left_levels.empty();
      tree.feature.push_back(node.left < 0 ? -1 : node.split.feature);
      tree.threshold.push_back(node.left < 0 || !numeric ? 0 : node.split.threshold);
      tree.left.push_back(node.left);
      tree.right.push_back(node.right);
      tree.missing_left.push_back(node.missing_left ? 1 : 0);
      tree.left_levels.insert(tree.left_levels.end(), node.split.left_levels.begin(),
                              node.split.left_levels.end());
      tree.level_begin.push_back(static_cast<int32_t>(tree.left_levels.size()));
      tree.weight.push_back(node.weight);
      tree.row_count.push_back(node.row_count);
      tree.impurity.push_back(node.impurity);
      tree.mean.insert(tree.mean.end(), node.value.begin(), node.value.end());
    }
    if (tree.left_levels.empty()) tree.level_begin = {};
    AverageChildren(tree);
    tree.value = tree.mean;
    return tree;
  }

  // Children come after their parents.
  void AverageChildren(Tree& tree) const {
    for (size_t t = tree.feature.size(); t-- > 0;) {
      if (tree.left[t] < 0) continue;
      const size_t left = static_cast<size_t>(tree.left[t]);
      const size_t right = static_cast<size_t>(tree.right[t]);
      const double share = tree.weight[left] / (tree.weight[left] + tree.weight[right]);
      for (size_t k = 0; k < width_; ++k) {
        tree.mean[t * width_ + k] =
            share * tree.mean[left * width_ + k] + (1 - share) * tree.mean[right * width_ + k];
      }
    }
  }

  const PresortedFeatures& features_;
  const std::span<const double> weights_;
  const v1::CartOptions& cart_;
  const v1::FigsOptions& figs_;
  ThreadPool& pool_;
  const GrowthHooks& hooks_;
  StopToken stop_;
  const bool classification_;
  const size_t width_;
  std::vector<uint32_t> rows_;
  double total_weight_ = 0;
  std::vector<double> targets_;    // [row][output]
  std::vector<double> left_over_;  // targets minus the sum of all trees
  std::vector<FigsTree> trees_;
};

}  // namespace

absl::StatusOr<TreeEnsemble> GrowFigs(const PresortedFeatures& features, const TreeTarget& target,
                                      std::span<const double> weights,
                                      std::span<const uint32_t> rows, const v1::CartOptions& cart,
                                      const v1::FigsOptions& figs, ThreadPool& pool,
                                      const GrowthHooks& hooks) {
  v1::CartOptions squared = cart;
  squared.set_criterion(v1::CartOptions::CRITERION_SQUARED_ERROR);
  const absl::Status usable = CheckTrainingRows(target, weights, rows, squared);
  if (!usable.ok()) return usable;
  return FigsGrower(features, target, weights, rows, squared, figs, pool, hooks).Grow();
}

}  // namespace trainyard
