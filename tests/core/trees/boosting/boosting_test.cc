#include "core/trees/boosting/boosting.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <limits>

#include "core/trees/boosting/boosting_loss.h"
#include "core/trees/tree_predictor.h"
#include "tests/core/trees/boosting/boosting_test_data.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;

class BoostingTest : public ::testing::TestWithParam<Boost::Loss> {};

INSTANTIATE_TEST_SUITE_P(All, BoostingTest, ::testing::ValuesIn(AllLosses()),
                         [](const auto& param) { return Boost::Loss_Name(param.param); });

// The reported losses, and the scores that they are of, against a plain walk over the trees.
TEST_P(BoostingTest, ReportedLossesAreThoseOfTheTrees) {
  const TrainingSet set = MakeSetFor(GetParam(),
                                     {.rows = 300,
                                      .numeric_features = 4,
                                      .categorical_features = 2,
                                      .weighted = true,
                                      .missing_share = 0.1},
                                     3);
  Boost options = SmallBoosting(GetParam(), 6);
  options.set_subsample(0.7);
  options.set_huber_delta(2);
  const std::vector<uint32_t> training = Numbers(0, 200);
  const std::vector<uint32_t> validation = Numbers(200, 300);
  const BoostingResult result =
      MustBoost(set, options, {.rows = training, .validation_rows = validation});
  ASSERT_EQ(result.rounds.size(), 6u);
  const size_t outputs = static_cast<size_t>(result.ensemble.outputs);
  ASSERT_EQ(result.ensemble.trees.size(), 6 * outputs);
  const auto loss = MakeBoostingLoss(options, set.target());
  for (int round = 1; round <= 6; ++round) {
    TreeEnsemble part = result.ensemble;
    part.trees.resize(static_cast<size_t>(round) * outputs);
    std::vector<double> scores(outputs * set.rows);
    for (size_t row = 0; row < set.rows; ++row) {
      const std::vector<double> own = ScoresOf(part, set.columns(), static_cast<int64_t>(row));
      for (size_t k = 0; k < outputs; ++k) scores[k * set.rows + row] = own[k];
    }
    const ScoredRows scored = {set.target(), set.weights, scores, set.rows};
    const auto mean_loss = [&](std::span<const uint32_t> rows) {
      double weight = 0;
      for (const uint32_t row : rows) weight += set.weights[row];
      return (*loss)->LossSum(scored, rows) / weight;
    };
    const BoostingRound& reported = result.rounds[static_cast<size_t>(round) - 1];
    EXPECT_EQ(reported.round, round);
    EXPECT_NEAR(reported.training_loss, mean_loss(training), 1e-9);
    EXPECT_NEAR(reported.validation_loss, mean_loss(validation), 1e-9);
  }
}

TEST_P(BoostingTest, TrainingLossFalls) {
  const TrainingSet set = MakeSetFor(GetParam(), {.rows = 400, .numeric_features = 4}, 7);
  Boost options = SmallBoosting(GetParam(), 30);
  options.set_huber_delta(3);
  const BoostingResult result = MustBoost(set, options);
  for (size_t i = 1; i < result.rounds.size(); ++i) {
    EXPECT_LE(result.rounds[i].training_loss, result.rounds[i - 1].training_loss * (1 + 1e-9));
  }
  EXPECT_LT(result.rounds.back().training_loss, 0.5 * result.rounds.front().training_loss);
}

TEST_P(BoostingTest, ThreadsDoNotMatter) {
  const TrainingSet set = MakeSetFor(GetParam(),
                                     {.rows = 40'000,
                                      .numeric_features = 9,
                                      .categorical_features = 2,
                                      .weighted = true,
                                      .missing_share = 0.05},
                                     13);
  Boost options = SmallBoosting(GetParam(), 3);
  options.set_max_leaves(15);
  options.set_subsample(0.8);
  options.set_feature_fraction(0.6);
  const std::vector<uint32_t> training = Numbers(0, 35'000);
  const std::vector<uint32_t> validation = Numbers(35'000, 40'000);
  BoostCase own = {.rows = training, .validation_rows = validation};
  const BoostingResult one = MustBoost(set, options, own);
  for (const int threads : {2, 16}) {
    own.threads = threads;
    const BoostingResult more = MustBoost(set, options, own);
    EXPECT_EQ(one.ensemble.trees, more.ensemble.trees);
    EXPECT_EQ(one.ensemble.base, more.ensemble.base);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(one.rounds[i].training_loss, more.rounds[i].training_loss);
      EXPECT_EQ(one.rounds[i].validation_loss, more.rounds[i].validation_loss);
    }
  }
}

