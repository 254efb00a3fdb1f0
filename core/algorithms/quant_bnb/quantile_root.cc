#include "core/algorithms/quant_bnb/quantile_root.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>

namespace trainyard::quant_bnb {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Adds a subtree that others were given up for.
void AddFixed(const PairTree& tree, std::vector<PairState>& pairs) {
  PairState fixed;
  fixed.feature = tree.feature;
  fixed.lo = fixed.hi = tree.rank;
  fixed.size = 1;
  fixed.left.Insert(tree.left_feature);
  fixed.right.Insert(tree.right_feature);
  fixed.fixed = true;
  const auto before = [](const PairState& a, const PairState& b) {
    return std::pair(a.feature, a.lo) < std::pair(b.feature, b.lo);
  };
  const auto [first, last] = std::equal_range(pairs.begin(), pairs.end(), fixed, before);
  const bool known = std::any_of(first, last, [&](const PairState& pair) {
    return pair.fixed && pair.left.contains(tree.left_feature) &&
           pair.right.contains(tree.right_feature);
  });
  if (!known) pairs.insert(last, std::move(fixed));
}

}  // namespace

SearchTree TreeOf(const SearchNode& root, const RootTree& tree) {
  const int index = IndexOf(root, tree.feature);
  SearchNode left;
  SearchNode right;
  SearchNode::Split(root, index, RowsUpTo(root, index, tree.rank), left, right);
  return SearchTree::Join(tree.feature, tree.rank, TreeOf(left, tree.left),
                          TreeOf(right, tree.right));
}

void RootSearch::PlanSide(const ChildStates& states, const Region& largest, Side& side) const {
  side.states = &states;
  side.plans.clear();
  for (const PairState& pair : states.pairs) {
    side.plans.push_back(pair.fixed
                             ? SingleCut(pair.lo)
                             : PlanCuts(index_.Present(pair.feature, pair.lo, pair.hi, largest),
                                        options_.quantiles, CutKind::kClosedParts));
  }
}

bool RootSearch::EvaluateSide(const SearchNode& node, const Side& side, SideAtCut& at_cut) {
  if (!pairs_.evaluator().Evaluate(node, side.states->pairs, side.plans, at_cut.bounds)) {
    return false;
  }
  at_cut.leaf_loss = node.leaf_loss();
  at_cut.leaf_allowed = node.sample_count() >= problem_.min_samples_leaf();
  at_cut.splittable = node.feature_count() > 0;
  at_cut.split = PairTree{.loss = kInfinity};
  for (const PairBounds& bounds : at_cut.bounds) {
    if (bounds.achieved.loss < at_cut.split.loss) at_cut.split = bounds.achieved;
  }
  const PairTree leaf{.loss = at_cut.leaf_allowed ? at_cut.leaf_loss : kInfinity};
  at_cut.best = at_cut.split.loss < leaf.loss ? at_cut.split : leaf;
  return true;
}

// Where splits cost nothing and every leaf may have one row, a leaf is no better than any split.
bool RootSearch::LeafAlive(const ChildStates& states, const SideAtCut& smallest) const {
  const bool dispensable = problem_.split_penalty() == 0 && problem_.min_samples_leaf() <= 1;
  return states.leaf && !(dispensable && smallest.splittable);
}

double RootSearch::LeastBound(const Side& side, const SideAtCut& smallest) const {
  double least = LeafAlive(*side.states, smallest) ? smallest.leaf_loss : kInfinity;
  for (const PairBounds& bounds : smallest.bounds) {
    for (const PairBounds::Part& part : bounds.parts) least = std::min(least, part.least);
  }
  return least;
}

void RootSearch::SplitRoot(const SearchNode& root, int feature, uint32_t rank) {
  const int index = IndexOf(root, feature);
  SearchNode::Split(root, index, RowsUpTo(root, index, rank), left_, right_);
  ++evaluated_;
}

