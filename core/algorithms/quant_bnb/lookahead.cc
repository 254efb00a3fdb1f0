#include "core/algorithms/quant_bnb/lookahead.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/algorithms/quant_bnb/loss.h"
#include "core/base/status.h"
#include "core/trees/subtree.h"

namespace trainyard {
namespace {

using Report = v1::QuantBnbReport;

void AddCounters(const v1::SearchCounters& from, v1::SearchCounters& to) {
  to.set_thresholds(to.thresholds() + from.thresholds());
  to.set_evaluated(to.evaluated() + from.evaluated());
  to.set_subproblems(to.subproblems() + from.subproblems());
  to.set_batches(to.batches() + from.batches());
  to.set_pruned(to.pruned() + from.pruned());
  to.set_screened_features(to.screened_features() + from.screened_features());
}

// The rows of a node as an input of their own.
struct NodeInput {
  NodeInput(const OptimalTreeInput& whole, const RowPositions& positions) : input(whole) {
    const size_t width = static_cast<size_t>(whole.outputs);
    for (const uint32_t row : positions) {
      rows.push_back(whole.rows[row]);
      if (whole.classification()) classes.push_back(whole.classes[row]);
      if (!whole.weights.empty()) weights.push_back(whole.weights[row]);
      for (size_t k = 0; !whole.classification() && k < width; ++k) {
        values.push_back(whole.values[row * width + k]);
      }
    }
    input.rows = rows;
    input.classes = classes;
    input.values = values;
    input.weights = weights;
  }
  NodeInput(const NodeInput&) = delete;
  NodeInput& operator=(const NodeInput&) = delete;

  std::vector<int64_t> rows;
  std::vector<int32_t> classes;
  std::vector<double> values;
  std::vector<double> weights;
  OptimalTreeInput input;
};

Tree LeafStructure(int outputs) {
  Tree leaf;
  leaf.outputs = outputs;
  leaf.feature = leaf.left = leaf.right = {-1};
  leaf.threshold = {0};
  leaf.missing_left = {0};
  return leaf;
}

class Lookahead {
 public:
  Lookahead(const OptimalTreeInput& input, const v1::QuantBnbSpec& spec, ThreadPool& pool,
            LookaheadHooks hooks)
      : input_(input),
        spec_(spec),
        pool_(pool),
        hooks_(std::move(hooks)),
        known_steps_(std::move(hooks_.resume.steps)),
        known_search_(std::move(hooks_.resume.search)) {
    checkpoint_.seconds = hooks_.resume.seconds;
  }

  absl::StatusOr<LookaheadTree> Run() {
    RowPositions rows = UsedRows(input_);
    total_rows_ = rows.size();
    result_.progress.loss = LeafLoss(input_, rows);
    TY_ASSIGN_OR_RETURN(Tree tree, Improve(std::move(rows), spec_.lookahead().max_depth(),
                                           LeafStructure(input_.outputs)));
    result_.tree = FitLeaves(input_, std::move(tree));
    result_.progress.seconds = checkpoint_.seconds;
    return std::move(result_);
  }

 private:
  bool stopped() const { return result_.status != Report::STATUS_LOOKAHEAD; }

  // Number of levels of the search for a node with `levels` left.
  int DepthFor(int levels) const {
    const int whole = std::max(spec_.depth(), spec_.lookahead().polish_levels());
    return levels <= whole ? levels : spec_.depth();
  }

  // The structure of the tree for a node's rows, which has `current` so far.
  absl::StatusOr<Tree> Improve(RowPositions rows, int levels, Tree current) {
    const int depth = DepthFor(levels);
    if (!stopped()) {
      const NodeInput node(input_, rows);
      TY_ASSIGN_OR_RETURN(current, BestOf(node.input, depth, std::move(current)));
    }
    if (stopped()) return current;
    if (current.is_leaf(0) || depth == levels) {
      result_.progress.settled +=
          static_cast<double>(rows.size()) / static_cast<double>(total_rows_);
      Tell();
      return current;
    }
    auto [left_rows, right_rows] = DivideRows(input_, current, 0, rows);
    RowPositions().swap(rows);
    TY_ASSIGN_OR_RETURN(
        Tree left, Improve(std::move(left_rows), levels - 1, SubtreeOf(current, current.left[0])));
    TY_ASSIGN_OR_RETURN(Tree right, Improve(std::move(right_rows), levels - 1,
                                            SubtreeOf(current, current.right[0])));
    return JoinStructure(current, left, right);
  }

