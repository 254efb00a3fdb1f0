#include "core/trees/cart.h"

#include <atomic>
#include <cmath>

#include "core/trees/split_search.h"
#include "tests/core/trees/brute_force_cart.h"
#include "tests/core/trees/tree_test_data.h"

namespace trainyard {
namespace {

using Cart = v1::CartOptions;

// Reference of all cases here: brute_force_cart.h, which tries every split of every node.
void ExpectCartOnRandomSets(const RandomShape& shape, const Cart& options, int count) {
  for (int i = 0; i < count && !testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE(testing::Message() << "set " << i);
    RandomShape own = shape;
    own.rows = 2 + (static_cast<size_t>(i) * 7) % shape.rows;
    const TrainingSet set = MakeRandomSet(own, static_cast<uint64_t>(i) + 1);
    ExpectIsCart(Grow(set, options), set, options);
  }
}

Cart WithCriterion(Cart::Criterion criterion) {
  Cart options = DefaultCart();
  options.set_criterion(criterion);
  return options;
}

TEST(CartTest, FindsTheBestSplitsOfContinuousFeatures) {
  ExpectCartOnRandomSets({.rows = 40}, WithCriterion(Cart::CRITERION_SQUARED_ERROR), 300);
  ExpectCartOnRandomSets({.rows = 40, .outputs = 3}, WithCriterion(Cart::CRITERION_SQUARED_ERROR),
                         200);
}

TEST(CartTest, FindsTheBestSplitsAmongTies) {
  ExpectCartOnRandomSets({.rows = 40, .distinct_values = 4, .distinct_targets = 3},
                         WithCriterion(Cart::CRITERION_SQUARED_ERROR), 300);
  for (const int classes : {2, 4}) {
    const RandomShape shape = {
        .rows = 40, .outputs = classes, .classification = true, .distinct_values = 4};
    ExpectCartOnRandomSets(shape, WithCriterion(Cart::CRITERION_GINI), 300);
    ExpectCartOnRandomSets(shape, WithCriterion(Cart::CRITERION_ENTROPY), 300);
  }
}

TEST(CartTest, CountsRowsByTheirWeights) {
  ExpectCartOnRandomSets({.rows = 40, .weighted = true, .distinct_values = 6},
                         WithCriterion(Cart::CRITERION_SQUARED_ERROR), 300);
  for (const int classes : {2, 3}) {
    const RandomShape shape = {.rows = 40,
                               .outputs = classes,
                               .classification = true,
                               .weighted = true,
                               .distinct_values = 6};
    ExpectCartOnRandomSets(shape, WithCriterion(Cart::CRITERION_GINI), 200);
    ExpectCartOnRandomSets(shape, WithCriterion(Cart::CRITERION_ENTROPY), 200);
  }
}

TEST(CartTest, LearnsWhereMissingValuesGo) {
  for (const bool weighted : {false, true}) {
    ExpectCartOnRandomSets({.rows = 30,
                            .weighted = weighted,
                            .missing_share = 0.3,
                            .distinct_values = 5,
                            .distinct_targets = 4},
                           WithCriterion(Cart::CRITERION_SQUARED_ERROR), 300);
    ExpectCartOnRandomSets({.rows = 30,
                            .outputs = 3,
                            .classification = true,
                            .weighted = weighted,
                            .missing_share = 0.3,
                            .distinct_values = 5},
                           WithCriterion(Cart::CRITERION_GINI), 300);
  }
}

TEST(CartTest, FindsTheBestSetOfLevels) {
  for (const double missing_share : {0.0, 0.2}) {
    RandomShape shape = {.rows = 30,
                         .numeric_features = 1,
                         .categorical_features = 2,
                         .levels = 5,
                         .missing_share = missing_share};
    ExpectCartOnRandomSets(shape, WithCriterion(Cart::CRITERION_SQUARED_ERROR), 150);
    shape.classification = true;
    shape.outputs = 2;
    ExpectCartOnRandomSets(shape, WithCriterion(Cart::CRITERION_GINI), 150);
    ExpectCartOnRandomSets(shape, WithCriterion(Cart::CRITERION_ENTROPY), 150);
  }
}

TEST(CartTest, FindsTheBestLevelAgainstTheRest) {
  for (const double missing_share : {0.0, 0.2}) {
    RandomShape shape = {.rows = 30,
                         .numeric_features = 1,
                         .categorical_features = 2,
                         .levels = 4,
                         .outputs = 2,
                         .missing_share = missing_share};
    ExpectCartOnRandomSets(shape, WithCriterion(Cart::CRITERION_SQUARED_ERROR), 150);
    shape.classification = true;
    shape.outputs = 3;
    ExpectCartOnRandomSets(shape, WithCriterion(Cart::CRITERION_GINI), 150);
  }
}

TEST(CartTest, KeepsToItsLimits) {
  const RandomShape shape = {
      .rows = 50, .weighted = true, .missing_share = 0.1, .distinct_values = 12};
  Cart options = WithCriterion(Cart::CRITERION_SQUARED_ERROR);
  options.set_min_samples_leaf(4);
  ExpectCartOnRandomSets(shape, options, 150);
  options.set_min_samples_split(12);
  ExpectCartOnRandomSets(shape, options, 150);
  options.set_max_depth(2);
  ExpectCartOnRandomSets(shape, options, 150);
  options.set_min_weight_fraction_leaf(0.15);
  ExpectCartOnRandomSets(shape, options, 150);
  options.set_min_impurity_decrease(0.4);
  ExpectCartOnRandomSets(shape, options, 150);
}

TEST(CartTest, GrowsTheBestNodeFirst) {
  for (const int leaves : {1, 2, 3, 7, 20}) {
    Cart options = WithCriterion(Cart::CRITERION_SQUARED_ERROR);
    options.set_max_leaf_nodes(leaves);
    ExpectCartOnRandomSets({.rows = 60}, options, 60);
    options.set_criterion(Cart::CRITERION_GINI);
    ExpectCartOnRandomSets({.rows = 60, .outputs = 3, .classification = true, .weighted = true},
                           options, 60);
  }
}

TEST(CartTest, MaximisesTheGainRatioAmongSplitsOfAverageGain) {
  for (const int classes : {2, 3}) {
    for (const double missing_share : {0.0, 0.1}) {
      const RandomShape shape = {.rows = 40,
                                 .numeric_features = 4,
                                 .outputs = classes,
                                 .classification = true,
                                 .missing_share = missing_share,
                                 .distinct_values = 12};
      ExpectCartOnRandomSets(shape, WithCriterion(Cart::CRITERION_GAIN_RATIO), 200);
    }
  }
}

TEST(CartTest, ReducesPoissonDeviance) {
  for (const int outputs : {1, 2}) {
    for (const bool weighted : {false, true}) {
      RandomShape shape = {.rows = 40,
                           .outputs = outputs,
                           .weighted = weighted,
                           .missing_share = 0.1,
                           .distinct_values = 7,
                           .distinct_targets = 5};
      ExpectCartOnRandomSets(shape, WithCriterion(Cart::CRITERION_POISSON), 200);
      // Without targets of 0, which forbid some sets of levels: then the best is a cut.
      shape.categorical_features = 1;
      shape.target_offset = 0.5;
      ExpectCartOnRandomSets(shape, WithCriterion(Cart::CRITERION_POISSON), 100);
    }
  }
}

TEST(CartTest, SplitsWithoutGainWhereItLeadsToGain) {
  TrainingSet set;  // exclusive or
  set.rows = 4;
  set.AddNumbers({0, 0, 1, 1});
  set.AddNumbers({0, 1, 0, 1});
  set.values = {0, 1, 1, 0};
  const Tree tree = Grow(set, DefaultCart());
  EXPECT_EQ(tree.leaf_count(), 4);
  for (int64_t row = 0; row < 4; ++row) {
    EXPECT_EQ(tree.ValueOf(FindLeaf(tree, set.columns(), row))[0],
              set.values[static_cast<size_t>(row)]);
  }
}

TEST(CartTest, DoesNotDependOnTheNumberOfThreads) {
  for (const bool best_first : {false, true}) {
    for (const bool classification : {false, true}) {
      const TrainingSet set = MakeRandomSet({.rows = 20000,
                                             .numeric_features = 9,
                                             .categorical_features = 2,
                                             .levels = 6,
                                             .outputs = classification ? 3 : 1,
                                             .classification = classification,
                                             .weighted = true,
                                             .missing_share = 0.05},
                                            7);
      Cart options = DefaultCart();
      options.set_max_leaf_nodes(best_first ? 500 : 0);
      const Tree alone = Grow(set, options, 1);
      EXPECT_GT(alone.leaf_count(), 400);
      for (const int threads : {2, 16}) EXPECT_TRUE(alone == Grow(set, options, threads));
    }
  }
}

TEST(CartTest, ASubsetGivesTheTreeOfItsRowsAlone) {
  const TrainingSet set = MakeRandomSet({.rows = 300, .missing_share = 0.1}, 3);
  ThreadPool pool(1);
  std::vector<int64_t> table_rows(set.rows);
  std::iota(table_rows.begin(), table_rows.end(), int64_t{0});
  const auto features = PresortedFeatures::Build(set.columns(), table_rows, pool, {});
  ASSERT_TRUE(features.ok());
  std::vector<uint32_t> rows;
  std::vector<double> weights(set.rows, 0);
  for (uint32_t row = 1; row < set.rows; row += 3) {
    rows.push_back(row);
    weights[row] = 1;
  }
  const auto subset = GrowCart(*features, set.target(), {}, rows, DefaultCart(), pool, {});
  ASSERT_TRUE(subset.ok());
  TrainingSet weighted = set;
  weighted.weights = weights;
  EXPECT_TRUE(*subset == Grow(weighted, DefaultCart()));
}

TEST(CartTest, RefusesRowsWithoutWeight) {
  TrainingSet set = MakeRandomSet({.rows = 5}, 3);
  const std::vector<double> weights(5, 0);
  ThreadPool pool(1);
  const std::vector<int64_t> table_rows = {0, 1, 2, 3, 4};
  const std::vector<uint32_t> rows = {0, 1, 2, 3, 4};
  const auto features = PresortedFeatures::Build(set.columns(), table_rows, pool, {});
  const auto tree = GrowCart(*features, set.target(), weights, rows, DefaultCart(), pool, {});
  EXPECT_EQ(tree.status().code(), absl::StatusCode::kInvalidArgument);
}

// Whenever the owner says stop, growth ends with the owner's status, and nothing else happens.
TEST(CartTest, StopsWheneverItIsTold) {
  const TrainingSet set = MakeRandomSet(
      {.rows = 20000, .numeric_features = 8, .outputs = 3, .classification = true}, 11);
  std::vector<int64_t> table_rows(set.rows);
  std::iota(table_rows.begin(), table_rows.end(), int64_t{0});
  std::vector<uint32_t> rows(set.rows);
  std::iota(rows.begin(), rows.end(), uint32_t{0});
  for (const int threads : {1, 4}) {
    for (const int leaves : {0, 300}) {
      ThreadPool pool(threads);
      const auto features = PresortedFeatures::Build(set.columns(), table_rows, pool, {});
      Cart options = WithCriterion(Cart::CRITERION_ENTROPY);
      options.set_max_leaf_nodes(leaves);
      for (int stop_at = 0; stop_at < 60; stop_at += 3) {
        std::atomic<int> asked = 0;
        GrowthHooks hooks;
        hooks.check = [&] {
          return asked++ >= stop_at ? absl::CancelledError("told") : absl::OkStatus();
        };
        const auto tree = GrowCart(*features, set.target(), {}, rows, options, pool, hooks);
        EXPECT_EQ(tree.status().code(), absl::StatusCode::kCancelled);
        EXPECT_EQ(tree.status().message(), "told");
      }
    }
  }
}

TEST(CartTest, ReportsRisingProgressToTheEnd) {
  const TrainingSet set = MakeRandomSet({.rows = 5000}, 2);
  ThreadPool pool(2);
  std::vector<int64_t> table_rows(set.rows);
  std::iota(table_rows.begin(), table_rows.end(), int64_t{0});
  std::vector<uint32_t> rows(set.rows);
  std::iota(rows.begin(), rows.end(), uint32_t{0});
  const auto features = PresortedFeatures::Build(set.columns(), table_rows, pool, {});
  std::vector<double> fractions;
  GrowthHooks hooks;
  hooks.progress = [&](double fraction) { fractions.push_back(fraction); };
  ASSERT_TRUE(GrowCart(*features, set.target(), {}, rows, DefaultCart(), pool, hooks).ok());
  EXPECT_GT(fractions.size(), 50u);
  EXPECT_LT(fractions.size(), 150u);
  EXPECT_TRUE(std::is_sorted(fractions.begin(), fractions.end()));
  EXPECT_EQ(fractions.back(), 1.0);
}

TEST(CartTest, SurvivesExtremeNumbers) {
  TrainingSet set;
  set.rows = 6;
  set.AddNumbers({-HUGE_VAL, -1e308, 0, 5e-324, 1e308, HUGE_VAL});
  set.values = {-1e145, 1e145, 1e132, 0, 3e144, -2e144};
  const Tree tree = Grow(set, DefaultCart());
  EXPECT_EQ(tree.leaf_count(), 6);
  for (int64_t row = 0; row < 6; ++row) {
    EXPECT_EQ(tree.ValueOf(FindLeaf(tree, set.columns(), row))[0],
              set.values[static_cast<size_t>(row)]);
  }
}

TEST(CartTest, MakesALeafOfConstantFeaturesOrTargets) {
  TrainingSet set;
  set.rows = 3;
  set.AddNumbers({2, 2, 2});
  set.AddNumbers({kMissing, kMissing, kMissing});
  set.values = {1, 2, 6};
  EXPECT_EQ(Grow(set, DefaultCart()).node_count(), 1);
  set.AddNumbers({1, 2, 3});
  EXPECT_EQ(Grow(set, DefaultCart()).leaf_count(), 3);
  set.values = {0.1, 0.1, 0.1};
  const Tree tree = Grow(set, DefaultCart());
  EXPECT_EQ(tree.node_count(), 1);
  EXPECT_EQ(tree.impurity[0], 0);
}

TEST(MidpointThresholdTest, NeverReachesTheUpperValue) {
  const double one_up = std::nextafter(1.0, 2.0);
  EXPECT_EQ(MidpointThreshold(1.0, one_up), 1.0);
  EXPECT_EQ(MidpointThreshold(one_up, std::nextafter(one_up, 2.0)), one_up);
  EXPECT_EQ(MidpointThreshold(1e308, 1.6e308), 1.3e308);
  EXPECT_EQ(MidpointThreshold(-HUGE_VAL, HUGE_VAL), -HUGE_VAL);
  EXPECT_EQ(MidpointThreshold(3, HUGE_VAL), 3);
  EXPECT_EQ(MidpointThreshold(0, 5e-324), 0);
  EXPECT_EQ(MidpointThreshold(-1, 2), 0.5);
}

}  // namespace
}  // namespace trainyard
