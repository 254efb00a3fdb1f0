#include <algorithm>
#include <cmath>

#include "core/trees/forest_sampling.h"
#include "core/trees/sampled_tree.h"
#include "tests/core/trees/brute_force_cart.h"
#include "tests/core/trees/forest_test_data.h"

namespace trainyard {
namespace {

using Cart = v1::CartOptions;
using Options = v1::ForestOptions;

// Reference: brute_force_cart.h, given the rows that each tree of a forest drew.
void ExpectTreesAreRight(const RandomShape& shape, Cart cart, Options::Kind kind, RightSplit right,
                         int count) {
  for (int i = 0; i < count && !testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE(testing::Message() << "set " << i);
    RandomShape own = shape;
    own.rows = 2 + (static_cast<size_t>(i) * 7) % shape.rows;
    Sorted sorted(MakeRandomSet(own, static_cast<uint64_t>(i) + 1));
    Options options = SmallForest(2, kind);
    const bool bootstrap = i % 2 == 0;
    options.set_bootstrap(bootstrap);
    const auto forest = sorted.Fit(cart, options, 5);
    ASSERT_TRUE(forest.ok()) << forest.status();
    const ForestSampler sampler(sorted.set.target(), sorted.set.weights, sorted.rows, options);
    for (uint64_t t = 0; t < 2; ++t) {
      TrainingSet drawn = sorted.set;
      Rng rng(5, t);
      std::vector<uint32_t> counts;
      sampler.DrawCounts(rng, counts);
      sampler.WeightRows(counts, drawn.weights);
      drawn.weights.resize(drawn.rows, 0);
      ExpectIsCart(forest->trees[t], drawn, cart, right);
    }
  }
}

TEST(ForestTreeTest, SplitsAreTheBestOfAllFeatures) {
  const Cart all = WithFeatures(Cart::MAX_FEATURES_ALL);
  const auto random_forest = Options::KIND_RANDOM_FOREST;
  for (const int distinct : {0, 5}) {
    RandomShape shape = {.rows = 80, .missing_share = 0.1, .distinct_values = distinct};
    ExpectTreesAreRight(shape, all, random_forest, RightSplit::kAnyBest, 60);
    shape.outputs = 3;
    ExpectTreesAreRight(shape, all, random_forest, RightSplit::kAnyBest, 30);
    shape.classification = true;
    ExpectTreesAreRight(shape, all, random_forest, RightSplit::kAnyBest, 60);
    Cart entropy = all;
    entropy.set_criterion(Cart::CRITERION_ENTROPY);
    shape.outputs = 2;
    shape.weighted = true;
    ExpectTreesAreRight(shape, entropy, random_forest, RightSplit::kAnyBest, 60);
  }
  const RandomShape categories = {.rows = 40, .categorical_features = 2, .missing_share = 0.1};
  ExpectTreesAreRight(categories, all, random_forest, RightSplit::kAnyBest, 60);
}

TEST(ForestTreeTest, SplitsAreTheBestOfTheDrawnFeature) {
  Cart cart = WithFeatures(Cart::MAX_FEATURES_COUNT, 1);
  const RandomShape shape = {.rows = 80, .weighted = true, .missing_share = 0.1};
  ExpectTreesAreRight(shape, cart, Options::KIND_RANDOM_FOREST, RightSplit::kBestOfItsFeature, 60);
  cart.set_min_samples_leaf(3);
  cart.set_max_depth(4);
  ExpectTreesAreRight(shape, cart, Options::KIND_RANDOM_FOREST, RightSplit::kBestOfItsFeature, 60);
}

TEST(ForestTreeTest, BestFirstTreesAreCart) {
  Cart cart = WithFeatures(Cart::MAX_FEATURES_ALL);
  cart.set_max_leaf_nodes(6);
  ExpectTreesAreRight({.rows = 80}, cart, Options::KIND_RANDOM_FOREST, RightSplit::kAnyBest, 60);
}

TEST(ForestTreeTest, RandomCutsKeepToTheNode) {
  const Cart cart = WithFeatures(Cart::MAX_FEATURES_COUNT, 2);
  const auto extra_trees = Options::KIND_EXTRA_TREES;
  RandomShape shape = {.rows = 60, .weighted = true, .missing_share = 0.1};
  ExpectTreesAreRight(shape, cart, extra_trees, RightSplit::kAny, 60);
  shape.distinct_values = 4;
  ExpectTreesAreRight(shape, cart, extra_trees, RightSplit::kAny, 60);
  shape.categorical_features = 2;
  shape.numeric_features = 1;
  shape.rows = 40;
  ExpectTreesAreRight(shape, cart, extra_trees, RightSplit::kAny, 60);
}

// Kolmogorov and Smirnov's distance of 2000 thresholds from the uniform distribution on [-3, 5):
// below 1.95 / sqrt(2000) with probability 0.999.
TEST(ForestTreeTest, RandomCutsAreUniform) {
  TrainingSet set;
  set.rows = 4;
  set.AddNumbers({-3, -2.9, 4.8, 5});
  set.values = {1, 2, 4, 8};
  Sorted sorted(set);
  Cart stump = DefaultCart();
  stump.set_max_depth(1);
  const auto forest = sorted.Fit(stump, SmallForest(2000, Options::KIND_EXTRA_TREES), 3);
  ASSERT_TRUE(forest.ok());
  std::vector<double> thresholds;
  for (const Tree& tree : forest->trees) thresholds.push_back(tree.threshold[0]);
  std::sort(thresholds.begin(), thresholds.end());
  double distance = 0;
  for (size_t i = 0; i < thresholds.size(); ++i) {
    const double expected = (thresholds[i] + 3) / 8;
    EXPECT_GE(expected, 0);
    EXPECT_LT(expected, 1);
    distance = std::max(distance, std::abs((static_cast<double>(i) + 0.5) / 2000 - expected));
  }
  EXPECT_LT(distance, 1.95 / std::sqrt(2000));
}

// Counts of n draws from n rows: their sum, and the shares of rows drawn 0, 1, 2 … times, which are
// Poisson with mean 1 up to 1/n; chi-square with 5 degrees of freedom, 0.999. The counts of one
// tree are dependent (their sum is fixed), which only makes the statistic smaller.
TEST(ForestSamplerTest, DrawsWithReplacement) {
  const std::vector<double> targets(20000, 0);
  std::vector<uint32_t> rows(20000);
  std::iota(rows.begin(), rows.end(), uint32_t{0});
  Options options = SmallForest(1);
  const ForestSampler sampler(TreeTarget::Regression(targets), {}, rows, options);
  Rng rng(1, 0);
  std::vector<uint32_t> counts;
  sampler.DrawCounts(rng, counts);
  EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), uint64_t{0}), 20000u);
  std::vector<double> times(6, 0);
  for (const uint32_t count : counts) ++times[std::min(count, 5u)];
  double expected_rest = 20000;
  double chi_square = 0;
  double probability = std::exp(-1.0);
  for (size_t k = 0; k < 6; ++k) {
    const double expected = k < 5 ? 20000 * probability : expected_rest;
    chi_square += (times[k] - expected) * (times[k] - expected) / expected;
    expected_rest -= expected;
    probability /= static_cast<double>(k + 1);
  }
  EXPECT_LT(chi_square, 20.5);
  options.set_max_samples(0.1);
  ForestSampler(TreeTarget::Regression(targets), {}, rows, options).DrawCounts(rng, counts);
  EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), uint64_t{0}), 2000u);
}