TEST_P(BoostingTest, WeightsActLikeRepeatedRows) {
  // Large and few nodes, in which no two splits are equally good.
  RandomShape shape = {
      .rows = 500, .numeric_features = 3, .categorical_features = 1, .missing_share = 0.1};
  TrainingSet set = MakeSetFor(GetParam(), shape, 21);
  std::mt19937_64 random(1);
  TrainingSet repeated = set;
  for (auto& column : repeated.numbers) column.clear();
  for (auto& column : repeated.codes) column.clear();
  repeated.values.clear();
  repeated.classes.clear();
  for (size_t row = 0; row < set.rows; ++row) {
    const size_t times = random() % 4;
    set.weights.push_back(static_cast<double>(times));
    for (size_t k = 0; k < times; ++k) {
      for (size_t f = 0; f < set.level_counts.size(); ++f) {
        if (set.level_counts[f] > 0) repeated.codes[f].push_back(set.codes[f][row]);
        if (set.level_counts[f] == 0) repeated.numbers[f].push_back(set.numbers[f][row]);
      }
      if (set.classification()) repeated.classes.push_back(set.classes[row]);
      if (!set.classification()) repeated.values.push_back(set.values[row]);
    }
  }
  repeated.rows = std::max(repeated.values.size(), repeated.classes.size());
  Boost options = SmallBoosting(GetParam(), 5);
  options.set_min_child_weight(2);
  options.set_max_leaves(4);
  const BoostingResult a = MustBoost(set, options);
  const BoostingResult b = MustBoost(repeated, options);
  ASSERT_EQ(a.ensemble.trees.size(), b.ensemble.trees.size());
  for (size_t row = 0; row < set.rows; ++row) {
    const auto x = ScoresOf(a.ensemble, set.columns(), static_cast<int64_t>(row));
    const auto y = ScoresOf(b.ensemble, set.columns(), static_cast<int64_t>(row));
    for (size_t k = 0; k < x.size(); ++k) EXPECT_NEAR(x[k], y[k], 1e-7);
  }
  for (size_t i = 0; i < a.ensemble.trees.size(); ++i) {
    EXPECT_THAT(a.ensemble.trees[i].weight,
                ::testing::Pointwise(::testing::DoubleEq(), b.ensemble.trees[i].weight));
  }
}

TEST_P(BoostingTest, DegenerateDataGiveFiniteModels) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (int variant = 0; variant < 4; ++variant) {
    TrainingSet set = MakeSetFor(GetParam(), {.rows = 60, .numeric_features = 2}, 31);
    if (variant == 0) {  // one class, constant target
      std::fill(set.values.begin(), set.values.end(), 0.1);
      std::fill(set.classes.begin(), set.classes.end(), 1);
    } else if (variant == 1) {  // nothing known
      for (auto& column : set.numbers) std::fill(column.begin(), column.end(), kMissing);
    } else if (variant == 2) {  // extreme values
      set.numbers[0][3] = infinity;
      set.numbers[0][4] = -infinity;
      set.numbers[1][5] = 1e308;
      for (double& value : set.values) value *= 1e140;
    } else {  // all zero
      std::fill(set.values.begin(), set.values.end(), 0.0);
    }
    SCOPED_TRACE(variant);
    const BoostingResult result = MustBoost(set, SmallBoosting(GetParam(), 10));
    for (const Tree& tree : result.ensemble.trees) {
      for (int t = 0; t < tree.node_count(); ++t) {
        EXPECT_TRUE(std::isfinite(tree.ValueOf(t)[0]));
        EXPECT_GT(tree.weight[static_cast<size_t>(t)], 0);
        EXPECT_FALSE(std::isnan(tree.impurity[static_cast<size_t>(t)]));
      }
    }
    for (const double base : result.ensemble.base) EXPECT_TRUE(std::isfinite(base));
    for (const BoostingRound& round : result.rounds) {
      EXPECT_TRUE(std::isfinite(round.training_loss));
    }
    if (variant == 0 && !set.classification()) {
      EXPECT_EQ(result.rounds.size(), 1u);
      const double base = result.ensemble.base[0];
      EXPECT_DOUBLE_EQ(result.ensemble.link == Link::kExp ? std::exp(base) : base, 0.1);
    }
  }
}

