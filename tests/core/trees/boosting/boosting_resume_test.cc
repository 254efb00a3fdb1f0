#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/trees/boosting/boosting_test_data.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;

TrainingSet SetFor(Boost::Loss loss) {
  return MakeSetFor(
      loss, {.rows = 400, .numeric_features = 5, .categorical_features = 2, .missing_share = 0.1},
      61);
}

// A fit that is interrupted after any round and goes on gives the same trees and losses, bit for
// bit, with sampling, shrinkage in the loop and early stopping.
TEST(ResumeTest, GoesOnBitForBitAfterAnyRound) {
  for (const Boost::Loss loss : AllLosses()) {
    const TrainingSet set = SetFor(loss);
    Boost options = SmallBoosting(loss, 12);
    options.set_subsample(0.6);
    options.set_feature_fraction(0.7);
    options.set_shrinkage_mode(Boost::SHRINKAGE_MODE_IN_LOOP);
    options.set_early_stopping_rounds(3);
    BoostCase own = {.rows = Numbers(0, 300), .validation_rows = Numbers(300, 400)};
    own.setup.lambda = 4;
    own.setup.seed = 9;
    std::vector<Tree> trees;
    own.hooks.round = [&](const BoostingRound&, std::span<const Tree> round) {
      trees.insert(trees.end(), round.begin(), round.end());
      return absl::OkStatus();
    };
    const BoostingResult whole = MustBoost(set, options, own);
    own.hooks = {};
    const size_t outputs = static_cast<size_t>(whole.ensemble.outputs);
    ASSERT_EQ(trees.size(), whole.rounds.size() * outputs);
    for (size_t done = 0; done <= whole.rounds.size(); ++done) {
      own.setup.finished_trees = std::span(trees).first(done * outputs);
      own.threads = 1 + static_cast<int>(done % 3);
      const BoostingResult resumed = MustBoost(set, options, own);
      EXPECT_EQ(resumed.ensemble.trees, whole.ensemble.trees) << Boost::Loss_Name(loss) << done;
      EXPECT_EQ(resumed.kept_rounds, whole.kept_rounds);
      EXPECT_EQ(resumed.stopped_early, whole.stopped_early);
      ASSERT_EQ(resumed.rounds.size(), whole.rounds.size());
      for (size_t i = 0; i < whole.rounds.size(); ++i) {
        EXPECT_EQ(resumed.rounds[i].training_loss, whole.rounds[i].training_loss);
        EXPECT_EQ(resumed.rounds[i].validation_loss, whole.rounds[i].validation_loss);
      }
    }
  }
}

TEST(ResumeTest, ReportsOnlyNewRounds) {
  const TrainingSet set = SetFor(Boost::LOSS_SQUARED_ERROR);
  const Boost options = SmallBoosting(Boost::LOSS_SQUARED_ERROR, 6);
  const BoostingResult whole = MustBoost(set, options);
  std::vector<int> reported;
  BoostCase own;
  own.setup.finished_trees = std::span(whole.ensemble.trees).first(4);
  own.hooks.round = [&](const BoostingRound& round, std::span<const Tree>) {
    reported.push_back(round.round);
    return absl::OkStatus();
  };
  MustBoost(set, options, own);
  EXPECT_THAT(reported, ::testing::ElementsAre(5, 6));
}

TEST(ResumeTest, RefusesTreesOfOtherData) {
  const TrainingSet set = SetFor(Boost::LOSS_SOFTMAX);
  const Boost options = SmallBoosting(Boost::LOSS_SOFTMAX, 2);
  std::vector<Tree> trees = MustBoost(set, options).ensemble.trees;
  BoostCase own;
  own.setup.finished_trees = std::span(trees).first(2);
  EXPECT_THAT(std::string(TryBoost(set, options, own).status().message()),
              HasSubstr("2 finished trees are no whole rounds of 3"));
  own.setup.finished_trees = std::span(trees).first(3);
  trees[1] =
      MustBoost(SetFor(Boost::LOSS_SQUARED_ERROR), SmallBoosting(Boost::LOSS_SQUARED_ERROR, 1))
          .ensemble.trees[0];
  trees[1].feature[0] = 0;
  trees[1].level_begin.clear();
  trees[1].left_levels.clear();
  trees[1].threshold[0] = 0.123456789;
  EXPECT_THAT(std::string(TryBoost(set, options, own).status().message()),
              HasSubstr("splits at 0.123457, which is no bin's end"));
  trees[1].feature[0] = 70;
  EXPECT_THAT(std::string(TryBoost(set, options, own).status().message()),
              HasSubstr("splits on feature 70"));
}

}  // namespace
}  // namespace trainyard
