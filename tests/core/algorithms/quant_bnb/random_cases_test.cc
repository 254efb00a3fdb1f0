// Optimal trees by every bound against the reference that tries everything.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/algorithms/quant_bnb/optimal_tree.h"
#include "gtest/gtest.h"
#include "tests/core/algorithms/quant_bnb/brute_force.h"
#include "tests/core/algorithms/quant_bnb/random_case.h"

namespace trainyard {
namespace {

using Spec = v1::QuantBnbSpec;

constexpr Spec::Bound kBounds[] = {Spec::BOUND_POINTWISE, Spec::BOUND_W0, Spec::BOUND_W1,
                                   Spec::BOUND_W2};
constexpr Spec::PruningRule kRules[] = {
    Spec::PRUNING_RULE_NEIGHBOURHOOD,     Spec::PRUNING_RULE_INTERVAL,
    Spec::PRUNING_RULE_FEATURE_SCREENING, Spec::PRUNING_RULE_BUDGET,
    Spec::PRUNING_RULE_LEAF_COUNT,        Spec::PRUNING_RULE_DOMINANCE};

// What rounding makes of losses, as a share of that of the best leaf, and of targets that are
// equal.
constexpr double kRounding = 1e-12;
constexpr double kTiny = 1e-18;

bool NearlyEqual(double a, double b, double scale) {
  return std::abs(a - b) <= 1e-9 * std::abs(b) + kRounding * scale + kTiny;
}

// A random problem with its answer.
class Solved {
 public:
  explicit Solved(uint64_t seed, int depth = 0)
      : random_(MakeCase(seed, depth)),
        input_(random_.input()),
        reference_(input_, random_.spec),
        expected_(reference_.OptimalLoss(random_.spec.depth())),
        leaf_loss_(reference_.LeafLoss(reference_.rows())),
        whole_(IsWhole(random_)),
        seed_(seed) {}

  const Spec& spec() const { return random_.spec; }
  double Rounding() const { return kRounding * leaf_loss_ + kTiny; }

  // Searches, from `warm_start` where it is not null, and checks the answer and all that was
  // reported on the way.
  OptimalTree Check(const Spec& spec, ThreadPool& pool, const Tree* warm_start = nullptr) const {
    double bound = -std::numeric_limits<double>::infinity();
    double incumbent = std::numeric_limits<double>::infinity();
    SearchHooks hooks;
    hooks.report = [&](const SearchProgress& progress, const Tree* better) {
      EXPECT_GE(progress.lower_bound, bound) << Text(spec);
      EXPECT_LE(progress.incumbent, incumbent) << Text(spec);
      EXPECT_LE(progress.lower_bound, expected_ + Rounding()) << Text(spec);
      bound = progress.lower_bound;
      incumbent = progress.incumbent;
      if (better != nullptr) CheckTree(spec, *better, progress.incumbent);
    };
    const absl::StatusOr<OptimalTree> found =
        FindOptimalTree(input_, spec, warm_start, pool, hooks);
    EXPECT_TRUE(found.ok()) << found.status() << Text(spec);
    if (!found.ok()) return OptimalTree();
    EXPECT_EQ(found->status, v1::QuantBnbReport::STATUS_OPTIMAL) << Text(spec);
    const double loss = TreeLoss(input_, spec, found->tree);
    EXPECT_TRUE(whole_ ? loss == expected_ : NearlyEqual(loss, expected_, leaf_loss_))
        << loss << " for " << expected_ << Text(spec);
    EXPECT_LE(found->progress.gap(), found->tolerance * (1 + 1e-6)) << Text(spec);
    EXPECT_TRUE(whole_ || found->tolerance <= 1.001e-9 * leaf_loss_ + kTiny) << Text(spec);
    EXPECT_TRUE(!whole_ || found->tolerance == 0) << Text(spec);
    CheckTree(spec, found->tree, found->progress.incumbent);
    return *found;
  }

  std::string Text(const Spec& spec) const {
    return absl::StrCat("\nseed ", seed_, ", ", random_.Description(), "searched with ",
                        spec.ShortDebugString());
  }

 private:
  static RandomCase MakeCase(uint64_t seed, int depth) {
    RandomCase random = MakeRandomCase(seed);
    if (depth > 0) random.spec.set_depth(depth);
    return random;
  }

