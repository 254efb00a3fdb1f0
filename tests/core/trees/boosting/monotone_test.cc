#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/trees/shrinkage.h"
#include "tests/core/trees/boosting/boosting_test_data.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;

// Scores along a constrained feature, all else as in a row of the set.
void ExpectMonotone(const TrainingSet& set, const TreeEnsemble& ensemble, size_t feature,
                    int direction) {
  TrainingSet moved = set;
  std::vector<double> grid;
  for (double x = -6; x <= 6; x += 0.25) grid.push_back(x);
  moved.rows = grid.size();
  for (size_t row = 0; row < set.rows; row += 7) {
    for (size_t f = 0; f < set.level_counts.size(); ++f) {
      if (set.level_counts[f] > 0) {
        moved.codes[f].assign(grid.size(), set.codes[f][row]);
      } else {
        moved.numbers[f].assign(grid.size(), set.numbers[f][row]);
      }
    }
    moved.numbers[feature] = grid;
    double before = -direction * std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < grid.size(); ++i) {
      const double score = ScoresOf(ensemble, moved.columns(), static_cast<int64_t>(i))[0];
      ASSERT_GE(direction * (score - before), 0) << "row " << row << " at " << grid[i];
      before = score;
    }
  }
}

TEST(MonotoneTest, HoldsForTheWholeModelAndEveryShrinkageOfIt) {
  for (const Boost::Loss loss : AllLosses()) {
    if (loss == Boost::LOSS_SOFTMAX) continue;
    for (uint64_t seed = 0; seed < 6; ++seed) {
      const TrainingSet set = MakeSetFor(loss,
                                         {.rows = 250,
                                          .numeric_features = 3,
                                          .categorical_features = 1,
                                          .weighted = seed % 2 == 1,
                                          .missing_share = 0.1},
                                         seed);
      Boost options = SmallBoosting(loss, 20);
      options.set_l2(static_cast<double>(seed % 2));
      options.set_max_leaves(12);
      if (seed % 3 == 2) options.set_shrinkage_mode(Boost::SHRINKAGE_MODE_IN_LOOP);
      SCOPED_TRACE(Boost::Loss_Name(loss) + " " + std::to_string(seed));
      BoostingResult result =
          MustBoost(set, options, {.directions = {1, -1, 0, 0}, .setup = {.lambda = 5}});
      ExpectMonotone(set, result.ensemble, 0, 1);
      ExpectMonotone(set, result.ensemble, 1, -1);
      for (Tree& tree : result.ensemble.trees) {
        Shrink(v1::HierarchicalShrinkageSpec::SCHEME_HIERARCHICAL, 20, tree);
      }
      ExpectMonotone(set, result.ensemble, 0, 1);
      ExpectMonotone(set, result.ensemble, 1, -1);
    }
  }
}

TEST(MonotoneTest, ANoisyRisingTargetIsStillLearned) {
  TrainingSet set;
  set.rows = 2000;
  std::mt19937_64 random(1);
  std::vector<double> x(set.rows);
  double best_loss = 0;
  for (double& value : x) value = static_cast<double>(random() % 1000) / 100;
  for (const double value : x) {
    const double noise = std::normal_distribution<double>()(random);
    set.values.push_back(value * value / 10 + noise);
    best_loss += noise * noise / 2000;
  }
  set.AddNumbers(x);
  const Boost options = SmallBoosting(Boost::LOSS_SQUARED_ERROR, 50);
  const BoostingResult result = MustBoost(set, options, {.directions = {1}});
  ExpectMonotone(set, result.ensemble, 0, 1);
  EXPECT_LT(result.rounds.back().training_loss, 1.02 * best_loss);
  // A wrong direction leaves nothing to learn.
  EXPECT_GT(MustBoost(set, options, {.directions = {-1}}).rounds.back().training_loss,
            5 * best_loss);
}

TEST(MonotoneTest, RefusesWhatHasNoOrder) {
  const TrainingSet set = MakeSetFor(
      Boost::LOSS_SQUARED_ERROR, {.rows = 20, .numeric_features = 1, .categorical_features = 1}, 1);
  const Boost options = SmallBoosting(Boost::LOSS_SQUARED_ERROR, 1);
  const auto message = [&](std::vector<int8_t> directions) {
    return std::string(
        TryBoost(set, options, {.directions = std::move(directions)}).status().message());
  };
  EXPECT_THAT(message({0, 1}), HasSubstr("feature 1 is categorical"));
  EXPECT_THAT(message({2, 0}), HasSubstr("feature 0 is 2; it must be -1, 0 or 1"));
  EXPECT_THAT(message({1}), HasSubstr("1 monotone directions for 2 features"));
  const TrainingSet classes = MakeSetFor(Boost::LOSS_SOFTMAX, {.rows = 20}, 1);
  EXPECT_THAT(std::string(TryBoost(classes, SmallBoosting(Boost::LOSS_SOFTMAX, 1),
                                   {.directions = {1, 0, 0}})
                              .status()
                              .message()),
              HasSubstr("LOSS_SOFTMAX"));
}

}  // namespace
}  // namespace trainyard
