#include "core/trees/forest.h"

#include <atomic>
#include <cmath>
#include <map>

#include "core/trees/forest_sampling.h"
#include "core/trees/shrinkage.h"
#include "tests/core/trees/forest_test_data.h"

namespace trainyard {
namespace {

using Cart = v1::CartOptions;
using Options = v1::ForestOptions;
using Spec = v1::HierarchicalShrinkageSpec;

void ExpectSameForest(const Forest& a, const Forest& b) {
  ASSERT_EQ(a.trees.size(), b.trees.size());
  for (size_t t = 0; t < a.trees.size(); ++t) EXPECT_TRUE(a.trees[t] == b.trees[t]) << t;
  EXPECT_EQ(a.oob.tree_counts, b.oob.tree_counts);
  ASSERT_EQ(a.oob.values.size(), b.oob.values.size());
  for (size_t i = 0; i < a.oob.values.size(); ++i) {
    if (std::isnan(a.oob.values[i]) && std::isnan(b.oob.values[i])) continue;
    EXPECT_EQ(a.oob.values[i], b.oob.values[i]);
  }
}

TEST(ForestTest, DoesNotDependOnTheNumberOfThreads) {
  for (const bool classification : {false, true}) {
    for (const Options::Kind kind : {Options::KIND_RANDOM_FOREST, Options::KIND_EXTRA_TREES}) {
      for (const int leaves : {0, 40}) {
        const TrainingSet set = MixedSet(classification, 1500);
        Options options = SmallForest(12, kind);
        options.set_bootstrap(true);
        Cart cart = DefaultCart();
        cart.set_max_leaf_nodes(leaves);
        const auto alone = Sorted(set, 1).Fit(cart, options, 9);
        ASSERT_TRUE(alone.ok());
        EXPECT_GT(alone->trees[0].leaf_count(), 30);
        EXPECT_FALSE(alone->trees[0] == alone->trees[1]);
        for (const int threads : {2, 16}) {
          const auto shared = Sorted(set, threads).Fit(cart, options, 9);
          ASSERT_TRUE(shared.ok());
          ExpectSameForest(*alone, *shared);
        }
      }
    }
  }
}

TEST(ForestTest, GoesOnFromAnyTreeBitForBit) {
  Sorted sorted(MixedSet(true, 300), 2);
  const Options options = SmallForest(6);
  std::vector<Tree> told;
  ForestHooks hooks;
  hooks.tree_done = [&](int number, const Tree& tree) {
    EXPECT_EQ(number, static_cast<int>(told.size()));
    told.push_back(tree);
    return absl::OkStatus();
  };
  const auto whole = sorted.Fit(DefaultCart(), options, 4, {}, hooks);
  ASSERT_TRUE(whole.ok());
  ASSERT_EQ(told.size(), 6u);
  for (size_t first = 0; first <= 6; ++first) {
    EXPECT_TRUE(told.size() == 6 && (first == 6 || told[first] == whole->trees[first]));
    std::vector<int> numbers;
    ForestHooks own;
    own.tree_done = [&](int number, const Tree&) {
      numbers.push_back(number);
      return absl::OkStatus();
    };
    const auto rest = sorted.Fit(DefaultCart(), options, 4,
                                 {told.begin(), told.begin() + static_cast<ptrdiff_t>(first)}, own);
    ASSERT_TRUE(rest.ok());
    ExpectSameForest(*whole, *rest);
    ASSERT_EQ(numbers.size(), 6 - first);
    for (size_t i = 0; i < numbers.size(); ++i) EXPECT_EQ(numbers[i], static_cast<int>(first + i));
  }
}

TEST(ForestTest, ARefusedTreeEndsTheGrowth) {
  Sorted sorted(MixedSet(false, 300), 2);
  ForestHooks hooks;
  hooks.tree_done = [](int number, const Tree&) {
    return number == 3 ? absl::UnavailableError("disk") : absl::OkStatus();
  };
  const auto forest = sorted.Fit(DefaultCart(), SmallForest(50), 4, {}, hooks);
  EXPECT_EQ(forest.status().code(), absl::StatusCode::kUnavailable);
}

// Reference: the trees applied one by one to the rows that they did not draw.
TEST(ForestTest, OutOfBagValuesAreThoseOfTheTreesWithoutTheRow) {
  for (const bool classification : {false, true}) {
    for (const Options::Kind kind : {Options::KIND_RANDOM_FOREST, Options::KIND_EXTRA_TREES}) {
      Sorted sorted(MixedSet(classification, 200), 2);
      Options options = SmallForest(7, kind);
      options.set_bootstrap(true);
      options.set_max_samples(0.8);
      const auto forest = sorted.Fit(DefaultCart(), options, 21);
      ASSERT_TRUE(forest.ok());
      const ForestSampler sampler(sorted.set.target(), sorted.set.weights, sorted.rows, options);
      const std::vector<FeatureColumn> columns = sorted.set.columns();
      const size_t outputs = static_cast<size_t>(sorted.set.outputs);
      const OobRequest request = Strengths();
      std::vector<double> sums(200 * 3 * outputs, 0);
      std::vector<int32_t> counts_of_trees(200, 0);
      for (uint64_t t = 0; t < 7; ++t) {
        Rng rng(21, t);
        std::vector<uint32_t> counts;
        sampler.DrawCounts(rng, counts);
        counts.resize(200, 0);
        for (size_t j = 0; j < 3; ++j) {
          Tree tree = forest->trees[t];
          Shrink(request.scheme, request.lambdas[j], tree);
          for (size_t row = 0; row < 200; ++row) {
            if (counts[row] > 0) continue;
            counts_of_trees[row] += j == 0 ? 1 : 0;
            const auto value = tree.ValueOf(FindLeaf(tree, columns, static_cast<int64_t>(row)));
            for (size_t k = 0; k < outputs; ++k) sums[(row * 3 + j) * outputs + k] += value[k];
          }
        }
      }
      EXPECT_EQ(forest->oob.tree_counts, counts_of_trees);
      for (size_t i = 0; i < sums.size(); ++i) {
        const int count = counts_of_trees[i / (3 * outputs)];
        if (count == 0) {
          EXPECT_TRUE(std::isnan(forest->oob.values[i]));
        } else {
          EXPECT_NEAR(forest->oob.values[i], sums[i] / count, 1e-12);
        }
      }
    }
  }
}

TEST(ForestTest, OutOfBagScoresAreWeightedMeans) {
  ForestOob oob;
  oob.lambdas = {0, 5};
  oob.outputs = 1;
  oob.values = {1, 2, 3, 4, NAN, NAN};
  oob.tree_counts = {1, 2, 0};
  const std::vector<double> targets = {1, 5, 100};
  const std::vector<double> weights = {1, 3, 1};
  const std::vector<uint32_t> rows = {0, 1, 2};
  auto scores = ScoreOob(oob, TreeTarget::Regression(targets), weights, rows);
  ASSERT_EQ(scores.size(), 2u);
  EXPECT_DOUBLE_EQ(scores[0].loss, 3.0 * 4 / 4);
  EXPECT_DOUBLE_EQ(scores[1].loss, (1.0 + 3) / 4);
  EXPECT_DOUBLE_EQ(scores[0].loss_error, std::sqrt(9.0 + 9.0) / 4);  // losses 0 and 4, mean 3
  EXPECT_DOUBLE_EQ(scores[1].loss_error, 0);
  EXPECT_DOUBLE_EQ(scores[0].score, 1 - 12.0 / (9 + 3));  // mean 4: spread 9 + 3
  EXPECT_EQ(scores[1].lambda, 5);
  oob.outputs = 2;
  oob.lambdas = {0};
  oob.values = {0.75, 0.25, 0, 1, NAN, NAN};
  const std::vector<int32_t> classes = {0, 0, 1};
  scores = ScoreOob(oob, TreeTarget::Classification(classes, 2), {}, rows);
  EXPECT_DOUBLE_EQ(scores[0].loss, -(std::log(0.75) + std::log(1e-15)) / 2);
  EXPECT_DOUBLE_EQ(scores[0].score, 0.5);
}

TEST(ForestTest, WeightsCountLikeRepeatedRows) {
  TrainingSet repeated = MakeRandomSet({.rows = 60}, 8);
  TrainingSet weighted = repeated;
  for (size_t row = 0; row < 60; ++row) {
    const int copies = 1 + static_cast<int>(row % 3);
    weighted.weights.push_back(copies);
    for (int c = 1; c < copies; ++c) {
      for (std::vector<double>& column : repeated.numbers) column.push_back(column[row]);
      repeated.values.push_back(repeated.values[row]);
    }
  }
  repeated.rows = repeated.values.size();
  for (const Options::Kind kind : {Options::KIND_RANDOM_FOREST, Options::KIND_EXTRA_TREES}) {
    Options options = SmallForest(5, kind);
    options.set_bootstrap(false);
    const auto a = Sorted(weighted).Fit(DefaultCart(), options, 2);
    const auto b = Sorted(repeated).Fit(DefaultCart(), options, 2);
    ASSERT_TRUE(a.ok() && b.ok());
    for (size_t t = 0; t < 5; ++t) {
      EXPECT_EQ(a->trees[t].feature, b->trees[t].feature);
      EXPECT_EQ(a->trees[t].threshold, b->trees[t].threshold);
      EXPECT_EQ(a->trees[t].weight, b->trees[t].weight);
      EXPECT_NE(a->trees[t].row_count, b->trees[t].row_count);
    }
  }
}

TEST(ForestTest, ConstantFeaturesCostNoSplit) {
  TrainingSet set = MakeRandomSet({.rows = 50, .numeric_features = 1}, 3);
  for (int f = 0; f < 20; ++f) set.AddNumbers(std::vector<double>(50, 7));
  const auto forest = Sorted(set).Fit(WithFeatures(Cart::MAX_FEATURES_COUNT, 1), SmallForest(5), 1);
  ASSERT_TRUE(forest.ok());
  for (const Tree& tree : forest->trees) EXPECT_GT(tree.leaf_count(), 20);
}

TEST(ForestTest, DrawsEveryFeatureEquallyOften) {
  const TrainingSet set = MakeRandomSet({.rows = 40, .numeric_features = 8}, 3);
  Cart stump = WithFeatures(Cart::MAX_FEATURES_COUNT, 1);
  stump.set_max_depth(1);
  const auto forest = Sorted(set).Fit(stump, SmallForest(4000), 1);
  ASSERT_TRUE(forest.ok());
  std::map<int32_t, double> counts;
  for (const Tree& tree : forest->trees) ++counts[tree.feature[0]];
  double chi_square = 0;
  for (int f = 0; f < 8; ++f) chi_square += (counts[f] - 500) * (counts[f] - 500) / 500;
  EXPECT_LT(chi_square, 24.3);  // 7 degrees of freedom, 0.999
}

TEST(ForestTest, StopsWheneverItIsTold) {
  for (const int threads : {1, 4}) {
    Sorted sorted(MixedSet(true, 3000), threads);
    for (int stop_at = 0; stop_at < 40; stop_at += 3) {
      std::atomic<int> asked = 0;
      ForestHooks hooks;
      hooks.check = [&] {
        return asked++ >= stop_at ? absl::CancelledError("told") : absl::OkStatus();
      };
      const auto forest = sorted.Fit(DefaultCart(), SmallForest(40), 4, {}, hooks);
      EXPECT_EQ(forest.status().code(), absl::StatusCode::kCancelled);
      EXPECT_EQ(forest.status().message(), "told");
    }
  }
}

TEST(ForestTest, ReportsRisingProgressToTheEnd) {
  Sorted sorted(MixedSet(true, 2000), 2);
  for (const int leaves : {0, 50}) {
    Cart cart = DefaultCart();
    cart.set_max_leaf_nodes(leaves);
    std::vector<double> fractions;
    ForestHooks hooks;
    hooks.progress = [&](double fraction) { fractions.push_back(fraction); };
    ASSERT_TRUE(sorted.Fit(cart, SmallForest(20), 4, {}, hooks).ok());
    EXPECT_GT(fractions.size(), 15u);
    EXPECT_LT(fractions.size(), 150u);
    EXPECT_TRUE(std::is_sorted(fractions.begin(), fractions.end()));
    EXPECT_EQ(fractions.back(), 1.0);
  }
}

TEST(ForestTest, RefusesRowsWithoutWeightAndNegativeCounts) {
  TrainingSet set = MakeRandomSet({.rows = 5}, 3);
  set.weights.assign(5, 0);
  EXPECT_EQ(Sorted(set).Fit(DefaultCart(), SmallForest(2), 1).status().code(),
            absl::StatusCode::kInvalidArgument);
  set.weights.clear();
  set.values[2] = -1;
  Cart poisson = DefaultCart();
  poisson.set_criterion(Cart::CRITERION_POISSON);
  const auto forest = Sorted(set).Fit(poisson, SmallForest(2), 1);
  EXPECT_EQ(forest.status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace trainyard