// Missing values that tell the target go where it is, in training and for new rows.
TEST(BoostingMissingTest, TheSideOfMissingValuesIsLearned) {
  TrainingSet set;
  set.rows = 300;
  std::vector<double> x;
  for (int i = 0; i < 300; ++i) {
    x.push_back(i % 3 == 0 ? kMissing : i);
    set.values.push_back(std::isnan(x.back()) ? 5.0 : i < 150 ? 5.0 : -1.0);
  }
  set.AddNumbers(x);
  Boost options = SmallBoosting(Boost::LOSS_SQUARED_ERROR, 1);
  options.set_max_leaves(2);
  options.set_learning_rate(1);
  const BoostingResult result = MustBoost(set, options);
  EXPECT_EQ(result.ensemble.trees[0].missing_left[0], 1);
  EXPECT_NEAR(result.rounds[0].training_loss, 0, 1e-20);
}

TEST(BoostingMissingTest, MissingValuesAloneOnTheRight) {
  TrainingSet set;
  set.rows = 30;
  std::vector<double> x;
  for (int i = 0; i < 30; ++i) {
    x.push_back(i % 3 == 0 ? kMissing : i);
    set.values.push_back(std::isnan(x.back()) ? 1 : 0);
  }
  set.AddNumbers(x);
  Boost options = SmallBoosting(Boost::LOSS_SQUARED_ERROR, 1);
  const Tree tree = MustBoost(set, options).ensemble.trees[0];
  EXPECT_EQ(tree.threshold[0], std::numeric_limits<double>::infinity());
  EXPECT_EQ(tree.missing_left[0], 0);
  EXPECT_EQ(tree.node_count(), 3);
}

TEST(EarlyStoppingTest, KeepsTheBestRound) {
  const TrainingSet set =
      MakeSetFor(Boost::LOSS_SQUARED_ERROR, {.rows = 300, .numeric_features = 4}, 41);
  Boost options = SmallBoosting(Boost::LOSS_SQUARED_ERROR, 200);
  options.set_early_stopping_rounds(5);
  const BoostCase own = {.rows = Numbers(0, 200), .validation_rows = Numbers(200, 300)};
  const BoostingResult result = MustBoost(set, options, own);
  EXPECT_TRUE(result.stopped_early);
  ASSERT_EQ(static_cast<int>(result.rounds.size()), result.kept_rounds + 5);
  EXPECT_EQ(static_cast<int>(result.ensemble.trees.size()), result.kept_rounds);
  for (const BoostingRound& round : result.rounds) {
    EXPECT_GE(round.validation_loss,
              result.rounds[static_cast<size_t>(result.kept_rounds) - 1].validation_loss);
  }
  // The same rounds as without stopping.
  options.set_early_stopping_rounds(0);
  const BoostingResult all = MustBoost(set, options, own);
  EXPECT_EQ(all.rounds.size(), 200u);
  EXPECT_EQ(all.kept_rounds, 200);
  for (size_t i = 0; i < result.rounds.size(); ++i) {
    EXPECT_EQ(all.rounds[i].validation_loss, result.rounds[i].validation_loss);
  }
  // A tolerance that no round meets after the first few.
  options.set_early_stopping_rounds(2);
  options.set_early_stopping_tolerance(0.5);
  const BoostingResult hasty = MustBoost(set, options, own);
  EXPECT_LT(hasty.kept_rounds, result.kept_rounds);
}

TEST(BoostingSamplingTest, DrawsTheSharesThatAreAskedFor) {
  const TrainingSet set =
      MakeSetFor(Boost::LOSS_SQUARED_ERROR, {.rows = 1000, .numeric_features = 10}, 43);
  Boost options = SmallBoosting(Boost::LOSS_SQUARED_ERROR, 40);
  options.set_subsample(0.25);
  options.set_feature_fraction(0.2);
  const BoostingResult result = MustBoost(set, options);
  std::vector<int> used(10);
  for (const Tree& tree : result.ensemble.trees) {
    EXPECT_EQ(tree.row_count[0], 250);
    std::vector<int> own(10);
    for (const int32_t feature : tree.feature) {
      if (feature >= 0) own[static_cast<size_t>(feature)] = 1;
    }
    EXPECT_LE(std::accumulate(own.begin(), own.end(), 0), 2);
    for (size_t f = 0; f < 10; ++f) used[f] += own[f];
  }
  for (const int count : used) EXPECT_GT(count, 0);
  EXPECT_NE(result.ensemble.trees[0].feature, result.ensemble.trees[1].feature);
  EXPECT_NE(result.ensemble.trees, MustBoost(set, options, {.setup = {.seed = 1}}).ensemble.trees);
}

