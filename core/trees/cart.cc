#include "core/trees/cart.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <queue>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/trees/node_splitter.h"

namespace trainyard {
namespace {

// A node with at least so many entries (rows times features) is worked on by all threads; below,
// each thread takes whole subtrees. Part of no result.
constexpr int64_t kSharedWork = int64_t{1} << 17;

struct OpenNode {
  int32_t index = 0;
  ActiveFeatures active;
};

// Adds up rows that need no more work and reports their share about a hundred times.
class GrowthProgress {
 public:
  GrowthProgress(const GrowthHooks& hooks, int64_t total) : hooks_(hooks), total_(total) {}

  void Add(int64_t done) {
    if (!hooks_.progress) return;
    const int64_t before = done_.fetch_add(done);
    if (before * 100 / total_ == (before + done) * 100 / total_) return;
    const std::lock_guard lock(mutex_);
    const double fraction = static_cast<double>(before + done) / static_cast<double>(total_);
    if (fraction <= reported_) return;
    reported_ = fraction;
    hooks_.progress(fraction);
  }

 private:
  const GrowthHooks& hooks_;
  const int64_t total_;
  std::atomic<int64_t> done_{0};
  std::mutex mutex_;
  double reported_ = 0;  // guarded by mutex_
};

class Grower {
 public:
  Grower(NodeSplitter& splitter, const v1::CartOptions& options, ThreadPool& pool, StopToken& stop,
         const GrowthHooks& hooks)
      : splitter_(splitter),
        options_(options),
        pool_(pool),
        stop_(stop),
        progress_(hooks, options.max_leaf_nodes() > 0 ? options.max_leaf_nodes()
                                                      : int64_t{splitter.rows().count()}) {}

  void Grow() {
    nodes_.push_back(splitter_.MakeRoot());
    if (!nodes_[0].splittable) return;
    if (options_.max_leaf_nodes() > 0) {
      GrowBestFirst();
    } else {
      GrowDepthFirst();
    }
  }

  // Nodes with the numbers they were made with; see PreOrder.
  const std::vector<GrowingNode>& nodes() const { return nodes_; }

 private:
  struct Frontier {
    double priority;
    int32_t index;
    ActiveFeatures active;
    Split split;
    bool operator<(const Frontier& other) const {
      return priority != other.priority ? priority < other.priority : index > other.index;
    }
  };

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

  void GrowBestFirst() {
    std::priority_queue<Frontier> frontier;
    const auto push = [&](int32_t index, ActiveFeatures active) {
      const GrowingNode& node = nodes_[static_cast<size_t>(index)];
      // Once stopped the orders may be half rearranged and must not be searched.
      if (!node.splittable || active->empty() || stop_.stopped()) return;
      Split split = splitter_.FindSplit(node, active, WorkspaceFor(node, active));
      if (split.found())
        frontier.push({split.decrease, index, std::move(active), std::move(split)});
    };
    int32_t leaves = 1;
    push(0, splitter_.root_features());
    while (!frontier.empty() && leaves < options_.max_leaf_nodes() && !stop_.Ask()) {
      const Frontier best = frontier.top();
      frontier.pop();
      const GrowingNode& node = nodes_[static_cast<size_t>(best.index)];
      SplitNode(splitter_, best.split, best.active, WorkspaceFor(node, best.active), best.index,
                nodes_);
      ++leaves;
      progress_.Add(1);
      const int32_t left = nodes_[static_cast<size_t>(best.index)].left;
      push(left, best.active);
      push(left + 1, best.active);
    }
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

Tree AssembleTree(const std::vector<GrowingNode>& nodes, const NodeRows& rows, bool as_created) {
  const std::vector<int32_t> order = NodeOrder(nodes, as_created);
  std::vector<int32_t> number(nodes.size());
  for (size_t i = 0; i < order.size(); ++i) {
    number[static_cast<size_t>(order[i])] = static_cast<int32_t>(i);
  }
  const auto child = [&](int32_t c) { return c < 0 ? -1 : number[static_cast<size_t>(c)]; };
  Tree tree;
  tree.outputs = rows.outputs();
  tree.level_begin.push_back(0);
  std::vector<RowRange> ranges;
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
  if (tree.left_levels.empty()) tree.level_begin.clear();
  FillMeans(ranges, rows, tree);
  return tree;
}

v1::CartOptions::Criterion ResolveCriterion(const v1::CartOptions& options,
                                            const TreeTarget& target) {
  if (options.criterion() != v1::CartOptions::CRITERION_UNSPECIFIED) return options.criterion();
  return target.classification() ? v1::CartOptions::CRITERION_GINI
                                 : v1::CartOptions::CRITERION_SQUARED_ERROR;
}

}  // namespace

absl::StatusOr<Tree> GrowCart(const PresortedFeatures& features, const TreeTarget& target,
                              std::span<const double> weights, std::span<const uint32_t> rows,
                              const v1::CartOptions& options, ThreadPool& pool,
                              const GrowthHooks& hooks) {
  v1::CartOptions resolved = options;
  resolved.set_criterion(ResolveCriterion(options, target));
  StopToken stop(hooks.check);
  NodeSplitter splitter(features, target, weights, rows, resolved, pool, stop);
  if (splitter.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("none of ", rows.size(), " rows to train on has a positive weight"));
  }
  Grower grower(splitter, resolved, pool, stop, hooks);
  if (!stop.stopped()) grower.Grow();
  if (stop.Ask()) return stop.status();
  return AssembleTree(grower.nodes(), splitter.rows(), resolved.max_leaf_nodes() > 0);
}

}  // namespace trainyard
