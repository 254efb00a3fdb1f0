// Quant-BnB for trees of three levels: one state at a time.
#pragma once

#include <limits>
#include <vector>

#include "core/algorithms/quant_bnb/quantile_pair.h"
#include "core/algorithms/quant_bnb/quantile_states.h"

namespace trainyard::quant_bnb {

// A tree of three levels.
struct RootTree {
  double loss = std::numeric_limits<double>::infinity();
  int feature = -1;
  uint32_t rank = 0;
  PairTree left;
  PairTree right;
};

// The tree that `tree` stands for; `root` holds all rows.
SearchTree TreeOf(const SearchNode& root, const RootTree& tree);

// Cuts, bounds and prunes states. One per thread; keeps memory from call to call.
class RootSearch {
 public:
  RootSearch(const SearchProblem& problem, const RankIndex& index, const QuantileOptions& options,
             SearchCourse& course)
      : problem_(problem),
        index_(index),
        options_(options),
        pairs_(problem, index, options, course) {}

  // One pass over a state: what is left of its parts is appended to `next`; `best` is replaced by a
  // better tree. What cannot be below `cutoff` or `best` is pruned. False: stop.
  bool Pass(const SearchNode& root, const RootState& state, double cutoff, RootTree& best,
            std::vector<RootState>& next);

  // Replaces `best` by the best tree of the state with this root threshold, if its loss is below
  // `cutoff` and `best`. False: stop.
  bool SolveAt(const SearchNode& root, const RootState& state, uint32_t rank, double cutoff,
               RootTree& best);

  PairSearch& pairs() { return pairs_; }
  // Root thresholds whose children were evaluated since the last call.
  int64_t TakeEvaluated();
  WorkCounters TakeCounters();

 private:
  // The states of one child, with the same cuts at every cut of the root.
  struct Side {
    const ChildStates* states = nullptr;
    std::vector<CutPlan> plans;
  };
  // One child where the root is split at one of its cuts.
  struct SideAtCut {
    std::vector<PairBounds> bounds;  // by state
    double leaf_loss = 0;
    bool leaf_allowed = false;  // large enough
    bool splittable = false;
    PairTree split;  // the best, with large enough leaves
    PairTree best;   // that or the leaf
  };

  void PlanSide(const ChildStates& states, const Region& largest, Side& side) const;
  bool EvaluateSide(const SearchNode& node, const Side& side, SideAtCut& at_cut);
  // Whether the leaf is to be considered in a part whose smallest set is that of `smallest`.
  bool LeafAlive(const ChildStates& states, const SideAtCut& smallest) const;
  double LeastBound(const Side& side, const SideAtCut& smallest) const;
  // What is left of a child in a part of the root's interval: its rows lie between those of
  // `smallest` and those of `largest`, and within `region`.
  ChildStates PruneSide(const Side& side, const SideAtCut& smallest, const SideAtCut& largest,
                        const Region& region, double limit);
  void SplitRoot(const SearchNode& root, int feature, uint32_t rank);

  const SearchProblem& problem_;
  const RankIndex& index_;
  const QuantileOptions& options_;
  PairSearch pairs_;
  SearchNode left_;
  SearchNode right_;
  Side sides_[2];
  std::vector<SideAtCut> at_cuts_[2];  // [side][cut]
  int64_t evaluated_ = 0;
  WorkCounters counters_;
};

}  // namespace trainyard::quant_bnb