  void CheckTree(const Spec& spec, const Tree& tree, double loss) const {
    EXPECT_LE(tree.depth(), spec.depth()) << Text(spec);
    EXPECT_TRUE(NearlyEqual(reference_.LossOf(tree), loss, leaf_loss_))
        << loss << " for " << reference_.LossOf(tree) << Text(spec);
  }

  // Whether losses are whole numbers.
  static bool IsWhole(const RandomCase& random) {
    const auto whole = [](double value) { return value == std::floor(value); };
    return !random.classes.empty() && random.costs.empty() &&
           std::all_of(random.weights.begin(), random.weights.end(), whole) &&
           whole(random.spec.split_penalty());
  }

  const RandomCase random_;
  const OptimalTreeInput input_;
  BruteForce reference_;
  const double expected_;
  const double leaf_loss_;
  const bool whole_;
  const uint64_t seed_;
};

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
    for (const Spec::Bound bound : kBounds) {
      Spec spec = solved.spec();
      spec.set_bound(bound);
      const OptimalTree found = solved.Check(spec, one);
      for (ThreadPool* pool : {&two, &eight}) {
        const OptimalTree other = solved.Check(spec, *pool);
        EXPECT_TRUE(other.tree == found.tree) << solved.Text(spec);
        EXPECT_EQ(other.progress.incumbent, found.progress.incumbent) << solved.Text(spec);
        EXPECT_EQ(other.progress.lower_bound, found.progress.lower_bound) << solved.Text(spec);
        EXPECT_EQ(other.progress.counters.evaluated(), found.progress.counters.evaluated())
            << solved.Text(spec);
      }
    }
  });
}

TEST_P(RandomCasesTest, EveryPruningRuleCanBeLeftOut) {
  ThreadPool pool(1);
  ForEachCase([&](const Solved& solved) {
    for (const Spec::PruningRule rule : kRules) {
      for (const Spec::Bound bound : {kBounds[0], kBounds[1 + static_cast<size_t>(rule) % 3]}) {
        Spec spec = solved.spec();
        spec.set_bound(bound);
        spec.add_disabled_rules(rule);
        solved.Check(spec, pool);
      }
    }
    for (const Spec::Bound bound : {Spec::BOUND_POINTWISE, Spec::BOUND_W0}) {
      Spec spec = solved.spec();
      spec.set_bound(bound);
      for (const Spec::PruningRule rule : kRules) spec.add_disabled_rules(rule);
      solved.Check(spec, pool);
    }
  });
}

TEST_P(RandomCasesTest, UndeterminedSearchesFindAnOptimumToo) {
  ThreadPool eight(8);
  ForEachCase([&](const Solved& solved) {
    Spec spec = solved.spec();
    spec.set_deterministic(false);
    for (const Spec::Bound bound : {Spec::BOUND_POINTWISE, Spec::BOUND_W0}) {
      spec.set_bound(bound);
      solved.Check(spec, eight);
    }
  });
}

TEST_P(RandomCasesTest, AnOptimalTreeToStartFromStays) {
  ThreadPool pool(1);
  ForEachCase([&](const Solved& solved) {
    for (const Spec::Bound bound : kBounds) {
      Spec spec = solved.spec();
      spec.set_bound(bound);
      const OptimalTree found = solved.Check(spec, pool);
      const OptimalTree again = solved.Check(spec, pool, &found.tree);
      EXPECT_LE(again.progress.incumbent, found.progress.incumbent + solved.Rounding())
          << solved.Text(spec);
    }
  });
}

TEST_P(RandomCasesTest, FourLevelsOfSmallTables) {
  constexpr size_t kMostRows = 10;
  ThreadPool pool(2);
  for (uint64_t i = 0; i < kCasesPerGroup && !HasFailure(); ++i) {
    const uint64_t seed = GetParam() * kCasesPerGroup + i;
    if (MakeRandomCase(seed).rows.size() > kMostRows) continue;
    const Solved solved(seed, 4);
    solved.Check(solved.spec(), pool);
  }
}

INSTANTIATE_TEST_SUITE_P(Groups, RandomCasesTest, testing::Range(uint64_t{0}, kGroups));

}  // namespace
}  // namespace trainyard
