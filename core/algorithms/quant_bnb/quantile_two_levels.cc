// Passes over the states of trees of two levels.
#include <algorithm>
#include <cstddef>
#include <iterator>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "core/algorithms/quant_bnb/quantile_rounds.h"
#include "core/algorithms/quant_bnb/stump.h"
#include "core/base/status.h"

namespace trainyard::quant_bnb {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Blocks evaluated between two reports, and states in a block; independent of the threads.
constexpr size_t kRoundBlocks = 16;
constexpr size_t kBlockStates = 8;

double LeastBound(std::span<const PairState> states) {
  double least = kInfinity;
  for (const PairState& state : states) least = std::min(least, state.bound);
  return least;
}

// States of one feature together, the blocks of least bounds first.
std::vector<std::vector<PairState>> MakeBlocks(std::vector<PairState> states) {
  std::sort(states.begin(), states.end(), [](const PairState& a, const PairState& b) {
    return std::pair(a.feature, a.lo) < std::pair(b.feature, b.lo);
  });
  std::vector<std::vector<PairState>> blocks;
  for (PairState& state : states) {
    if (blocks.empty() || blocks.back().size() == kBlockStates ||
        blocks.back()[0].feature != state.feature) {
      blocks.emplace_back();
    }
    blocks.back().push_back(std::move(state));
  }
  std::stable_sort(blocks.begin(), blocks.end(),
                   [](const auto& a, const auto& b) { return LeastBound(a) < LeastBound(b); });
  return blocks;
}

// One pass for the blocks of a round.
class PairRound {
 public:
  PairRound(QuantileContext& context, std::span<const std::vector<PairState>> blocks)
      : context_(context), blocks_(blocks), results_(blocks.size()) {}

  // False: stopped, nothing is to be used.
  bool Run() {
    const double cutoff = context_.course.cutoff();
    context_.pool.Run(static_cast<int64_t>(blocks_.size()), [&](int64_t i, int thread) {
      Result& result = results_[static_cast<size_t>(i)];
      const std::vector<PairState>& block = blocks_[static_cast<size_t>(i)];
      if (context_.options.interval && LeastBound(block) >= cutoff) {
        for (const PairState& state : block) result.work.pruned += state.size;
        return;
      }
      PairSearch& search = context_.workers[static_cast<size_t>(thread)]->pairs();
      result.best.loss = context_.course.incumbent();
      if (!search.Pass(context_.root, Region(), block, cutoff, result.best, result.next)) {
        result.stopped = true;
      }
      result.work += search.TakeCounters();
    });
    return std::none_of(results_.begin(), results_.end(),
                        [](const Result& result) { return result.stopped; });
  }

  void Merge(std::vector<PairState>& next) {
    for (size_t i = 0; i < blocks_.size(); ++i) {
      Result& result = results_[i];
      // What was neither pruned nor is left was a cut.
      int64_t evaluated = -result.work.pruned;
      for (const PairState& state : blocks_[i]) evaluated += state.size;
      for (const PairState& state : result.next) evaluated -= state.size;
      AddWork(result.work, evaluated, context_.course.counters());
      if (result.best.feature >= 0) OfferTree(context_, TreeOf(context_.root, result.best));
      std::move(result.next.begin(), result.next.end(), std::back_inserter(next));
    }
  }

 private:
  struct Result {
    PairTree best;
    std::vector<PairState> next;
    WorkCounters work;
    bool stopped = false;
  };

  QuantileContext& context_;
  const std::span<const std::vector<PairState>> blocks_;
  std::vector<Result> results_;
};

struct Alive {
  double least = kInfinity;
  int64_t thresholds = 0;
  double trees = 0;

  void Add(std::span<const PairState> states) {
    for (const PairState& state : states) {
      least = std::min(least, state.bound);
      thresholds += state.size;
      trees += state.trees();
    }
  }
};

}  // namespace

absl::StatusOr<v1::QuantBnbReport::Status> SearchOneLevel(QuantileContext& context) {
  const Stump stump = BestStump(context.root, context.problem.min_samples_leaf());
  OfferTree(context, TreeOf(context.root, stump));
  v1::SearchCounters& counters = context.course.counters();
  counters.set_evaluated(counters.thresholds());
  TY_ASSIGN_OR_RETURN(const auto status, EndRound(context, QuantileState(), kInfinity, 0));
  return status == v1::QuantBnbReport::STATUS_UNSPECIFIED ? v1::QuantBnbReport::STATUS_OPTIMAL
                                                          : status;
}

absl::StatusOr<v1::QuantBnbReport::Status> SearchTwoLevels(QuantileContext& context,
                                                           QuantileState state) {
  v1::SearchCounters& counters = context.course.counters();
  const auto drop_pruned = [&](std::vector<PairState> states) {
    if (!context.options.interval) return states;
    std::erase_if(states, [&](const PairState& pair) {
      const bool dead = pair.bound >= context.course.cutoff();
      if (dead) counters.set_pruned(counters.pruned() + pair.size);
      return dead;
    });
    return states;
  };
  if (state.pass == 0) {
    state.blocks = MakeBlocks(AllPairs(context.index, context.problem.feature_count()));
    state.pass = 1;
  }
  while (!state.blocks.empty() || !state.next_pairs.empty()) {
    if (state.blocks.empty()) {
      state.blocks = MakeBlocks(drop_pruned(std::exchange(state.next_pairs, {})));
      ++state.pass;
      continue;
    }
    const size_t count = std::min(kRoundBlocks, state.blocks.size());
    PairRound round(context, std::span(state.blocks).first(count));
    if (round.Run()) {
      round.Merge(state.next_pairs);
      state.blocks.erase(state.blocks.begin(),
                         state.blocks.begin() + static_cast<std::ptrdiff_t>(count));
    }
    Alive alive;
    for (const std::vector<PairState>& block : state.blocks) alive.Add(block);
    alive.Add(state.next_pairs);
    if (state.blocks.empty()) counters.add_alive(alive.trees);
    TY_ASSIGN_OR_RETURN(const auto status, EndRound(context, state, alive.least, alive.thresholds));
    if (status != v1::QuantBnbReport::STATUS_UNSPECIFIED) return status;
  }
  context.course.SetLeastAlive(kInfinity);
  return v1::QuantBnbReport::STATUS_OPTIMAL;
}

}  // namespace trainyard::quant_bnb
