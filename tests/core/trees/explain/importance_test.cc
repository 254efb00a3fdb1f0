// Importances and partial dependence against direct computation.
#include "core/trees/explain/importance.h"

#include <cmath>
#include <numeric>

#include "core/base/random.h"
#include "core/trees/explain/partial_dependence.h"
#include "core/trees/tree_predictor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/trees/explain/shap_reference.h"

namespace trainyard {
namespace {

ScoreFunction ScoreOf(const TreePredictor& predictor) {
  return [&predictor](std::span<const FeatureColumn> columns, int64_t begin,
                      std::span<double> scores) { predictor.PredictRaw(columns, begin, scores); };
}

// Minus the mean squared error against the targets of a set with one target.
QualityFunction QualityOn(const TrainingSet& set) {
  return [&set](std::span<const double> scores) {
    double sum = 0;
    for (size_t i = 0; i < set.rows; ++i) sum += std::pow(scores[i] - set.values[i], 2);
    return -sum / static_cast<double>(set.rows);
  };
}

TEST(ImpurityImportanceTest, SharesTheGainsOfTheSplits) {
  // Root on feature 1 gains 10 * 4 - 6 * 1 - 4 * 2 = 26, its left child on feature 0 gains 6.
  Tree tree;
  tree.feature = {1, 0, -1, -1, -1};
  tree.threshold = {0, 0, 0, 0, 0};
  tree.left = {1, 3, -1, -1, -1};
  tree.right = {2, 4, -1, -1, -1};
  tree.missing_left.assign(5, 0);
  tree.weight = {10, 6, 4, 3, 3};
  tree.impurity = {4, 1, 2, 0, 0};
  tree.value.assign(5, 0);
  TreeEnsemble ensemble;
  ensemble.trees = {tree};
  const std::vector<double> importance = ImpurityImportance(ensemble, 3);
  EXPECT_DOUBLE_EQ(importance[0], 6.0 / 32);
  EXPECT_DOUBLE_EQ(importance[1], 26.0 / 32);
  EXPECT_EQ(importance[2], 0);

  // A second tree of a hundredfold gain counts as much in a mean, a hundredfold in a sum.
  Tree other = tree;
  other.feature = {0, 1, -1, -1, -1};
  for (double& impurity : other.impurity) impurity *= 100;
  ensemble.trees = {tree, other};
  EXPECT_DOUBLE_EQ(ImpurityImportance(ensemble, 3)[0], 0.5);
  ensemble.combination = TreeCombination::kSum;
  EXPECT_DOUBLE_EQ(ImpurityImportance(ensemble, 3)[0], (6 + 2600) / (32.0 * 101));
}

TEST(ImpurityImportanceTest, IsZeroWithoutSplits) {
  TrainingSet set = MakeRandomSet({.rows = 5, .numeric_features = 2}, 9);
  set.values.assign(5, 3.0);
  EXPECT_EQ(ImpurityImportance(MakeForest(set, 2, 0, 1), 2), std::vector<double>(2, 0.0));
}

TEST(PermuteFeaturesTest, EqualsDirectComputation) {
  const TrainingSet set =
      MakeRandomSet({.rows = 150, .numeric_features = 2, .categorical_features = 2}, 3);
  const TreeEnsemble forest = MakeForest(set, 4, 5, 1);
  const TreePredictor predictor(forest);
  ThreadPool pool(1);
  StopToken stop({});
  const PermutationOptions options{.rows = 150, .repeats = 3, .seed = 42};
  const auto result =
      PermuteFeatures(set.columns(), options, ScoreOf(predictor), QualityOn(set), pool, stop);
  ASSERT_TRUE(result.ok());
  for (size_t feature = 0; feature < 4; ++feature) {
    std::vector<double> losses;
    for (size_t repeat = 0; repeat < 3; ++repeat) {
      std::vector<int64_t> order(150);
      std::iota(order.begin(), order.end(), int64_t{0});
      Rng(42, feature * 3 + repeat).Shuffle(std::span(order));
      TrainingSet shuffled = set;
      for (size_t i = 0; i < 150; ++i) {
        const size_t from = static_cast<size_t>(order[i]);
        if (set.level_counts[feature] > 0) {
          shuffled.codes[feature][i] = set.codes[feature][from];
        } else {
          shuffled.numbers[feature][i] = set.numbers[feature][from];
        }
      }
      double before = 0;
      double after = 0;
      for (int64_t i = 0; i < 150; ++i) {
        const double y = set.values[static_cast<size_t>(i)];
        before += std::pow(RawScore(forest, set.columns(), i, 0) - y, 2) / 150;
        after += std::pow(RawScore(forest, shuffled.columns(), i, 0) - y, 2) / 150;
      }
      EXPECT_NEAR(result->quality, -before, 1e-12);
      EXPECT_NEAR(result->losses[feature * 3 + repeat], after - before, 1e-12);
      losses.push_back(after - before);
    }
    const double mean = (losses[0] + losses[1] + losses[2]) / 3;
    double squares = 0;
    for (const double loss : losses) squares += (loss - mean) * (loss - mean);
    EXPECT_NEAR(result->mean[feature], mean, 1e-12);
    EXPECT_NEAR(result->deviation[feature], std::sqrt(squares / 2), 1e-12);
  }
}

TEST(PermuteFeaturesTest, DoesNotDependOnThreadsAndStopsWhenAsked) {
  const TrainingSet set = MakeRandomSet({.rows = 150, .numeric_features = 4}, 3);
  const TreePredictor predictor(MakeForest(set, 4, 5, 1));
  const auto run = [&](int threads, std::function<absl::Status()> check) {
    ThreadPool pool(threads);
    StopToken stop(std::move(check));
    return PermuteFeatures(set.columns(), {.rows = 150, .repeats = 4, .seed = 1},
                           ScoreOf(predictor), QualityOn(set), pool, stop);
  };
  EXPECT_EQ(run(1, {})->losses, run(5, {})->losses);
  EXPECT_EQ(run(2, [] { return absl::CancelledError("enough"); }).status(),
            absl::CancelledError("enough"));
}

TEST(ShapSummarizerTest, AveragesOverRows) {
  ShapSummarizer summarizer(1, 2);
  summarizer.Add(std::vector<double>{1, -4, -3, 2});
  summarizer.Add(std::vector<double>{5, 2});
  const ShapSummary summary = summarizer.Summary();
  EXPECT_EQ(summary.mean, (std::vector<double>{1, 0}));
  EXPECT_EQ(summary.mean_absolute, (std::vector<double>{3, 8.0 / 3}));
  EXPECT_EQ(summary.max_absolute, (std::vector<double>{5, 4}));
  EXPECT_EQ(ShapSummarizer(1, 1).Summary().mean_absolute, std::vector<double>{0});
}

TEST(FeatureGridTest, TakesDistinctValuesOrQuantiles) {
  const std::vector<double> few = {3, kMissing, 1, 3, 2, 1};
  EXPECT_EQ(FeatureGrid(FeatureColumn::Numeric(few), 6, 5), (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(FeatureGrid(FeatureColumn::Numeric(few), 2, 5), (std::vector<double>{3}));
  std::vector<double> many(101);
  for (size_t i = 0; i < many.size(); ++i) many[i] = static_cast<double>(100 - i);
  EXPECT_EQ(FeatureGrid(FeatureColumn::Numeric(many), 101, 5),
            (std::vector<double>{0, 25, 50, 75, 100}));
  EXPECT_THAT(
      FeatureGrid(FeatureColumn::Numeric(many), 101, 3, 0.05, 0.95),
      testing::ElementsAre(testing::DoubleEq(5), testing::DoubleEq(50), testing::DoubleEq(95)));
  const std::vector<int32_t> codes = {0, 0};
  EXPECT_EQ(FeatureGrid(FeatureColumn::Categorical(codes, 3), 2, 2),
            (std::vector<double>{0, 1, 2}));
  const std::vector<double> missing = {kMissing};
  EXPECT_TRUE(FeatureGrid(FeatureColumn::Numeric(missing), 1, 5).empty());
}

TEST(PartialDependenceTest, EqualsDirectAveraging) {
  const TrainingSet set = MakeRandomSet({.rows = 60,
                                         .numeric_features = 2,
                                         .categorical_features = 1,
                                         .outputs = 3,
                                         .classification = true,
                                         .missing_share = 0.1},
                                        3);
  const TreeEnsemble forest = MakeForest(set, 3, 0, 1);
  const TreePredictor predictor(forest);
  std::vector<double> weights(60);
  for (size_t i = 0; i < 60; ++i) weights[i] = static_cast<double>(i % 4);
  const std::vector<double> numbers = {-3, 0.5, kMissing};
  const std::vector<double> levels = {0, 1, 2, 3};
  const std::vector<GridAxis> axes = {{0, numbers}, {2, levels}};
  ThreadPool pool(3);
  StopToken stop({});
  const auto result = PartialDependence(
      set.columns(), axes, {.rows = 60, .outputs = 3, .weights = weights, .individual = true},
      ScoreOf(predictor), pool, stop);
  ASSERT_TRUE(result.ok());
  for (size_t point = 0; point < 12; ++point) {
    TrainingSet fixed = set;
    fixed.numbers[0].assign(60, numbers[point / 4]);
    fixed.codes[2].assign(60, static_cast<int32_t>(point % 4));
    for (size_t k = 0; k < 3; ++k) {
      double sum = 0;
      double total = 0;
      for (size_t row = 0; row < 60; ++row) {
        const double score =
            RawScore(forest, fixed.columns(), static_cast<int64_t>(row), static_cast<int>(k));
        EXPECT_NEAR(result->individual[(row * 12 + point) * 3 + k], score, 1e-12);
        sum += weights[row] * score;
        total += weights[row];
      }
      EXPECT_NEAR(result->mean[point * 3 + k], sum / total, 1e-12);
    }
  }
}

TEST(PartialDependenceTest, StopsWhenAsked) {
  const TrainingSet set = MakeRandomSet({.rows = 20, .numeric_features = 2}, 3);
  const TreePredictor predictor(MakeForest(set, 1, 0, 1));
  const std::vector<double> grid = {0, 1};
  const GridAxis axis{0, grid};
  ThreadPool pool(1);
  StopToken stop([] { return absl::CancelledError("enough"); });
  EXPECT_EQ(
      PartialDependence(set.columns(), {&axis, 1}, {.rows = 20}, ScoreOf(predictor), pool, stop)
          .status(),
      absl::CancelledError("enough"));
}

TEST(PathDependenceTest, EqualsThePathDependentGame) {
  TrainingSet set =
      MakeRandomSet({.rows = 60, .numeric_features = 3, .categorical_features = 1}, 3);
  const TreeEnsemble forest = MakeForest(set, 3, 0, 1);
  const std::vector<double> numbers = {-3, 0.5, kMissing};
  const std::vector<double> levels = {3, 1};
  const std::vector<GridAxis> axes = {{1, numbers}, {3, levels}};
  const std::vector<double> means = PathDependence(forest, set.columns(), axes);
  ASSERT_EQ(means.size(), 6u);
  for (size_t point = 0; point < 6; ++point) {
    set.numbers[1][0] = numbers[point / 2];
    set.codes[3][0] = static_cast<int32_t>(levels[point % 2]);
    EXPECT_NEAR(means[point], PathGame(forest, set.columns(), 0, 0)(0b1010), 1e-12);
  }
}

}  // namespace
}  // namespace trainyard
