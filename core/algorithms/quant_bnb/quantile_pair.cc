#include "core/algorithms/quant_bnb/quantile_pair.h"

#include <algorithm>
#include <utility>

#include "core/algorithms/quant_bnb/stump.h"

namespace trainyard::quant_bnb {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

FeatureSet Screen(const FeatureSet& set, std::span<const double> bounds, double limit,
                  WorkCounters& counters) {
  FeatureSet left_over;
  size_t i = 0;
  set.ForEach([&](int feature) {
    if (bounds[i++] < limit) {
      left_over.Insert(feature);
    } else {
      ++counters.screened_features;
    }
  });
  return left_over;
}

// The best split by one feature on one side of a split.
SearchTree StumpOf(const SearchNode& node, int feature) {
  const int index = IndexOf(node, feature);
  if (index < 0) return SearchTree::Leaf();
  return TreeOf(node, BestStumpOf(node, index, node.problem().min_samples_leaf()));
}

}  // namespace

std::optional<PairState> PrunePart(const PairState& state, const CutPart& part,
                                   const PairBounds::Part& bounds, const PruningLimits& limits,
                                   const QuantileOptions& options, WorkCounters& counters) {
  PairState next = state;
  next.lo = part.lo;
  next.hi = part.hi;
  next.size = part.size;
  next.bound = bounds.least;
  const bool dead =
      (options.interval && bounds.least >= limits.incumbent) || bounds.least >= limits.dominated;
  if (!dead && options.screening) {
    const double limit = std::min(limits.incumbent, limits.dominated);
    next.left = Screen(state.left, bounds.left, limit, counters);
    next.right = Screen(state.right, bounds.right, limit, counters);
  }
  if (dead || next.left.empty() || next.right.empty()) {
    counters.pruned += part.size;
    return std::nullopt;
  }
  return next;
}

bool PairSearch::Pass(const SearchNode& node, const Region& region,
                      std::span<const PairState> states, double cutoff, PairTree& best,
                      std::vector<PairState>& next) {
  plans_.clear();
  for (const PairState& state : states) {
    plans_.push_back(state.fixed
                         ? CutPlan{{state.lo}, {}}
                         : PlanCuts(index_.Present(state.feature, state.lo, state.hi, region),
                                    options_.quantiles, CutKind::kOpenParts));
    if (!state.fixed) continue;
    const PairTree one_sided = OneSided(node, state);
    if (one_sided.loss < best.loss) best = one_sided;
  }
  if (!evaluator_.Evaluate(node, states, plans_, bounds_)) return false;
  for (const PairBounds& bounds : bounds_) {
    if (bounds.achieved.loss < best.loss) best = bounds.achieved;
  }
  const PruningLimits limits = {.incumbent = std::min(cutoff, best.loss)};
  for (size_t s = 0; s < states.size(); ++s) {
    for (size_t part = 0; part < plans_[s].parts.size(); ++part) {
      std::optional<PairState> left_over = PrunePart(
          states[s], plans_[s].parts[part], bounds_[s].parts[part], limits, options_, counters_);
      if (left_over.has_value()) next.push_back(*std::move(left_over));
    }
  }
  return true;
}

// The tree of a single choice that leaves one side empty; an infinite loss if it does not.
PairTree PairSearch::OneSided(const SearchNode& node, const PairState& state) const {
  PairTree tree{.loss = kInfinity};
  const int index = IndexOf(node, state.feature);
  const bool left = problem_.ranks(state.feature)[node.rows()[0]] <= state.lo;
  if (index >= 0) {
    const int below = RowsUpTo(node, index, state.lo);
    if (below > 0 && below < node.row_count()) return tree;
  }
  (left ? state.left : state.right).ForEach([&](int feature) {
    const int child = IndexOf(node, feature);
    const double loss =
        child < 0 ? node.leaf_loss() : BestStumpOf(node, child, problem_.min_samples_leaf()).loss;
    if (loss < tree.loss) tree = {loss, state.feature, state.lo, feature, feature};
  });
  return tree;
}

std::optional<PairTree> PairSearch::Solve(const SearchNode& node, const Region& region,
                                          const ChildStates& children, double budget) {
  PairTree best{.loss = kInfinity};
  if (children.leaf && node.sample_count() >= problem_.min_samples_leaf() &&
      node.leaf_loss() < budget) {
    best.loss = node.leaf_loss();
  }
  std::vector<PairState> living = children.pairs;
  std::vector<PairState> next;
  while (!living.empty()) {
    next.clear();
    if (!Pass(node, region, living, budget, best, next)) return std::nullopt;
    std::swap(living, next);
  }
  if (!(best.loss < budget)) best = PairTree{.loss = kInfinity};
  return best;
}

WorkCounters PairSearch::TakeCounters() {
  WorkCounters counters = evaluator_.TakeCounters();
  counters += std::exchange(counters_, WorkCounters());
  return counters;
}

SearchTree TreeOf(const SearchNode& node, const PairTree& tree) {
  if (tree.feature < 0) return SearchTree::Leaf();
  const int index = IndexOf(node, tree.feature);
  const bool first_left = node.problem().ranks(tree.feature)[node.rows()[0]] <= tree.rank;
  const int below = index >= 0   ? RowsUpTo(node, index, tree.rank)
                    : first_left ? node.row_count()
                                 : 0;
  if (below == 0) return StumpOf(node, tree.right_feature);
  if (below == node.row_count()) return StumpOf(node, tree.left_feature);
  SearchNode left;
  SearchNode right;
  SearchNode::Split(node, index, below, left, right);
  return SearchTree::Join(tree.feature, tree.rank, StumpOf(left, tree.left_feature),
                          StumpOf(right, tree.right_feature));
}

}  // namespace trainyard::quant_bnb
