// SHAP interaction values against their definition by enumeration.
#include "core/trees/explain/shap_interactions.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/core/trees/explain/shap_reference.h"

namespace trainyard {
namespace {

std::vector<double> Explain(const ShapInteractions& shap, std::span<const FeatureColumn> columns,
                            int64_t rows, int threads = 1) {
  std::vector<double> values(static_cast<size_t>(rows) *
                             static_cast<size_t>(shap.shap().outputs()) * columns.size() *
                             columns.size());
  ThreadPool pool(threads);
  StopToken stop({});
  EXPECT_TRUE(shap.Explain(columns, 0, rows, pool, stop, values).ok());
  return values;
}

void ExpectEqualsEnumeration(const TreeEnsemble& ensemble, const TrainingSet& set, int64_t rows) {
  const std::vector<FeatureColumn> columns = set.columns();
  const int p = static_cast<int>(columns.size());
  const ShapInteractions shap(ensemble, p, Unstopped());
  const std::vector<double> values = Explain(shap, columns, rows);
  auto at = values.begin();
  for (int64_t row = 0; row < rows; ++row) {
    for (int k = 0; k < ensemble.outputs; ++k) {
      for (const double value : ShapleyInteractions(PathGame(ensemble, columns, row, k), p)) {
        EXPECT_NEAR(*at++, value, 1e-10) << "row " << row << " output " << k;
      }
    }
  }
}

TEST(ShapInteractionsTest, EqualEnumeration) {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const TrainingSet set = MakeRandomSet({.rows = 60, .numeric_features = 7}, seed);
    ExpectEqualsEnumeration(MakeForest(set, 2, 0, 2, seed), set, 4);
  }
}

TEST(ShapInteractionsTest, EqualEnumerationWithTwelveFeatures) {
  const TrainingSet set = MakeRandomSet({.rows = 150, .numeric_features = 12}, 4);
  ExpectEqualsEnumeration(MakeForest(set, 1, 9, 1), set, 1);
}

TEST(ShapInteractionsTest, EqualEnumerationWithRepeatedFeatures) {
  for (const int features : {2, 3}) {
    const TrainingSet set = MakeRandomSet({.rows = 100, .numeric_features = features}, 4);
    ExpectEqualsEnumeration(MakeForest(set, 2, 0, 1), set, 30);
  }
}

TEST(ShapInteractionsTest, EqualEnumerationWithMissingValuesCategoriesAndOutputs) {
  const TrainingSet set = MakeRandomSet({.rows = 80,
                                         .numeric_features = 3,
                                         .categorical_features = 2,
                                         .levels = 70,
                                         .outputs = 3,
                                         .classification = true,
                                         .missing_share = 0.2},
                                        4);
  ExpectEqualsEnumeration(MakeForest(set, 2, 0, 1), set, 10);
  const TrainingSet values = MakeRandomSet({.rows = 80, .numeric_features = 4}, 4);
  ExpectEqualsEnumeration(MakeBoosted(values, 2, 2, 4), values, 10);
}

TEST(ShapInteractionsTest, AreSymmetricAndSumToTheValuesInDeepTrees) {
  const TrainingSet set = MakeRandomSet({.rows = 1500, .numeric_features = 15}, 4);
  const TreeEnsemble forest = MakeForest(set, 2, 0, 1);
  const std::vector<FeatureColumn> columns = set.columns();
  const ShapInteractions shap(forest, 15, Unstopped());
  const std::vector<double> values = Explain(shap, columns, 50);
  EXPECT_EQ(Explain(shap, columns, 50, 3), values);
  for (size_t row = 0; row < 50; ++row) {
    double sum = shap.shap().base()[0];
    for (size_t i = 0; i < 15; ++i) {
      for (size_t j = 0; j < 15; ++j) {
        sum += values[(row * 15 + i) * 15 + j];
        EXPECT_NEAR(values[(row * 15 + i) * 15 + j], values[(row * 15 + j) * 15 + i], 1e-11);
      }
    }
    EXPECT_NEAR(sum, RawScore(forest, columns, static_cast<int64_t>(row), 0), 1e-9);
  }
}

TEST(ShapInteractionsTest, StopsWhenAsked) {
  const TrainingSet set = MakeRandomSet({.rows = 60, .numeric_features = 5}, 5);
  const ShapInteractions shap(MakeForest(set, 3, 0, 2), 5, Unstopped());
  std::vector<double> values(60 * 25);
  ThreadPool pool(2);
  StopToken stop([] { return absl::CancelledError("enough"); });
  EXPECT_EQ(shap.Explain(set.columns(), 0, 60, pool, stop, values), absl::CancelledError("enough"));
}

}  // namespace
}  // namespace trainyard
