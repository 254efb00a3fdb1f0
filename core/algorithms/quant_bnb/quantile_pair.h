// Quant-BnB at a fixed node: trees of at most two levels.
#pragma once

#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "core/algorithms/quant_bnb/quantile_bounds.h"
#include "core/algorithms/quant_bnb/quantile_states.h"

namespace trainyard::quant_bnb {

// Losses from which parts of a state, and features in it, are given up: those of trees that cannot
// be better than the incumbent; of subtrees that another subtree is as good as, all over the root's
// part.
struct PruningLimits {
  double incumbent = std::numeric_limits<double>::infinity();
  double dominated = std::numeric_limits<double>::infinity();
};

// What is left of a part after pruning, or nothing. Counts what is pruned.
std::optional<PairState> PrunePart(const PairState& state, const CutPart& part,
                                   const PairBounds::Part& bounds, const PruningLimits& limits,
                                   const QuantileOptions& options, WorkCounters& counters);

// Solves nodes whose rows are fixed. One per thread; keeps memory from call to call.
class PairSearch {
 public:
  PairSearch(const SearchProblem& problem, const RankIndex& index, const QuantileOptions& options,
             SearchCourse& course)
      : problem_(problem), index_(index), options_(options), evaluator_(problem, options, course) {}

  // One pass: the states, by feature and rank, are cut, and evaluated at the node, which holds the
  // rows of `region`. Survivors of a part are appended to `next`, by feature and rank. `best` is
  // replaced by a tree of smaller loss; what cannot be below `cutoff` or `best` is pruned. False:
  // stop.
  bool Pass(const SearchNode& node, const Region& region, std::span<const PairState> states,
            double cutoff, PairTree& best, std::vector<PairState>& next);

  // The best tree among the children with a loss below `budget`; an infinite loss if there is none.
  // nullopt: stop.
  std::optional<PairTree> Solve(const SearchNode& node, const Region& region,
                                const ChildStates& children, double budget);

  PairEvaluator& evaluator() { return evaluator_; }
  // Work done since the last call.
  WorkCounters TakeCounters();

 private:
  const SearchProblem& problem_;
  const RankIndex& index_;
  const QuantileOptions& options_;
  PairTree OneSided(const SearchNode& node, const PairState& state) const;

  PairEvaluator evaluator_;
  std::vector<CutPlan> plans_;
  std::vector<PairBounds> bounds_;
  WorkCounters counters_;
};

// The tree that `tree` stands for at the node.
SearchTree TreeOf(const SearchNode& node, const PairTree& tree);

}  // namespace trainyard::quant_bnb
