#include "core/trees/explain/path_plan.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "core/trees/explain/quadrature.h"

namespace trainyard {
namespace {

// The nearest split on a feature on the path, as seen from below it.
struct OnPath {
  int32_t level = -1;
  double share = 1;
};

// Walks the tree depth-first without recursion and writes nodes and operations down.
class Planner {
 public:
  Planner(const Tree& tree, std::span<const int32_t> used, PathPlan& plan)
      : tree_(tree), used_(used), plan_(plan), on_path_(used.size()) {}

  void Run(const Quadrature& rule) {
    rule_ = &rule;
    AddFactors(1);
    Visit(0, 0, 0, 1);
    while (!frames_.empty()) Advance();
  }

 private:
  struct Frame {
    int32_t node = 0;       // in the tree
    int32_t plan_node = 0;  // in the plan
    double reach = 0;       // share of the rows that reach it
    int stage = 0;          // children visited
    OnPath before;          // of its feature
  };

  // Sets `child` of a plan node to what `node` becomes; a frame for an inner node.
  int32_t Visit(int32_t node, int32_t level, int32_t side, double reach) {
    const size_t t = static_cast<size_t>(node);
    if (tree_.is_leaf(node)) {
      const std::span<const double> value = tree_.ValueOf(node);
      const int32_t leaf =
          static_cast<int32_t>(plan_.leaf_values.size()) / static_cast<int32_t>(tree_.outputs);
      plan_.leaf_values.insert(plan_.leaf_values.end(), value.begin(), value.end());
      for (size_t k = 0; k < value.size(); ++k) plan_.expected[k] += reach * value[k];
      return ~leaf;
    }
    const int32_t index = static_cast<int32_t>(plan_.nodes.size());
    PathNode made;
    made.threshold = tree_.threshold[t];
    made.column = static_cast<int32_t>(
        std::lower_bound(used_.begin(), used_.end(), tree_.feature[t]) - used_.begin());
    const double left = tree_.weight[static_cast<size_t>(tree_.left[t])];
    const double right = tree_.weight[static_cast<size_t>(tree_.right[t])];
    made.left_share = left / (left + right);
    made.level = level;
    made.side = side;
    made.missing_left = tree_.missing_left[t];
    const std::span<const int32_t> levels = tree_.LeftLevels(node);
    if (!levels.empty()) made.level_set = plan_.level_sets.Add(levels);
    const OnPath& above = on_path_[static_cast<size_t>(made.column)];
    made.previous = above.level;
    made.old_share = above.share;
    if (above.level >= 0) made.factors = AddFactors(above.share);
    plan_.levels = std::max(plan_.levels, level + 1);
    plan_.nodes.push_back(made);
    frames_.push_back({node, index, reach, 0, above});
    return index;
  }

  void Advance() {
    // A copy: a visit may move the frames.
    const Frame frame = frames_.back();
    const size_t t = static_cast<size_t>(frame.node);
    const size_t n = static_cast<size_t>(frame.plan_node);
    const PathNode node = plan_.nodes[n];
    if (frame.stage == 2) {
      on_path_[static_cast<size_t>(node.column)] = frame.before;
      frames_.pop_back();
      if (node.left >= 0 || node.right >= 0) Add(PathStep::kLeave, frame.plan_node);
      return;
    }
    const bool is_left = frame.stage == 0;
    const double share = is_left ? node.left_share : 1 - node.left_share;
    on_path_[static_cast<size_t>(node.column)] = {node.level, node.old_share * share};
    const int32_t left = tree_.left[t];
    const int32_t right = tree_.right[t];
    if (is_left) {
      const bool pair = tree_.is_leaf(left) && tree_.is_leaf(right);
      Add(pair ? PathStep::kLeafPair : PathStep::kEnter, frame.plan_node);
    } else if (!tree_.is_leaf(right)) {
      Add(PathStep::kTurn, frame.plan_node);
    }
    frames_.back().stage += 1;
    const int32_t child =
        Visit(is_left ? left : right, node.level + 1, is_left ? 0 : 1, frame.reach * share);
    (is_left ? plan_.nodes[n].left : plan_.nodes[n].right) = child;
  }

  void Add(PathStep step, int32_t node) { plan_.operations.push_back({step, node}); }

  int32_t AddFactors(double share) {
    const auto [found, is_new] =
        factors_of_share_.emplace(share, static_cast<int32_t>(plan_.factors.size()));
    if (!is_new) return found->second;
    for (const double t : rule_->points) plan_.factors.push_back(t / (share * (1 - t) + t));
    for (const double t : rule_->points) {
      const double q = share * (1 - t) + t;
      plan_.factors.push_back(share / (q * q));
    }
    return found->second;
  }

  const Tree& tree_;
  const std::span<const int32_t> used_;
  PathPlan& plan_;
  const Quadrature* rule_ = nullptr;
  std::vector<OnPath> on_path_;
  std::vector<Frame> frames_;
  absl::flat_hash_map<double, int32_t> factors_of_share_;
};

}  // namespace

int MaxPathFeatures(const Tree& tree) {
  // Nodes whose feature does not occur above, counted along each path.
  struct Frame {
    int32_t node;
    int stage;
    bool is_new;
  };
  const int32_t features =
      tree.feature.empty() ? 0 : *std::max_element(tree.feature.begin(), tree.feature.end()) + 1;
  std::vector<uint8_t> on_path(static_cast<size_t>(features), 0);
  std::vector<Frame> frames;
  int distinct = 0;
  int most = 0;
  const auto visit = [&](int32_t node) {
    if (tree.is_leaf(node)) return;
    uint8_t& seen = on_path[static_cast<size_t>(tree.feature[static_cast<size_t>(node)])];
    frames.push_back({node, 0, seen == 0});
    distinct += seen == 0 ? 1 : 0;
    most = std::max(most, distinct);
    seen = 1;
  };
  visit(0);
  while (!frames.empty()) {
    Frame& frame = frames.back();
    const size_t t = static_cast<size_t>(frame.node);
    if (frame.stage < 2) {
      frame.stage += 1;
      visit(frame.stage == 1 ? tree.left[t] : tree.right[t]);
      continue;
    }
    if (frame.is_new) {
      on_path[static_cast<size_t>(tree.feature[t])] = 0;
      --distinct;
    }
    frames.pop_back();
  }
  return most;
}

PathPlan MakePathPlan(const Tree& tree, std::span<const int32_t> used, int first_output) {
  PathPlan plan;
  plan.outputs = tree.outputs;
  plan.first_output = first_output;
  plan.expected.assign(static_cast<size_t>(tree.outputs), 0.0);
  plan.points = std::max(1, (MaxPathFeatures(tree) + 1) / 2);
  const Quadrature rule = GaussLegendre(plan.points);
  plan.weights = rule.weights;
  Planner(tree, used, plan).Run(rule);
  return plan;
}

}  // namespace trainyard
