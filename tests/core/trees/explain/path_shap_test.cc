// Path-dependent TreeSHAP against Shapley values by enumeration of all subsets.
#include "core/trees/explain/path_shap.h"

#include <cmath>
#include <numeric>

#include "core/trees/explain/path_kernel.h"
#include "core/trees/explain/quadrature.h"
#include "gtest/gtest.h"
#include "tests/core/trees/explain/shap_reference.h"

namespace trainyard {
namespace {

std::vector<double> Explain(const TreeEnsemble& ensemble, std::span<const FeatureColumn> columns,
                            int64_t rows, int threads = 1) {
  const PathShap shap(ensemble, static_cast<int>(columns.size()), Unstopped());
  std::vector<double> values(static_cast<size_t>(rows) * static_cast<size_t>(ensemble.outputs) *
                             columns.size());
  ThreadPool pool(threads);
  StopToken stop({});
  EXPECT_TRUE(shap.Explain(columns, 0, rows, pool, stop, values).ok());
  return values;
}

void ExpectEqualsEnumeration(const TreeEnsemble& ensemble, const TrainingSet& set, int64_t rows,
                             double tolerance = 1e-10) {
  const std::vector<FeatureColumn> columns = set.columns();
  const size_t p = columns.size();
  const std::vector<double> values = Explain(ensemble, columns, rows);
  const PathShap shap(ensemble, static_cast<int>(p), Unstopped());
  for (int64_t row = 0; row < rows; ++row) {
    for (int k = 0; k < ensemble.outputs; ++k) {
      const Game game = PathGame(ensemble, columns, row, k);
      EXPECT_NEAR(shap.base()[static_cast<size_t>(k)], game(0), tolerance);
      const std::vector<double> phi = ShapleyValues(game, static_cast<int>(p));
      for (size_t j = 0; j < p; ++j) {
        const size_t at = (static_cast<size_t>(row) * static_cast<size_t>(ensemble.outputs) +
                           static_cast<size_t>(k)) *
                              p +
                          j;
        EXPECT_NEAR(values[at], phi[j], tolerance) << "row " << row << " feature " << j;
      }
    }
  }
}

// Largest distance between base + sum of phi and the raw score by FindLeaf.
double SumRuleError(const TreeEnsemble& ensemble, std::span<const FeatureColumn> columns,
                    int64_t rows) {
  const std::vector<double> values = Explain(ensemble, columns, rows);
  const PathShap shap(ensemble, static_cast<int>(columns.size()), Unstopped());
  double worst = 0;
  auto at = values.begin();
  for (int64_t row = 0; row < rows; ++row) {
    for (int k = 0; k < ensemble.outputs; ++k) {
      const auto end = at + static_cast<ptrdiff_t>(columns.size());
      const double sum = std::accumulate(at, end, shap.base()[static_cast<size_t>(k)]);
      worst = std::max(worst, std::abs(sum - RawScore(ensemble, columns, row, k)));
      at = end;
    }
  }
  return worst;
}

TEST(QuadratureTest, IntegratesPolynomialsExactly) {
  for (int count = 1; count <= 40; ++count) {
    const Quadrature rule = GaussLegendre(count);
    for (int degree = 0; degree <= 2 * count - 1; ++degree) {
      double sum = 0;
      for (size_t g = 0; g < rule.points.size(); ++g) {
        sum += rule.weights[g] * std::pow(rule.points[g], degree);
      }
      EXPECT_NEAR(sum * (degree + 1), 1, 1e-13) << count << " points, degree " << degree;
    }
  }
}

TEST(PathShapTest, EqualsEnumeration) {
  for (uint64_t seed = 0; seed < 6; ++seed) {
    const TrainingSet set = MakeRandomSet({.rows = 60, .numeric_features = 7}, seed);
    ExpectEqualsEnumeration(MakeForest(set, 3, 0, 2.5, seed), set, 5);
  }
}

TEST(PathShapTest, EqualsEnumerationWithTwelveFeatures) {
  const TrainingSet set = MakeRandomSet({.rows = 150, .numeric_features = 12}, 4);
  ExpectEqualsEnumeration(MakeForest(set, 1, 9, 1), set, 1);
}

TEST(PathShapTest, EqualsEnumerationWithRepeatedFeatures) {
  // Two features and full trees: every path splits on both many times.
  const TrainingSet set = MakeRandomSet({.rows = 120, .numeric_features = 2}, 7);
  const TreeEnsemble forest = MakeForest(set, 2, 0, 10);
  EXPECT_GT(forest.trees[0].depth(), 6);
  ExpectEqualsEnumeration(forest, set, 40);
}

TEST(PathShapTest, EqualsEnumerationWithMissingValuesAndCategories) {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    TrainingSet set = MakeRandomSet({.rows = 90,
                                     .numeric_features = 3,
                                     .categorical_features = 3,
                                     .levels = 70,
                                     .missing_share = 0.2},
                                    seed);
    const TreeEnsemble forest = MakeForest(set, 2, 0, 3, seed);
    // Levels that the trees never saw count as missing.
    set.codes[3][0] = 70;
    set.codes[4][1] = 1'000'000;
    ExpectEqualsEnumeration(forest, set, 20);
  }
}

TEST(PathShapTest, EqualsEnumerationForClassesAndTargets) {
  const TrainingSet classes =
      MakeRandomSet({.rows = 80, .numeric_features = 5, .outputs = 3, .classification = true}, 3);
  ExpectEqualsEnumeration(MakeForest(classes, 3, 5, 4), classes, 6);
  const TrainingSet targets = MakeRandomSet({.rows = 80, .numeric_features = 5, .outputs = 2}, 3);
  ExpectEqualsEnumeration(MakeForest(targets, 3, 5, 4), targets, 6);
}

TEST(PathShapTest, EqualsEnumerationForSumsWithOneTreePerOutput) {
  const TrainingSet set = MakeRandomSet({.rows = 80, .numeric_features = 5}, 9);
  ExpectEqualsEnumeration(MakeBoosted(set, 3, 3, 4), set, 6);
}

TEST(PathShapTest, ExplainsTreesWithoutSplits) {
  TrainingSet set = MakeRandomSet({.rows = 5, .numeric_features = 2}, 9);
  set.values.assign(5, 3.0);
  const TreeEnsemble forest = MakeForest(set, 2, 0, 1);
  ASSERT_EQ(forest.trees[0].node_count(), 1);
  EXPECT_EQ(Explain(forest, set.columns(), 5), std::vector<double>(10, 0.0));
  EXPECT_EQ(PathShap(forest, 2, Unstopped()).base()[0], 3);
}

TEST(PathShapTest, FeaturesWithoutSplitGetZero) {
  TrainingSet set = MakeRandomSet({.rows = 40, .numeric_features = 3}, 1);
  set.numbers[1].assign(40, 1.0);
  const std::vector<double> values = Explain(MakeForest(set, 2, 0, 1), set.columns(), 40);
  for (size_t i = 1; i < values.size(); i += 3) EXPECT_EQ(values[i], 0);
}

TEST(PathShapTest, SumsToTheScoreInDeepTrees) {
  // A staircase: every split takes one row off, so that the depth is that of the rows.
  for (const int features : {3, 25, 70}) {
    TrainingSet set = MakeRandomSet({.rows = 300, .numeric_features = features}, 5);
    Tree tree;
    for (int level = 0; level < 150; ++level) {
      const int32_t node = 2 * level;
      tree.feature.insert(tree.feature.end(), {level % features, -1});
      tree.threshold.insert(tree.threshold.end(), {-4.5, 0.0});
      tree.left.insert(tree.left.end(), {node + 1, -1});
      tree.right.insert(tree.right.end(), {node + 2, -1});
      const double here = 1000 * std::pow(0.93, level);
      tree.weight.insert(tree.weight.end(), {here, 0.07 * here});
      tree.value.insert(tree.value.end(), {0.0, std::sin(level)});
    }
    tree.feature.push_back(-1);
    tree.threshold.push_back(0);
    tree.left.push_back(-1);
    tree.right.push_back(-1);
    tree.weight.push_back(1000 * std::pow(0.93, 150));
    tree.value.push_back(2);
    tree.missing_left.assign(301, 0);
    TreeEnsemble ensemble;
    ensemble.trees.push_back(tree);
    ASSERT_EQ(tree.depth(), 150);
    EXPECT_LT(SumRuleError(ensemble, set.columns(), 100), 1e-9) << features << " features";
  }
}

TEST(PathShapTest, SumsToTheScoreInGrownDeepTrees) {
  for (const int features : {2, 10, 40}) {
    const TrainingSet set =
        MakeRandomSet({.rows = 4000, .numeric_features = features, .missing_share = 0.05}, 2);
    const TreeEnsemble forest = MakeForest(set, 3, 0, 1);
    EXPECT_LT(SumRuleError(forest, set.columns(), 200), 1e-9) << features << " features";
  }
}

TEST(PathShapTest, BaseDoesNotDependOnTheShrinkage) {
  const TrainingSet set = MakeRandomSet({.rows = 300, .numeric_features = 6}, 2);
  const double base = PathShap(MakeForest(set, 5, 0, 0), 6, Unstopped()).base()[0];
  for (const double lambda : {0.1, 10.0, 500.0, 1e9}) {
    EXPECT_NEAR(PathShap(MakeForest(set, 5, 0, lambda), 6, Unstopped()).base()[0], base, 1e-12);
  }
}

TEST(PathShapTest, DoesNotDependOnThreadsOrOnTheRange) {
  const TrainingSet set =
      MakeRandomSet({.rows = 1000, .numeric_features = 5, .missing_share = 0.1}, 2);
  const TreeEnsemble forest = MakeForest(set, 5, 0, 3);
  const std::vector<double> one = Explain(forest, set.columns(), 1000, 1);
  for (const int threads : {2, 5, 16}) {
    EXPECT_EQ(Explain(forest, set.columns(), 1000, threads), one);
  }
  const PathShap shap(forest, 5, Unstopped());
  ThreadPool pool(1);
  StopToken stop({});
  for (const int64_t begin : {0, 1, 17, 999}) {
    std::vector<double> part(5);
    ASSERT_TRUE(shap.Explain(set.columns(), begin, 1, pool, stop, part).ok());
    const auto expected = one.begin() + begin * 5;
    EXPECT_EQ(part, std::vector<double>(expected, expected + 5));
  }
}

TEST(PathShapTest, KernelsAgree) {
  if (BestPathKernel() == RunPathKernelV3) GTEST_SKIP() << "this machine has one kernel only";
  const TrainingSet set = MakeRandomSet({.rows = 200, .numeric_features = 4}, 2);
  const TreeEnsemble forest = MakeForest(set, 1, 0, 3);
  const std::vector<int32_t> used = UsedFeatures(forest);
  const PathPlan plan = MakePathPlan(forest.trees[0], used, 0);
  alignas(64) double rows[4 * kShapLanes];
  alignas(64) double sums[2][4 * kShapLanes] = {};
  GatherLanes(set.columns(), used, 0, kShapLanes, rows);
  const size_t size = PathScratchSize(plan.levels, plan.points, plan.outputs);
  std::vector<double> scratch(size + 8);
  double* aligned = scratch.data();
  while (reinterpret_cast<uintptr_t>(aligned) % 64 != 0) ++aligned;
  for (const int version : {0, 1}) {
    (version == 0 ? RunPathKernelV3 : RunPathKernelV4)(
        {plan.nodes.data(), plan.operations.data(), static_cast<int64_t>(plan.operations.size()),
         plan.weights.data(), plan.factors.data(), plan.leaf_values.data(),
         plan.level_sets.words().data(), plan.points, plan.levels, plan.outputs, rows,
         sums[version], kShapLanes, 0, aligned});
  }
  for (int i = 0; i < 4 * kShapLanes; ++i) EXPECT_NEAR(sums[0][i], sums[1][i], 1e-13);
}

TEST(PathShapTest, StopsWhenAsked) {
  const TrainingSet set = MakeRandomSet({.rows = 200, .numeric_features = 4}, 2);
  const PathShap shap(MakeForest(set, 1, 0, 3), 4, Unstopped());
  std::vector<double> values(800);
  ThreadPool pool(2);
  StopToken stop([] { return absl::CancelledError("enough"); });
  EXPECT_EQ(shap.Explain(set.columns(), 0, 200, pool, stop, values),
            absl::CancelledError("enough"));
}

}  // namespace
}  // namespace trainyard