TEST(BoostingCancelTest, EndsWithTheStatusOfTheHooks) {
  const TrainingSet set =
      MakeSetFor(Boost::LOSS_LOGISTIC, {.rows = 20'000, .numeric_features = 5}, 47);
  const Boost options = SmallBoosting(Boost::LOSS_LOGISTIC, 5);
  std::atomic<int> calls = 0;
  MustBoost(set, options, {.hooks = {.check = [&] {
                             ++calls;
                             return absl::OkStatus();
                           }}});
  const int total = calls;
  ASSERT_GT(total, 100);
  for (const int limit : {0, 1, total / 3, total / 2, total - 1}) {
    for (const int threads : {1, 2}) {
      std::atomic<int> left = limit;
      const auto check = [&] {
        return left-- > 0 ? absl::OkStatus() : absl::CancelledError("enough");
      };
      EXPECT_EQ(TryBoost(set, options, {.hooks = {.check = check}, .threads = threads}).status(),
                absl::CancelledError("enough"));
    }
  }
  int rounds = 0;
  const auto round = [&](const BoostingRound& own, std::span<const Tree> trees) {
    EXPECT_EQ(own.round, ++rounds);
    EXPECT_EQ(trees.size(), 1u);
    return rounds == 3 ? absl::AbortedError("three") : absl::OkStatus();
  };
  EXPECT_EQ(TryBoost(set, options, {.hooks = {.round = round}}).status(),
            absl::AbortedError("three"));
  EXPECT_EQ(rounds, 3);
}

// The fast predictor for ensembles agrees with the scores of training.
TEST(BoostingPredictTest, TreePredictorFindsTheSameLeaves) {
  const TrainingSet set = MakeSetFor(
      Boost::LOSS_POISSON,
      {.rows = 500, .numeric_features = 3, .categorical_features = 2, .missing_share = 0.2}, 53);
  const BoostingResult result = MustBoost(set, SmallBoosting(Boost::LOSS_POISSON, 10));
  const TreePredictor predictor(result.ensemble.trees, result.ensemble.combination);
  std::vector<double> values(set.rows);
  predictor.Predict(set.columns(), 0, values);
  for (size_t row = 0; row < set.rows; ++row) {
    EXPECT_NEAR(values[row] + result.ensemble.base[0],
                ScoresOf(result.ensemble, set.columns(), static_cast<int64_t>(row))[0], 1e-12);
  }
}

TEST(BoostingRefusalTest, NamesTheFault) {
  const TrainingSet good = MakeSetFor(Boost::LOSS_SQUARED_ERROR, {.rows = 20}, 1);
  const Boost options = SmallBoosting(Boost::LOSS_SQUARED_ERROR, 1);
  const auto message = [](const TrainingSet& set, const Boost& own, const BoostCase& how = {}) {
    const absl::Status status = TryBoost(set, own, how).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  };
  Boost bad = options;
  bad.set_rounds(0);
  EXPECT_THAT(message(good, bad), HasSubstr("rounds is 0; it must be >= 1"));
  bad = options;
  bad.set_learning_rate(kMissing);
  EXPECT_THAT(message(good, bad), HasSubstr("learning_rate is nan"));
  bad = options;
  bad.set_subsample(0);
  EXPECT_THAT(message(good, bad), HasSubstr("subsample is 0"));
  bad = options;
  bad.set_early_stopping_rounds(1);
  EXPECT_THAT(message(good, bad), HasSubstr("needs validation rows"));
  bad = SmallBoosting(Boost::LOSS_QUANTILE, 1);
  bad.set_quantile_level(1);
  EXPECT_THAT(message(good, bad), HasSubstr("quantile_level is 1"));
  TrainingSet set = good;
  set.values[4] = std::numeric_limits<double>::infinity();
  EXPECT_THAT(message(set, options), HasSubstr("target of row 4 is inf"));
  set = good;
  set.weights.assign(20, 1.0);
  set.weights[2] = -1;
  EXPECT_THAT(message(set, options), HasSubstr("weight is -1"));
  set.weights.assign(20, 0.0);
  EXPECT_THAT(message(set, options), HasSubstr("no training row has a positive weight"));
  EXPECT_THAT(message(good, options, {.rows = {3, 3}}), HasSubstr("repeat the row 3"));
  EXPECT_THAT(message(good, options, {.rows = {20}}), HasSubstr("hold the row 20 of 20"));
  EXPECT_THAT(message(good, options, {.setup = {.lambda = -1}}), HasSubstr("lambda is -1"));
}

}  // namespace
}  // namespace trainyard
