#include "core/trees/cart.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/trees/best_first.h"
#include "core/trees/growing_node.h"
#include "core/trees/growth_progress.h"
#include "core/trees/node_splitter.h"
#include "core/trees/pruning.h"
#include "core/trees/rank_matrix.h"
#include "core/trees/sampled_tree.h"

namespace trainyard {
namespace {

// A node with at least so many entries (rows times features) is worked on by all threads; below,
// each thread takes whole subtrees. Part of no result.
constexpr int64_t kSharedWork = int64_t{1} << 17;

struct OpenNode {
  int32_t index = 0;
  ActiveFeatures active;
};

class Grower {
 public:
  Grower(NodeSplitter& splitter, const v1::CartOptions& options, ThreadPool& pool, StopToken& stop,
         const GrowthHooks& hooks)
      : splitter_(splitter),
        options_(options),
        pool_(pool),
        stop_(stop),
        progress_(hooks.progress, options.max_leaf_nodes() > 0 ? options.max_leaf_nodes()
                                                               : int64_t{splitter.rows().count()}) {
  }

  void Grow() {
    nodes_.push_back(splitter_.MakeRoot());
    if (!nodes_[0].splittable) return;
    if (options_.max_leaf_nodes() > 0) {
      GrowNodesBestFirst();
    } else {
      GrowDepthFirst();
    }
  }

  // Nodes with the numbers they were made with; see PreOrder.
  const std::vector<GrowingNode>& nodes() const { return nodes_; }

 private:
  bool IsShared(const GrowingNode& node, const ActiveFeatures& active) const {
    return node.range.size() * static_cast<int64_t>(active->size()) >= kSharedWork;
  }

  Workspace WorkspaceFor(const GrowingNode& node, const ActiveFeatures& active) {
    return IsShared(node, active) ? Workspace{&pool_, 0} : Workspace{nullptr, 0};
  }

  // Splits nodes[index] and appends its children.
  static void SplitNode(NodeSplitter& splitter, const Split& split, const ActiveFeatures& active,
                        const Workspace& workspace, int32_t index,
                        std::vector<GrowingNode>& nodes) {
    GrowingNode left;
    GrowingNode right;
    GrowingNode& node = nodes[static_cast<size_t>(index)];
    splitter.Apply(split, active, workspace, node, left, right);
    node.left = static_cast<int32_t>(nodes.size());
    node.right = node.left + 1;
    nodes.push_back(std::move(left));
    nodes.push_back(std::move(right));
  }

  void GrowNodesBestFirst() {
    GrowBestFirst(
        options_.max_leaf_nodes(), splitter_.root_features(),
        [&](const GrowingNode& node, ActiveFeatures& active) {
          return active->empty() ? Split()
                                 : splitter_.FindSplit(node, active, WorkspaceFor(node, active));
        },
        [&](int32_t index, const Split& split, const ActiveFeatures& active) {
          const Workspace workspace = WorkspaceFor(nodes_[static_cast<size_t>(index)], active);
          SplitNode(splitter_, split, active, workspace, index, nodes_);
          progress_.Add(1);
        },
        [&] { return stop_.Ask(); }, nodes_);
  }

  void GrowDepthFirst() {
    std::vector<OpenNode> open = {{0, splitter_.root_features()}};
    std::vector<OpenNode> subtrees;
    while (!open.empty() && !stop_.Ask()) {
      OpenNode current = std::move(open.back());
      open.pop_back();
      if (!IsShared(nodes_[static_cast<size_t>(current.index)], current.active)) {
        subtrees.push_back(std::move(current));
        continue;
      }
      Expand(current, {&pool_, 0}, nodes_, open);
    }
    GrowSubtrees(std::move(subtrees));
  }

  // Splits one node if a split is found; its splittable children are left in `open`, the left one
  // on top.
  void Expand(OpenNode& current, const Workspace& workspace, std::vector<GrowingNode>& nodes,
              std::vector<OpenNode>& open) {
    const GrowingNode& node = nodes[static_cast<size_t>(current.index)];
    const Split split = splitter_.FindSplit(node, current.active, workspace);
    if (!split.found()) {
      progress_.Add(node.range.size());
      return;
    }
    SplitNode(splitter_, split, current.active, workspace, current.index, nodes);
    const int32_t left = nodes[static_cast<size_t>(current.index)].left;
    for (const int32_t child : {left + 1, left}) {
      const GrowingNode& made = nodes[static_cast<size_t>(child)];
      if (made.splittable) {
        open.push_back({child, current.active});
      } else {
        progress_.Add(made.range.size());
      }
    }
  }