bool RootSearch::Pass(const SearchNode& root, const RootState& state, double cutoff, RootTree& best,
                      std::vector<RootState>& next) {
  std::vector<uint32_t> ranks(static_cast<size_t>(state.thresholds()));
  std::iota(ranks.begin(), ranks.end(), state.lo);
  const CutPlan plan = PlanCuts(ranks, options_.quantiles, CutKind::kClosedParts);
  PlanSide(state.left, {state.feature, state.hi, true}, sides_[0]);
  PlanSide(state.right, {state.feature, state.lo, false}, sides_[1]);
  for (std::vector<SideAtCut>& at_cuts : at_cuts_) at_cuts.resize(plan.cuts.size());
  const double penalty = problem_.split_penalty();
  for (size_t cut = 0; cut < plan.cuts.size(); ++cut) {
    SplitRoot(root, state.feature, plan.cuts[cut]);
    if (!EvaluateSide(left_, sides_[0], at_cuts_[0][cut]) ||
        !EvaluateSide(right_, sides_[1], at_cuts_[1][cut])) {
      return false;
    }
    const PairTree& left = at_cuts_[0][cut].best;
    const PairTree& right = at_cuts_[1][cut].best;
    const double loss = penalty + left.loss + right.loss;
    if (loss < best.loss) best = {loss, state.feature, plan.cuts[cut], left, right};
  }
  cutoff = std::min(cutoff, best.loss);
  for (const CutPart& part : plan.parts) {
    const SideAtCut* const smallest[2] = {&at_cuts_[0][static_cast<size_t>(part.below)],
                                          &at_cuts_[1][static_cast<size_t>(part.above)]};
    const SideAtCut* const largest[2] = {&at_cuts_[0][static_cast<size_t>(part.above)],
                                         &at_cuts_[1][static_cast<size_t>(part.below)]};
    const double least[2] = {LeastBound(sides_[0], *smallest[0]),
                             LeastBound(sides_[1], *smallest[1])};
    RootState rest{state.feature, part.lo, part.hi};
    rest.bound = std::max(state.bound, penalty + least[0] + least[1]);
    if (!options_.interval || rest.bound < cutoff) {
      rest.left = PruneSide(sides_[0], *smallest[0], *largest[0], {state.feature, part.hi, true},
                            cutoff - penalty - least[1]);
      rest.right = PruneSide(sides_[1], *smallest[1], *largest[1], {state.feature, part.lo, false},
                             cutoff - penalty - least[0]);
    }
    if (rest.left.empty() || rest.right.empty()) {
      counters_.pruned += part.size;
    } else {
      next.push_back(std::move(rest));
    }
  }
  return true;
}

ChildStates RootSearch::PruneSide(const Side& side, const SideAtCut& smallest,
                                  const SideAtCut& largest, const Region& region, double limit) {
  ChildStates next;
  PruningLimits limits = {.incumbent = limit};
  const bool leaf = LeafAlive(*side.states, smallest);
  const bool leaf_dominates = leaf && largest.leaf_loss <= largest.split.loss;
  const double least = leaf_dominates ? largest.leaf_loss : largest.split.loss;
  const bool dominance = options_.dominance && least < limit;
  if (dominance) limits.dominated = least;
  const std::vector<PairState>& states = side.states->pairs;
  for (size_t s = 0; s < states.size(); ++s) {
    for (size_t p = 0; p < smallest.bounds[s].parts.size(); ++p) {
      std::optional<PairState> rest =
          PrunePart(states[s], side.plans[s].parts[p], smallest.bounds[s].parts[p], limits,
                    options_, counters_);
      if (!rest.has_value()) continue;
      if (!rest->fixed) {
        const std::vector<uint32_t> ranks =
            index_.Present(rest->feature, rest->lo, rest->hi, region);
        if (ranks.empty()) continue;
        rest->lo = ranks.front();
        rest->hi = ranks.back();
        rest->size = static_cast<uint32_t>(ranks.size());
      }
      next.pairs.push_back(*std::move(rest));
    }
  }
  next.leaf = leaf && smallest.leaf_loss < std::min(limits.incumbent, limits.dominated);
  if (dominance && leaf_dominates) next.leaf = true;
  if (dominance && !leaf_dominates) AddFixed(largest.split, next.pairs);
  return next;
}

bool RootSearch::SolveAt(const SearchNode& root, const RootState& state, uint32_t rank,
                         double cutoff, RootTree& best) {
  SplitRoot(root, state.feature, rank);
  const double budget = std::min(cutoff, best.loss) - problem_.split_penalty();
  const std::optional<PairTree> left =
      pairs_.Solve(left_, {state.feature, rank, true}, state.left, budget);
  if (!left.has_value()) return false;
  if (!(left->loss < budget)) return true;
  const std::optional<PairTree> right =
      pairs_.Solve(right_, {state.feature, rank, false}, state.right, budget - left->loss);
  if (!right.has_value()) return false;
  const double loss = problem_.split_penalty() + left->loss + right->loss;
  if (loss < best.loss) best = {loss, state.feature, rank, *left, *right};
  return true;
}

int64_t RootSearch::TakeEvaluated() { return std::exchange(evaluated_, 0); }

WorkCounters RootSearch::TakeCounters() {
  WorkCounters counters = pairs_.TakeCounters();
  counters += std::exchange(counters_, WorkCounters());
  return counters;
}

}  // namespace trainyard::quant_bnb
