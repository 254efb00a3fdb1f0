// Quant-BnB with the paper's bounds against the reference that tries everything.
#include "core/algorithms/quant_bnb/quantile_search.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/testing/fake_clock.h"
#include "gtest/gtest.h"
#include "tests/core/algorithms/quant_bnb/brute_force.h"
#include "tests/core/algorithms/quant_bnb/random_case.h"

namespace trainyard::quant_bnb {
namespace {

using Spec = v1::QuantBnbSpec;

constexpr Spec::Bound kBounds[] = {Spec::BOUND_W0, Spec::BOUND_W1, Spec::BOUND_W2};
constexpr Spec::PruningRule kRules[] = {
    Spec::PRUNING_RULE_NEIGHBOURHOOD,     Spec::PRUNING_RULE_INTERVAL,
    Spec::PRUNING_RULE_FEATURE_SCREENING, Spec::PRUNING_RULE_BUDGET,
    Spec::PRUNING_RULE_LEAF_COUNT,        Spec::PRUNING_RULE_DOMINANCE};

// Equal within 1e-9 of `b` and what rounding makes of losses of the size of `scale`.
bool NearlyEqual(double a, double b, double scale) {
  return std::abs(a - b) <= 1e-9 * std::abs(b) + 1e-12 * scale + 1e-18;
}

// A random problem with its answer.
class Solved {
 public:
  explicit Solved(uint64_t seed)
      : random_(MakeRandomCase(seed)),
        input_(random_.input()),
        reference_(input_, random_.spec),
        expected_(reference_.OptimalLoss(random_.spec.depth())),
        leaf_loss_(reference_.LeafLoss(reference_.rows())),
        seed_(seed) {}

  const Spec& spec() const { return random_.spec; }
  const OptimalTreeInput& input() const { return input_; }

  SearchProblem MakeProblem(const Spec& spec) const {
    ThreadPool pool(1);
    return SearchProblem::Build(input_, spec, pool, nullptr).value();
  }

  // Searches and checks the answer and all that was reported on the way.
  SearchOutcome Check(const SearchProblem& problem, const Spec& spec, ThreadPool& pool) const {
    double bound = -std::numeric_limits<double>::infinity();
    double incumbent = std::numeric_limits<double>::infinity();
    SearchObserver observer;
    observer.report = [&](const SearchProgress& progress, const SearchTree* better) {
      EXPECT_GE(progress.lower_bound, bound) << Text(spec);
      EXPECT_LE(progress.incumbent, incumbent) << Text(spec);
      EXPECT_LE(progress.lower_bound, expected_ + 1e-12 * leaf_loss_ + 1e-18) << Text(spec);
      bound = progress.lower_bound;
      incumbent = progress.incumbent;
      if (better != nullptr) CheckTree(problem, spec, *better, progress.incumbent);
    };
    const absl::StatusOr<SearchOutcome> outcome =
        QuantileSearch(problem, spec, SearchTree::Leaf(), pool, observer);
    EXPECT_TRUE(outcome.ok()) << outcome.status() << Text(spec);
    if (!outcome.ok()) return SearchOutcome();
    EXPECT_EQ(outcome->status, v1::QuantBnbReport::STATUS_OPTIMAL) << Text(spec);
    EXPECT_TRUE(problem.whole_losses()
                    ? outcome->progress.incumbent == expected_
                    : NearlyEqual(outcome->progress.incumbent, expected_, leaf_loss_))
        << outcome->progress.incumbent << " for " << expected_ << Text(spec);
    EXPECT_LE(outcome->progress.gap(), 1.001e-9 * leaf_loss_ + 1e-18) << Text(spec);
    CheckTree(problem, spec, outcome->tree, outcome->progress.incumbent);
    return *outcome;
  }

  std::string Text(const Spec& spec) const {
    return absl::StrCat("\nseed ", seed_, ", ", random_.Description(), "searched with ",
                        spec.ShortDebugString());
  }

 private:
  void CheckTree(const SearchProblem& problem, const Spec& spec, const SearchTree& tree,
                 double loss) const {
    const Tree plain = problem.ToTree(tree, input_);
    EXPECT_LE(plain.depth(), spec.depth()) << Text(spec);
    EXPECT_TRUE(NearlyEqual(reference_.LossOf(plain), loss, leaf_loss_))
        << loss << " for " << reference_.LossOf(plain) << Text(spec);
  }

  const RandomCase random_;
  const OptimalTreeInput input_;
  BruteForce reference_;
  const double expected_;
  const double leaf_loss_;
  const uint64_t seed_;
};

bool SameTree(const SearchTree& a, const SearchTree& b) {
  if (a.nodes.size() != b.nodes.size()) return false;
  for (size_t i = 0; i < a.nodes.size(); ++i) {
    if (a.nodes[i].feature != b.nodes[i].feature) return false;
    if (a.nodes[i].feature < 0) continue;
    if (a.nodes[i].rank != b.nodes[i].rank || a.nodes[i].left != b.nodes[i].left ||
        a.nodes[i].right != b.nodes[i].right) {
      return false;
    }
  }
  return true;
}

constexpr uint64_t kGroups = 10;
constexpr uint64_t kCasesPerGroup = 250;

class RandomCasesTest : public testing::TestWithParam<uint64_t> {
 protected:
  template <typename Visit>
  void ForEachCase(Visit visit) {
    for (uint64_t i = 0; i < kCasesPerGroup && !HasFailure(); ++i) {
      visit(Solved(GetParam() * kCasesPerGroup + i));
    }
  }
};

TEST_P(RandomCasesTest, EveryBoundFindsTheOptimumWithAnyNumberOfThreads) {
  ThreadPool one(1);
  ThreadPool two(2);
  ThreadPool eight(8);
  ForEachCase([&](const Solved& solved) {
    const SearchProblem problem = solved.MakeProblem(solved.spec());
    for (const Spec::Bound bound : kBounds) {
      Spec spec = solved.spec();
      spec.set_bound(bound);
      const SearchOutcome outcome = solved.Check(problem, spec, one);
      for (ThreadPool* pool : {&two, &eight}) {
        const SearchOutcome other = solved.Check(problem, spec, *pool);
        EXPECT_TRUE(SameTree(other.tree, outcome.tree)) << solved.Text(spec);
        EXPECT_EQ(other.progress.incumbent, outcome.progress.incumbent) << solved.Text(spec);
        EXPECT_EQ(other.progress.counters.SerializeAsString(),
                  outcome.progress.counters.SerializeAsString())
            << solved.Text(spec);
      }
    }
  });
}

TEST_P(RandomCasesTest, EveryPruningRuleCanBeLeftOut) {
  ThreadPool pool(1);
  ForEachCase([&](const Solved& solved) {
    const SearchProblem problem = solved.MakeProblem(solved.spec());
    for (const Spec::PruningRule rule : kRules) {
      Spec spec = solved.spec();
      spec.set_bound(kBounds[static_cast<size_t>(rule) % 3]);
      spec.add_disabled_rules(rule);
      solved.Check(problem, spec, pool);
    }
    Spec spec = solved.spec();
    spec.set_bound(Spec::BOUND_W0);
    for (const Spec::PruningRule rule : kRules) spec.add_disabled_rules(rule);
    solved.Check(problem, spec, pool);
  });
}

INSTANTIATE_TEST_SUITE_P(Groups, RandomCasesTest, testing::Range(uint64_t{0}, kGroups));

}  // namespace
}  // namespace trainyard::quant_bnb