  // The nodes of `roots` are grown by one thread each, the largest first, and appended in order.
  void GrowSubtrees(std::vector<OpenNode> roots) {
    const auto rows_of = [&](const OpenNode& open) {
      return nodes_[static_cast<size_t>(open.index)].range.size();
    };
    std::stable_sort(roots.begin(), roots.end(),
                     [&](const OpenNode& a, const OpenNode& b) { return rows_of(a) > rows_of(b); });
    std::vector<std::vector<GrowingNode>> grown(roots.size());
    pool_.Run(static_cast<int64_t>(roots.size()), [&](int64_t i, int thread) {
      const size_t r = static_cast<size_t>(i);
      grown[r].push_back(nodes_[static_cast<size_t>(roots[r].index)]);
      std::vector<OpenNode> open = {{0, roots[r].active}};
      int64_t work = 0;
      while (!open.empty() && !stop_.stopped()) {
        OpenNode current = std::move(open.back());
        open.pop_back();
        work += grown[r][static_cast<size_t>(current.index)].range.size() *
                static_cast<int64_t>(current.active->size());
        if (work > kSharedWork && std::exchange(work, 0) > 0 && stop_.Ask()) return;
        Expand(current, {nullptr, thread}, grown[r], open);
      }
    });
    for (size_t r = 0; r < roots.size() && !stop_.stopped(); ++r) {
      AppendSubtree(roots[r].index, std::move(grown[r]));
    }
  }

  // Replaces node `index` by the root of `subtree` and appends the other nodes.
  void AppendSubtree(int32_t index, std::vector<GrowingNode> subtree) {
    const int32_t offset = static_cast<int32_t>(nodes_.size()) - 1;
    for (GrowingNode& node : subtree) {
      if (node.left < 0) continue;
      node.left += offset;
      node.right += offset;
    }
    nodes_[static_cast<size_t>(index)] = std::move(subtree[0]);
    std::move(subtree.begin() + 1, subtree.end(), std::back_inserter(nodes_));
  }

  NodeSplitter& splitter_;
  const v1::CartOptions& options_;
  ThreadPool& pool_;
  StopToken& stop_;
  GrowthProgress progress_;
  std::vector<GrowingNode> nodes_;
};

Tree GrowSampledCart(const PresortedFeatures& features, const TreeTarget& target,
                     std::span<const double> weights, std::span<const uint32_t> rows,
                     const v1::CartOptions& options, ThreadPool& pool, StopToken& stop,
                     const GrowthHooks& hooks, uint64_t seed) {
  const RankMatrix ranks(features, RankMatrix::Numbers::kAsRanks, pool);
  Rng rng(seed, 0);
  GrowthProgress progress(hooks.progress, options.max_leaf_nodes() > 0
                                              ? options.max_leaf_nodes()
                                              : static_cast<int64_t>(rows.size()));
  return GrowSampledTree(ranks, target, weights, rows, options,
                         {FeaturesPerNode(options, features.feature_count()), false}, rng, stop,
                         [&](int64_t done) { progress.Add(done); });
}

}  // namespace

v1::CartOptions ResolveCart(const v1::CartOptions& options, const TreeTarget& target) {
  v1::CartOptions resolved = options;
  if (options.criterion() == v1::CartOptions::CRITERION_UNSPECIFIED) {
    resolved.set_criterion(target.classification() ? v1::CartOptions::CRITERION_GINI
                                                   : v1::CartOptions::CRITERION_SQUARED_ERROR);
  }
  return resolved;
}

absl::Status CheckTrainingRows(const TreeTarget& target, std::span<const double> weights,
                               std::span<const uint32_t> rows, const v1::CartOptions& options) {
  if (std::none_of(rows.begin(), rows.end(),
                   [&](uint32_t row) { return weights.empty() || weights[row] > 0; })) {
    return absl::InvalidArgumentError(
        absl::StrCat("none of ", rows.size(), " rows to train on has a positive weight"));
  }
  if (options.criterion() != v1::CartOptions::CRITERION_POISSON) return absl::OkStatus();
  const size_t width = static_cast<size_t>(target.outputs);
  for (const uint32_t row : rows) {
    for (size_t k = 0; k < width; ++k) {
      const double value = target.values[row * width + k];
      if (value >= 0) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("a target is ", value, "; CRITERION_POISSON takes none below 0"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Tree> GrowCart(const PresortedFeatures& features, const TreeTarget& target,
                              std::span<const double> weights, std::span<const uint32_t> rows,
                              const v1::CartOptions& options, ThreadPool& pool,
                              const GrowthHooks& hooks, uint64_t seed) {
  const v1::CartOptions resolved = ResolveCart(options, target);
  const absl::Status usable = CheckTrainingRows(target, weights, rows, resolved);
  if (!usable.ok()) return usable;
  StopToken stop(hooks.check);
  Tree tree;
  if (FeaturesPerNode(resolved, features.feature_count()) < features.feature_count()) {
    tree = GrowSampledCart(features, target, weights, rows, resolved, pool, stop, hooks, seed);
  } else {
    NodeSplitter splitter(features, target, weights, rows, resolved, pool, stop);
    Grower grower(splitter, resolved, pool, stop, hooks);
    if (!stop.stopped()) grower.Grow();
    if (!stop.Ask()) {
      tree = AssembleTree(grower.nodes(), splitter.rows(), resolved.max_leaf_nodes() > 0);
    }
  }
  if (stop.stopped()) return stop.status();
  return Prune(resolved, target, std::move(tree));
}

}  // namespace trainyard
