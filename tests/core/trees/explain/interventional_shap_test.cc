// Interventional TreeSHAP against Shapley values by enumeration, with hybrid rows sent through
// FindLeaf.
#include "core/trees/explain/interventional_shap.h"

#include <cmath>
#include <numeric>

#include "gtest/gtest.h"
#include "tests/core/trees/explain/shap_reference.h"

namespace trainyard {
namespace {

// Rows to be explained, so few that no table pays and so many that each does with 15 background
// rows.
constexpr int64_t kByWalks = 0;
constexpr int64_t kByTables = int64_t{1} << 40;

std::vector<double> Explain(const InterventionalShap& shap, std::span<const FeatureColumn> columns,
                            int64_t begin, int64_t rows, int threads = 1) {
  std::vector<double> values(static_cast<size_t>(rows) * static_cast<size_t>(shap.outputs()) *
                             columns.size());
  ThreadPool pool(threads);
  StopToken stop({});
  EXPECT_TRUE(shap.Explain(columns, begin, rows, pool, stop, values).ok());
  return values;
}

// Mean over the first `background` rows b of the score of row `row` with the features outside of
// the set replaced by those of b.
Game HybridGame(const TreeEnsemble& ensemble, const TrainingSet& set, int64_t row,
                int64_t background, int output) {
  return [=, &ensemble, &set](uint32_t features) {
    TrainingSet hybrid = set;
    for (size_t j = 0; j < set.level_counts.size(); ++j) {
      if ((features >> j) & 1) {
        for (double& value : hybrid.numbers[j]) value = set.numbers[j][static_cast<size_t>(row)];
        for (int32_t& code : hybrid.codes[j]) code = set.codes[j][static_cast<size_t>(row)];
      }
    }
    const std::vector<FeatureColumn> columns = hybrid.columns();
    double sum = 0;
    for (int64_t b = 0; b < background; ++b) sum += RawScore(ensemble, columns, b, output);
    return sum / static_cast<double>(background);
  };
}

void ExpectEqualsEnumeration(const TreeEnsemble& ensemble, const TrainingSet& set,
                             int64_t background, int64_t begin, int64_t end) {
  const std::vector<FeatureColumn> columns = set.columns();
  const size_t p = columns.size();
  const InterventionalShap shap(ensemble, static_cast<int>(p), columns, 0, background, kByWalks,
                                Unstopped());
  const std::vector<double> values = Explain(shap, columns, begin, end - begin);
  const InterventionalShap by_tables(ensemble, static_cast<int>(p), columns, 0, background,
                                     kByTables, Unstopped());
  const std::vector<double> others = Explain(by_tables, columns, begin, end - begin);
  auto at = values.begin();
  auto other = others.begin();
  for (int64_t row = begin; row < end; ++row) {
    for (int k = 0; k < ensemble.outputs; ++k) {
      const Game game = HybridGame(ensemble, set, row, background, k);
      EXPECT_NEAR(shap.base()[static_cast<size_t>(k)], game(0), 1e-12);
      for (const double phi : ShapleyValues(game, static_cast<int>(p))) {
        EXPECT_NEAR(*at++, phi, 1e-10) << "row " << row << " output " << k;
        EXPECT_NEAR(*other++, phi, 1e-10) << "row " << row << " output " << k;
      }
    }
  }
}

TEST(InterventionalShapTest, EqualsEnumeration) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const TrainingSet set = MakeRandomSet({.rows = 60, .numeric_features = 6}, seed);
    ExpectEqualsEnumeration(MakeForest(set, 2, 0, 2, seed), set, 16, 7, 13);
  }
}

TEST(InterventionalShapTest, EqualsEnumerationWithTwelveFeatures) {
  const TrainingSet set = MakeRandomSet({.rows = 70, .numeric_features = 12}, 3);
  ExpectEqualsEnumeration(MakeForest(set, 1, 0, 2), set, 15, 20, 21);
}

TEST(InterventionalShapTest, EqualsEnumerationWithManyBackgroundRowsAndRepeatedFeatures) {
  // More background rows than one group holds, and as many as just fill two.
  const TrainingSet set = MakeRandomSet({.rows = 140, .numeric_features = 3}, 5);
  const TreeEnsemble forest = MakeForest(set, 2, 0, 2);
  for (const int64_t background : {1, 64, 65, 128}) {
    ExpectEqualsEnumeration(forest, set, background, 130, 134);
  }
}

TEST(InterventionalShapTest, EqualsEnumerationWithMissingValuesAndCategories) {
  TrainingSet set = MakeRandomSet({.rows = 60,
                                   .numeric_features = 2,
                                   .categorical_features = 3,
                                   .levels = 70,
                                   .missing_share = 0.25},
                                  5);
  const TreeEnsemble forest = MakeForest(set, 2, 0, 2);
  set.codes[2][0] = 99;
  set.codes[3][20] = 70;
  ExpectEqualsEnumeration(forest, set, 17, 18, 24);
}

