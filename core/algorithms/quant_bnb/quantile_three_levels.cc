// Passes over the states of trees of three levels, then the exact solution of what is left.
#include <algorithm>
#include <cstddef>
#include <iterator>
#include <limits>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "core/algorithms/quant_bnb/quantile_rounds.h"
#include "core/base/status.h"

namespace trainyard::quant_bnb {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Work between two reports, independent of the threads.
constexpr size_t kRoundStates = 8;
constexpr size_t kRoundThresholds = 32;
// The paper's end rule: passes end when so few trees are left, in all or per state, or after so
// many passes; ours also when the states take too much memory.
constexpr double kFewTrees = 5000;
constexpr double kFewTreesPerState = 10;
constexpr int64_t kMostPasses = 20;
constexpr size_t kMostPairs = 20'000'000;

struct Alive {
  double least = kInfinity;
  int64_t thresholds = 0;
  double trees = 0;
  size_t pairs = 0;

  void Add(std::span<const RootState> states) {
    for (const RootState& state : states) {
      least = std::min(least, state.bound);
      thresholds += state.thresholds();
      trees += state.trees();
      pairs += state.left.pairs.size() + state.right.pairs.size();
    }
  }
};

bool ByBound(const RootState& a, const RootState& b) {
  return std::tuple(a.bound, a.feature, a.lo) < std::tuple(b.bound, b.feature, b.lo);
}

class ThreeLevels {
 public:
  ThreeLevels(QuantileContext& context, QuantileState state)
      : context_(context), course_(context.course), state_(std::move(state)) {}

  absl::StatusOr<v1::QuantBnbReport::Status> Run() {
    if (state_.pass == 0) Begin();
    v1::QuantBnbReport::Status status = v1::QuantBnbReport::STATUS_UNSPECIFIED;
    while (status == v1::QuantBnbReport::STATUS_UNSPECIFIED) {
      if (state_.roots.empty()) {
        if (state_.next_roots.empty()) break;
        NextPass();
      }
      if (state_.roots.empty()) continue;
      if (state_.solving) {
        SolveRound();
      } else {
        PassRound();
      }
      TY_ASSIGN_OR_RETURN(status, End());
    }
    if (status != v1::QuantBnbReport::STATUS_UNSPECIFIED) return status;
    course_.SetLeastAlive(kInfinity);
    return v1::QuantBnbReport::STATUS_OPTIMAL;
  }

 private:
  struct Result {
    RootTree best;
    std::vector<RootState> next;
    WorkCounters work;
    int64_t evaluated = 0;
    bool stopped = false;
  };

  void Begin() {
    const int features = context_.problem.feature_count();
    for (PairState& pair : AllPairs(context_.index, features)) {
      RootState root{pair.feature, pair.lo, pair.hi};
      root.left.pairs = root.right.pairs = AllPairs(context_.index, features);
      root.left.leaf = root.right.leaf = true;
      state_.roots.push_back(std::move(root));
    }
    state_.pass = 1;
  }

  // All states of a pass are done: those that are left are the next.
  void NextPass() {
    v1::SearchCounters& counters = course_.counters();
    state_.roots = std::exchange(state_.next_roots, {});
    DropPruned();
    std::sort(state_.roots.begin(), state_.roots.end(), ByBound);
    Alive alive;
    alive.Add(state_.roots);
    counters.add_alive(alive.trees);
    state_.solving =
        alive.trees <=
            std::max(kFewTrees, kFewTreesPerState * static_cast<double>(state_.roots.size())) ||
        state_.pass >= kMostPasses || alive.pairs > kMostPairs;
    ++state_.pass;
  }

  void DropPruned() {
    if (!context_.options.interval) return;
    v1::SearchCounters& counters = course_.counters();
    std::erase_if(state_.roots, [&](const RootState& root) {
      const bool dead = root.bound >= course_.cutoff();
      if (dead) counters.set_pruned(counters.pruned() + root.thresholds());
      return dead;
    });
  }

  // Runs `task(i, search, result)` for the items of a round; false: stopped, void.
  template <typename Task>
  bool RunTasks(size_t count, std::vector<Result>& results, Task task) {
    results.clear();
    results.resize(count);
    context_.pool.Run(static_cast<int64_t>(count), [&](int64_t i, int thread) {
      RootSearch& search = *context_.workers[static_cast<size_t>(thread)];
      Result& result = results[static_cast<size_t>(i)];
      result.best.loss = course_.incumbent();
      result.stopped = !task(static_cast<size_t>(i), search, result);
      result.work = search.TakeCounters();
      result.evaluated = search.TakeEvaluated();
    });
    return std::none_of(results.begin(), results.end(),
                        [](const Result& result) { return result.stopped; });
  }

  void Merge(std::vector<Result>& results) {
    for (Result& result : results) {
      AddWork(result.work, result.evaluated, course_.counters());
      if (result.best.feature >= 0) OfferTree(context_, TreeOf(context_.root, result.best));
      std::move(result.next.begin(), result.next.end(), std::back_inserter(state_.next_roots));
    }
  }

  void PassRound() {
    const size_t count = std::min(kRoundStates, state_.roots.size());
    const double cutoff = course_.cutoff();
    std::vector<Result> results;
    const bool done = RunTasks(count, results, [&](size_t i, RootSearch& search, Result& result) {
      const RootState& state = state_.roots[i];
      if (context_.options.interval && state.bound >= cutoff) return true;
      if (state.lo == state.hi) {
        return search.SolveAt(context_.root, state, state.lo, cutoff, result.best);
      }
      return search.Pass(context_.root, state, cutoff, result.best, result.next);
    });
    if (!done) return;
    Merge(results);
    state_.roots.erase(state_.roots.begin(),
                       state_.roots.begin() + static_cast<std::ptrdiff_t>(count));
  }

  // Solves the next thresholds; a state's interval begins with the first that is not solved.
  void SolveRound() {
    std::vector<std::pair<size_t, uint32_t>> items;
    for (size_t s = 0; s < state_.roots.size() && items.size() < kRoundThresholds; ++s) {
      const RootState& state = state_.roots[s];
      for (uint32_t rank = state.lo; rank <= state.hi && items.size() < kRoundThresholds; ++rank) {
        items.emplace_back(s, rank);
      }
    }
    const double cutoff = course_.cutoff();
    std::vector<Result> results;
    const bool done =
        RunTasks(items.size(), results, [&](size_t i, RootSearch& search, Result& result) {
          const RootState& state = state_.roots[items[i].first];
          if (context_.options.interval && state.bound >= cutoff) return true;
          return search.SolveAt(context_.root, state, items[i].second, cutoff, result.best);
        });
    if (!done) return;
    Merge(results);
    const auto [last, rank] = items.back();
    const bool finished = rank == state_.roots[last].hi;
    if (!finished) state_.roots[last].lo = rank + 1;
    state_.roots.erase(state_.roots.begin(), state_.roots.begin() + static_cast<std::ptrdiff_t>(
                                                                        last + (finished ? 1 : 0)));
  }

  absl::StatusOr<v1::QuantBnbReport::Status> End() {
    Alive alive;
    alive.Add(state_.roots);
    alive.Add(state_.next_roots);
    return EndRound(context_, state_, alive.least, alive.thresholds);
  }

  QuantileContext& context_;
  SearchCourse& course_;
  QuantileState state_;
};

}  // namespace

absl::StatusOr<v1::QuantBnbReport::Status> SearchThreeLevels(QuantileContext& context,
                                                             QuantileState state) {
  return ThreeLevels(context, std::move(state)).Run();
}

}  // namespace trainyard::quant_bnb
