// Optimal trees of any depth, by recursion down to two levels.
#pragma once

#include <memory>
#include <vector>

#include "core/algorithms/quant_bnb/leaf_bounds.h"
#include "core/algorithms/quant_bnb/pair_solver.h"
#include "core/algorithms/quant_bnb/search_node.h"
#include "core/algorithms/quant_bnb/stump.h"
#include "core/algorithms/quant_bnb/threshold_frontier.h"
#include "core/base/thread_pool.h"
#include "core/trees/stop_token.h"

namespace trainyard::quant_bnb {

// Solves nodes one after another on the calling thread, with memory kept from call to call. When
// the token stops the search, answers are void.
class SubtreeSolver {
 public:
  SubtreeSolver(const SearchRules& rules, double tolerance, StopToken& stop)
      : rules_(rules), tolerance_(tolerance), stop_(stop), pairs_(rules, tolerance, stop) {}

  // Looks for trees of at most `depth` levels with a loss below `budget`. `known` are bounds for
  // this node, or empty. Depths 1 and 2 scan on `pool` where that is not null. Writes to `found`,
  // where that is not null, what is known of it then.
  SubtreeSolution Solve(const SearchNode& node, int depth, double budget,
                        const KnownCuts& known = {}, KnownCuts* found = nullptr,
                        ThreadPool* pool = nullptr);
  // The children of a candidate of `frontier`, that of the node, whose tree may have `depth`
  // levels. Trees of interest have a loss below `limit`, the penalty of the split included.
  Evaluation Evaluate(const SearchNode& node, const ThresholdFrontier& frontier,
                      const Candidate& candidate, int depth, double limit);
  // The tree of a solution of Solve. Solves the children again.
  SearchTree Build(const SearchNode& node, int depth, const SubtreeSolution& solution);

  // The solver for two levels.
  PairSolver& pairs() { return pairs_; }

  // Of all calls so far.
  const WorkCounters& counters() const;

 private:
  // What a level of the recursion works in.
  struct Level {
    explicit Level(const BoundRules& rules) : frontier(rules) {}
    SearchNode left;
    SearchNode right;
    KnownCuts known;
    ThresholdFrontier frontier;
  };
  Level& LevelOf(int depth);
  SubtreeSolution SolveStump(const SearchNode& node, double budget, ThreadPool* pool);
  SubtreeSolution SolveDeep(const SearchNode& node, int depth, double budget,
                            const KnownCuts& known, KnownCuts* found);
  double LeafCountBound(const SearchNode& node, int depth);

  const SearchRules rules_;
  const double tolerance_;
  StopToken& stop_;
  PairSolver pairs_;
  StumpFinder stumps_;
  LeafBounds leaf_bounds_;
  std::vector<std::unique_ptr<Level>> levels_;
  int64_t deep_subproblems_ = 0;
  mutable WorkCounters counters_;
};

}  // namespace trainyard::quant_bnb