TEST(InterventionalShapTest, EqualsEnumerationForSeveralOutputs) {
  const TrainingSet set =
      MakeRandomSet({.rows = 60, .numeric_features = 5, .outputs = 3, .classification = true}, 5);
  ExpectEqualsEnumeration(MakeForest(set, 2, 0, 2), set, 16, 20, 24);
  const TrainingSet values = MakeRandomSet({.rows = 60, .numeric_features = 5}, 5);
  ExpectEqualsEnumeration(MakeBoosted(values, 2, 3, 4), values, 16, 20, 24);
}

TEST(InterventionalShapTest, RowsOfTheBackgroundAloneAreNotExplained) {
  const TrainingSet set = MakeRandomSet({.rows = 60, .numeric_features = 5}, 5);
  const InterventionalShap shap(MakeForest(set, 3, 0, 2), 5, set.columns(), 11, 1, kByWalks,
                                Unstopped());
  EXPECT_EQ(Explain(shap, set.columns(), 11, 1), std::vector<double>(5, 0.0));
}

TEST(InterventionalShapTest, SumsToTheScoreInDeepTreesForAnyThreads) {
  const TrainingSet set = MakeRandomSet({.rows = 3000, .numeric_features = 30}, 5);
  const TreeEnsemble forest = MakeForest(set, 2, 0, 2);
  const std::vector<FeatureColumn> columns = set.columns();
  const InterventionalShap shap(forest, 30, columns, 0, 200, kByWalks, Unstopped());
  const std::vector<double> values = Explain(shap, columns, 1000, 100);
  for (int64_t row = 0; row < 100; ++row) {
    const auto phi = values.begin() + row * 30;
    EXPECT_NEAR(std::accumulate(phi, phi + 30, shap.base()[0]),
                RawScore(forest, columns, 1000 + row, 0), 1e-9);
  }
  for (const int threads : {2, 7}) EXPECT_EQ(Explain(shap, columns, 1000, 100, threads), values);
}

TEST(InterventionalShapTest, StopsWhenAsked) {
  const TrainingSet set = MakeRandomSet({.rows = 60, .numeric_features = 5}, 5);
  const InterventionalShap shap(MakeForest(set, 3, 0, 2), 5, set.columns(), 0, 60, kByWalks,
                                Unstopped());
  std::vector<double> values(300);
  ThreadPool pool(2);
  StopToken stop([] { return absl::CancelledError("enough"); });
  EXPECT_EQ(shap.Explain(set.columns(), 0, 60, pool, stop, values), absl::CancelledError("enough"));
  const InterventionalShap tables(MakeForest(set, 3, 0, 2), 5, set.columns(), 0, 60, kByTables,
                                  Unstopped());
  EXPECT_EQ(tables.Explain(set.columns(), 0, 60, pool, stop, values),
            absl::CancelledError("enough"));
}

// Whatever the number of questions after which the answer is no, the constructor comes back.
TEST(InterventionalShapTest, StopsWhileItIsMade) {
  const TrainingSet set = MakeRandomSet({.rows = 60, .numeric_features = 5}, 5);
  const TreeEnsemble forest = MakeForest(set, 3, 0, 2);
  for (int answers = 0; answers < 80; ++answers) {
    int asked = 0;
    StopToken stop(
        [&] { return ++asked > answers ? absl::CancelledError("enough") : absl::OkStatus(); });
    const InterventionalShap shap(forest, 5, set.columns(), 0, 60, kByTables, stop);
    EXPECT_EQ(stop.stopped(), asked > answers);
  }
}

// Trees with many features on a path are walked among others that have tables.
TEST(InterventionalShapTest, MixesWalksAndTables) {
  const TrainingSet set = MakeRandomSet({.rows = 3000, .numeric_features = 30}, 5);
  TreeEnsemble forest = MakeForest(set, 1, 0, 2);
  v1::CartOptions shallow = DefaultCart();
  shallow.set_max_depth(4);
  forest.trees.push_back(Grow(set, shallow));
  const std::vector<FeatureColumn> columns = set.columns();
  const std::vector<double> walked =
      Explain({forest, 30, columns, 0, 70, kByWalks, Unstopped()}, columns, 100, 20);
  const std::vector<double> mixed =
      Explain({forest, 30, columns, 0, 70, kByTables, Unstopped()}, columns, 100, 20);
  EXPECT_NE(walked, mixed);
  for (size_t i = 0; i < walked.size(); ++i) EXPECT_NEAR(walked[i], mixed[i], 1e-12);
}

}  // namespace
}  // namespace trainyard