TEST(ForestSamplerTest, BalancesClasses) {
  const std::vector<int32_t> classes = {0, 0, 0, 1, 2, 2};
  const std::vector<double> weights = {1, 1, 2, 1, 3, 0};
  const std::vector<uint32_t> rows = {0, 1, 2, 3, 4, 5};
  const TreeTarget target = TreeTarget::Classification(classes, 4);
  Options options = SmallForest(1);
  options.set_class_weights(Options::CLASS_WEIGHTS_BALANCED);
  std::vector<double> balanced;
  ForestSampler(target, weights, rows, options)
      .WeightRows(std::vector<uint32_t>{1, 1, 1, 1, 1}, balanced);
  const double each = 8.0 / 3;  // the total weight over the three classes that occur
  const std::vector<double> expected = {each / 4, each / 4, each / 2, each, each};
  ASSERT_EQ(balanced.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_DOUBLE_EQ(balanced[i], expected[i]);
  options.set_class_weights(Options::CLASS_WEIGHTS_BALANCED_PER_TREE);
  ForestSampler(target, weights, rows, options)
      .WeightRows(std::vector<uint32_t>{3, 0, 0, 2, 0}, balanced);
  EXPECT_EQ(balanced, (std::vector<double>{2.5, 0, 0, 2.5, 0}));
}

TEST(SampledTreeTest, ResolvesTheNumberOfFeatures) {
  EXPECT_EQ(FeaturesPerNode(DefaultCart(), 20), 20);
  EXPECT_EQ(FeaturesPerNode(WithFeatures(Cart::MAX_FEATURES_ALL), 20), 20);
  EXPECT_EQ(FeaturesPerNode(WithFeatures(Cart::MAX_FEATURES_SQRT), 20), 4);
  EXPECT_EQ(FeaturesPerNode(WithFeatures(Cart::MAX_FEATURES_LOG2), 20), 4);
  EXPECT_EQ(FeaturesPerNode(WithFeatures(Cart::MAX_FEATURES_THIRD), 20), 6);
  EXPECT_EQ(FeaturesPerNode(WithFeatures(Cart::MAX_FEATURES_THIRD), 2), 1);
  EXPECT_EQ(FeaturesPerNode(WithFeatures(Cart::MAX_FEATURES_COUNT, 7), 20), 7);
  EXPECT_EQ(FeaturesPerNode(WithFeatures(Cart::MAX_FEATURES_COUNT, 70), 20), 20);
  EXPECT_EQ(FeaturesPerNode(WithFeatures(Cart::MAX_FEATURES_SHARE, 0.5), 21), 10);
}

TEST(SampledTreeTest, OneTreeMayDrawFeaturesToo) {
  const TrainingSet set = MakeRandomSet({.rows = 200, .numeric_features = 6}, 3);
  Sorted sorted(set);
  const Cart cart = WithFeatures(Cart::MAX_FEATURES_COUNT, 2);
  std::vector<Tree> trees;
  for (const uint64_t seed : {1, 1, 2}) {
    trees.push_back(
        *GrowCart(sorted.features, set.target(), {}, sorted.rows, cart, sorted.pool, {}, seed));
    ExpectIsCart(trees.back(), set, cart, RightSplit::kBestOfItsFeature);
  }
  EXPECT_TRUE(trees[0] == trees[1]);
  EXPECT_FALSE(trees[0] == trees[2]);
}

}  // namespace
}  // namespace trainyard
