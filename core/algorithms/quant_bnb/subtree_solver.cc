#include "core/algorithms/quant_bnb/subtree_solver.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

namespace trainyard::quant_bnb {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

const WorkCounters& SubtreeSolver::counters() const {
  counters_ = pairs_.counters();
  counters_.subproblems += deep_subproblems_;
  return counters_;
}

SubtreeSolver::Level& SubtreeSolver::LevelOf(int depth) {
  const size_t at = static_cast<size_t>(depth);
  if (levels_.size() <= at) levels_.resize(at + 1);
  if (levels_[at] == nullptr) levels_[at] = std::make_unique<Level>(rules_.bounds);
  return *levels_[at];
}

SubtreeSolution SubtreeSolver::Solve(const SearchNode& node, int depth, double budget,
                                     const KnownCuts& known, KnownCuts* found, ThreadPool* pool) {
  if (depth == 1) return SolveStump(node, budget, pool);
  if (depth > 2) return SolveDeep(node, depth, budget, known, found);
  const SubtreeSolution solution = pairs_.Solve(node, budget, known, pool);
  if (found != nullptr) pairs_.Summarise(*found);
  return solution;
}

SubtreeSolution SubtreeSolver::SolveStump(const SearchNode& node, double budget, ThreadPool* pool) {
  ++deep_subproblems_;
  const StumpFinder::Answer found = stumps_.Find(node, pool, &stop_);
  if (found.stump.loss >= budget) return {kInfinity, -1, 0, found.relaxed};
  return {found.stump.loss, found.stump.feature, found.stump.place, found.relaxed};
}

SubtreeSolution SubtreeSolver::SolveDeep(const SearchNode& node, int depth, double budget,
                                         const KnownCuts& known, KnownCuts* found) {
  ++deep_subproblems_;
  const double penalty = node.problem().split_penalty();
  SubtreeSolution solution = Solve(node, depth - 1, kInfinity);
  const double whole = solution.bound;
  solution.bound = node.leaf_loss();
  if (solution.loss >= budget) solution = {kInfinity, -1, 0, solution.bound};
  double limit = std::min(budget, solution.loss);
  ThresholdFrontier& frontier = LevelOf(depth).frontier;
  frontier.Assign(node, whole, known);
  while (!stop_.Ask()) {
    frontier.Exclude(limit - tolerance_);
    const std::vector<Candidate> next = frontier.Choose(1);
    if (next.empty()) break;
    const Candidate& candidate = next.front();
    Evaluation evaluation = Evaluate(node, frontier, candidate, depth, limit);
    const double loss = evaluation.loss + penalty;
    frontier.Add(candidate, std::move(evaluation));
    if (loss >= limit) continue;
    limit = loss;
    solution = {limit, candidate.feature, candidate.place, solution.bound};
  }
  solution.bound = std::min(solution.bound, frontier.Summarise(found));
  return solution;
}

// What the number of its leaves tells of a child's loss. Grouping targets costs more than it saves.
double SubtreeSolver::LeafCountBound(const SearchNode& node, int depth) {
  const bool pays = node.problem().classification();
  return rules_.leaf_count && pays ? leaf_bounds_.Bound(node, 1 << depth) : 0;
}

Evaluation SubtreeSolver::Evaluate(const SearchNode& node, const ThresholdFrontier& frontier,
                                   const Candidate& candidate, int depth, double limit) {
  Level& level = LevelOf(depth);
  SearchNode::Split(node, candidate.feature, candidate.place + 1, level.left, level.right, &stop_);
  if (stop_.stopped()) return {};
  SearchNode* const nodes[2] = {&level.left, &level.right};
  Evaluation evaluation;
  double bounds[2] = {std::max(candidate.at.left, LeafCountBound(level.left, depth - 1)),
                      std::max(candidate.at.right, LeafCountBound(level.right, depth - 1))};
  double losses[2] = {kInfinity, kInfinity};
  // What the children may cost together. More is asked for, so that a failure excludes neighbours
  // too.
  const double allowed =
      rules_.budget ? limit - node.problem().split_penalty() + candidate.reach : kInfinity;
  const int larger = level.left.row_count() >= level.right.row_count() ? 0 : 1;
  for (const int child : {larger, 1 - larger}) {
    if (rules_.screening) frontier.Known(candidate, child, level.known);
    const double other = bounds[1 - child];
    if (bounds[child] + other >= allowed) {
      evaluation.cuts[child] = level.known;
      continue;
    }
    const SubtreeSolution solution =
        Solve(*nodes[child], depth - 1, allowed - other, level.known, &evaluation.cuts[child]);
    bounds[child] = std::max(bounds[child], solution.bound);
    losses[child] = solution.loss;
  }
  evaluation.loss = losses[0] + losses[1];
  evaluation.left = bounds[0];
  evaluation.right = bounds[1];
  return evaluation;
}

SearchTree SubtreeSolver::Build(const SearchNode& node, int depth,
                                const SubtreeSolution& solution) {
  if (solution.feature < 0) return SearchTree::Leaf();
  if (solution.children[0] >= 0) {
    return TreeOfPair(node, solution.feature, solution.place, solution.children);
  }
  SearchNode sides[2];
  SearchNode::Split(node, solution.feature, solution.place + 1, sides[0], sides[1], &stop_);
  if (stop_.stopped()) return SearchTree::Leaf();
  SearchTree children[2];
  for (int side = 0; side < 2; ++side) {
    children[side] = depth == 1
                         ? SearchTree::Leaf()
                         : Build(sides[side], depth - 1, Solve(sides[side], depth - 1, kInfinity));
  }
  return SearchTree::Join(node.features()[static_cast<size_t>(solution.feature)],
                          node.RankAt(solution.feature, solution.place), children[0], children[1]);
}

}  // namespace trainyard::quant_bnb