  // The best of `current`, the optimal tree of `depth` levels and a leaf, for all rows of `node`.
  absl::StatusOr<Tree> BestOf(const OptimalTreeInput& node, int depth, Tree current) {
    const double before = TreeLoss(node, spec_, current);
    const Tree leaf = LeafStructure(input_.outputs);
    const double as_leaf = TreeLoss(node, spec_, leaf);
    double loss = before;
    double tolerance = 0;
    if (MaySplit(node, as_leaf)) {
      TY_ASSIGN_OR_RETURN(const std::optional<LookaheadStep> step, NextStep(node, depth, current));
      if (step.has_value()) {
        tolerance = step->tolerance;
        const double found = TreeLoss(node, spec_, step->tree);
        if (found < before - tolerance) {
          loss = found;
          current = step->tree;
        }
      }
    }
    if (!current.is_leaf(0) && !(loss < as_leaf - tolerance)) {
      loss = as_leaf;
      current = leaf;
    }
    result_.progress.loss += loss - before;
    return current;
  }

  // Whether a tree with splits can be better than a leaf.
  bool MaySplit(const OptimalTreeInput& node, double as_leaf) const {
    return as_leaf > spec_.split_penalty() &&
           static_cast<int64_t>(node.rows.size()) >= 2 * spec_.min_samples_leaf();
  }

  // What the next search finds, or found in an earlier attempt; nullopt where a limit is reached
  // before it begins.
  absl::StatusOr<std::optional<LookaheadStep>> NextStep(const OptimalTreeInput& node, int depth,
                                                        const Tree& current) {
    const size_t number = checkpoint_.steps.size();
    if (number < known_steps_.size()) return Finish(known_steps_[number]);
    v1::QuantBnbSpec spec = spec_;
    spec.set_depth(depth);
    spec.clear_lookahead();
    if (!LimitSearch(*spec.mutable_limits())) return std::optional<LookaheadStep>();
    TY_ASSIGN_OR_RETURN(OptimalTree found,
                        FindOptimalTree(node, spec, &current, pool_, HooksOfSearch()));
    checkpoint_.seconds += found.progress.seconds;
    result_.progress.seconds = checkpoint_.seconds;
    if (found.status == Report::STATUS_TIME_LIMIT ||
        found.status == Report::STATUS_EVALUATION_LIMIT) {
      result_.status = found.status;
    }
    checkpoint_.search.reset();
    std::optional<LookaheadStep> step =
        Finish({std::move(found.tree), std::move(found.progress.counters), found.tolerance,
                found.distinct_rows});
    if (hooks_.checkpoint && !stopped()) TY_RETURN_IF_ERROR(hooks_.checkpoint(checkpoint_));
    return step;
  }

  // Takes account of a search that is done.
  std::optional<LookaheadStep> Finish(LookaheadStep step) {
    if (checkpoint_.steps.empty()) result_.distinct_rows = step.distinct_rows;
    result_.tolerance = std::max(result_.tolerance, step.tolerance);
    AddCounters(step.counters, result_.progress.counters);
    checkpoint_.steps.push_back(step);
    return step;
  }

  // What is left of the limits; false, and the status of the whole, where nothing is.
  bool LimitSearch(v1::SearchLimits& limits) {
    if (limits.time_seconds() > 0) {
      limits.set_time_seconds(limits.time_seconds() - checkpoint_.seconds);
      if (limits.time_seconds() <= 0) result_.status = Report::STATUS_TIME_LIMIT;
    }
    if (limits.evaluations() > 0) {
      limits.set_evaluations(limits.evaluations() - result_.progress.counters.evaluated());
      if (limits.evaluations() <= 0) result_.status = Report::STATUS_EVALUATION_LIMIT;
    }
    return !stopped();
  }

  SearchHooks HooksOfSearch() {
    SearchHooks hooks;
    hooks.check = hooks_.check;
    hooks.resume = std::exchange(known_search_, std::nullopt);
    hooks.report = [this](const SearchProgress& progress, const Tree*) {
      result_.progress.seconds = checkpoint_.seconds + progress.seconds;
      Tell();
    };
    if (hooks_.checkpoint) {
      hooks.checkpoint = [this](std::string state) {
        checkpoint_.search = std::move(state);
        return hooks_.checkpoint(checkpoint_);
      };
    }
    return hooks;
  }

  void Tell() {
    if (hooks_.report) hooks_.report(result_.progress);
  }

  const OptimalTreeInput& input_;
  const v1::QuantBnbSpec& spec_;
  ThreadPool& pool_;
  LookaheadHooks hooks_;
  const std::vector<LookaheadStep> known_steps_;  // of an earlier attempt
  std::optional<std::string> known_search_;
  SearchCheckpoint checkpoint_;
  LookaheadTree result_;
  size_t total_rows_ = 0;
};

}  // namespace

absl::StatusOr<LookaheadTree> FindLookaheadTree(const OptimalTreeInput& input,
                                                const v1::QuantBnbSpec& spec, ThreadPool& pool,
                                                LookaheadHooks hooks) {
  return Lookahead(input, spec, pool, std::move(hooks)).Run();
}

}  // namespace trainyard
