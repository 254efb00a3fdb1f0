#include "core/algorithms/convex_relu/nonconvex_training.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#include "core/base/thread_pool.h"
#include "tests/core/algorithms/convex_relu/network_test_support.h"

namespace trainyard::convex_relu {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const WorkCheck kNoCheck = [] { return absl::OkStatus(); };

NonconvexOptions SmallOptions() {
  NonconvexOptions options;
  options.neurons = 12;
  options.penalty = 1e-3;
  options.trials = {
      {.settings = {.kind = OptimizerKind::kSgd, .momentum = 0.5}, .steps = {0.1, 0.02}},
      {.settings = {.kind = OptimizerKind::kAdam}, .steps = {0.01}}};
  options.seeds = {3, 4, 5};
  options.epochs = 6;
  options.batch_fraction = 0.3;
  options.decay_epochs = 2;
  return options;
}

NetworkCase SmallCase() {
  return RandomCase(NetworkLoss::kSquared, 50, 6, 2, 9, /*weighted=*/true, 21);
}

TEST(NonconvexTrainingTest, IsTheSameForAnyNumberOfThreads) {
  const NetworkCase c = SmallCase();
  for (const bool gated : {false, true}) {
    std::vector<NonconvexRun> first;
    for (const int threads : {1, 2, 3}) {
      ThreadPool pool(threads);
      auto runs = *TrainNonconvex(DataOf(c), gated ? &c.gates : nullptr, SmallOptions(), {}, pool);
      ASSERT_EQ(runs.size(), 9);
      if (first.empty()) first = std::move(runs);
      for (size_t i = 0; i < runs.size(); ++i) {
        EXPECT_EQ(runs[i].objective, first[i].objective);
        ASSERT_EQ(runs[i].history.size(), 7);
        for (size_t epoch = 0; epoch < 7; ++epoch) {
          EXPECT_EQ(runs[i].history[epoch].objective, first[i].history[epoch].objective);
        }
        EXPECT_EQ(runs[i].weights.first.row(2)[1], first[i].weights.first.row(2)[1]);
      }
    }
  }
}

TEST(NonconvexTrainingTest, RunsAreOrderedAndSeedsShareTheirFirstWeights) {
  const NetworkCase c = SmallCase();
  ThreadPool pool(2);
  const auto runs = *TrainNonconvex(DataOf(c), nullptr, SmallOptions(), {}, pool);
  EXPECT_EQ(runs[4].trial, 0);
  EXPECT_EQ(runs[4].step, 0.02);
  EXPECT_EQ(runs[4].seed, 4);
  EXPECT_EQ(runs[7].trial, 1);
  EXPECT_EQ(runs[4].history[0].objective, runs[7].history[0].objective);
  EXPECT_NE(runs[4].history[0].objective, runs[5].history[0].objective);
  for (const NonconvexRun& run : runs) {
    EXPECT_LT(run.objective, run.history[0].objective);
    EXPECT_NEAR(run.objective, run.history.back().objective, 1e-6 * run.objective);
  }
}

// The objective from the predictions, as in the definition.
TEST(NonconvexTrainingTest, PredictionsGiveTheObjective) {
  NetworkCase c = SmallCase();
  c.row_weights.clear();
  ThreadPool pool(2);
  for (const PaddedMatrix<float>* gates : {static_cast<const PaddedMatrix<float>*>(nullptr),
                                           static_cast<const PaddedMatrix<float>*>(&c.gates)}) {
    const auto runs = *TrainNonconvex(DataOf(c), gates, SmallOptions(), {}, pool);
    const NonconvexPredictor predictor =
        *NonconvexPredictor::Make(c.features, gates, kNoCheck, pool);
    const std::vector<float> z = *predictor.Predict(runs[0].weights, kNoCheck);
    ASSERT_EQ(z.size(), c.targets.size());
    double objective = 0.5e-3 * SquaredNorm(runs[0].weights);
    for (size_t i = 0; i < z.size(); ++i) objective += std::pow(z[i] - c.targets[i], 2) / 200;
    EXPECT_NEAR(objective, runs[0].objective, 1e-6 * objective);
  }
}

TEST(NonconvexTrainingTest, ARunThatGrowsIsFlaggedAndEnds) {
  const NetworkCase c = SmallCase();
  ThreadPool pool(2);
  NonconvexOptions options = SmallOptions();
  options.epochs = 50;
  options.trials = {{.settings = {}, .steps = {1e4, 0.01}}};
  const auto runs = *TrainNonconvex(DataOf(c), nullptr, options, {}, pool);
  EXPECT_TRUE(runs[0].diverged);
  EXPECT_LT(runs[0].history.size(), 51);
  EXPECT_EQ(runs[0].objective, std::numeric_limits<double>::infinity());
  EXPECT_FALSE(runs[3].diverged);
  const auto steps = SummarizeSteps(runs);
  EXPECT_EQ(steps[0].diverged, 3);
  EXPECT_EQ(steps[0].mean, std::numeric_limits<double>::infinity());
  EXPECT_EQ(BestSteps(steps)[0].step, 0.01);
}

TEST(NonconvexTrainingTest, TargetsOfZeroDoNotDiverge) {
  NetworkCase c = SmallCase();
  std::fill(c.targets.begin(), c.targets.end(), 0.0F);
  ThreadPool pool(1);
  const auto runs = *TrainNonconvex(DataOf(c), nullptr, SmallOptions(), {}, pool);
  for (const NonconvexRun& run : runs) EXPECT_FALSE(run.diverged);
}

TEST(NonconvexTrainingTest, AnErrorOfTheCheckEndsAllRuns) {
  const NetworkCase c = RandomCase(NetworkLoss::kSquared, 2000, 30, 1, 1, false, 2);
  ThreadPool pool(2);
  NonconvexOptions options = SmallOptions();
  options.neurons = 500;
  options.epochs = 1000000;
  int calls = 0;
  const NonconvexHooks hooks = {
      .check = [&] { return ++calls < 4 ? absl::OkStatus() : absl::CancelledError("enough"); }};
  const auto runs = TrainNonconvex(DataOf(c), nullptr, options, hooks, pool);
  EXPECT_EQ(runs.status(), absl::CancelledError("enough"));
}

TEST(NonconvexTrainingTest, AnErrorOfTheMetricsEndsAllRuns) {
  const NetworkCase c = SmallCase();
  ThreadPool pool(2);
  NonconvexOptions options = SmallOptions();
  options.epochs = 1000000;
  std::atomic<int> calls{0};
  const NonconvexHooks hooks = {
      .metrics = [&](const NetworkWeights<float>&,
                     const WorkCheck&) -> absl::StatusOr<std::vector<double>> {
        if (++calls == 20) return absl::InternalError("no metric");
        return std::vector<double>{1};
      }};
  EXPECT_EQ(TrainNonconvex(DataOf(c), nullptr, options, hooks, pool).status(),
            absl::InternalError("no metric"));
}

TEST(NonconvexTrainingTest, ReportsEveryRecordAndKeepsMetrics) {
  const NetworkCase c = SmallCase();
  ThreadPool pool(2);
  NonconvexOptions options = SmallOptions();
  options.record_epochs = 4;
  std::vector<int> reports(9, 0);
  std::atomic<int> metrics{0};
  const NonconvexHooks hooks = {
      .progress =
          [&](const NonconvexProgress& progress) {
            EXPECT_EQ(progress.runs, 9);
            EXPECT_EQ(progress.epochs, 6);
            ++reports[progress.run];
          },
      .metrics =
          [&](const NetworkWeights<float>& weights, const WorkCheck& check) {
            EXPECT_TRUE(check().ok());
            ++metrics;
            return std::vector<double>{SquaredNorm(weights)};
          }};
  const auto runs = *TrainNonconvex(DataOf(c), nullptr, options, hooks, pool);
  EXPECT_THAT(reports, testing::Each(3));
  EXPECT_EQ(metrics, 27);
  std::vector<int> epochs;
  for (const EpochRecord& record : runs[0].history) epochs.push_back(record.epoch);
  EXPECT_THAT(epochs, ElementsAre(0, 4, 6));
  EXPECT_THAT(runs[0].history[2].metrics, ElementsAre(SquaredNorm(runs[0].weights)));
}

TEST(NonconvexTrainingTest, SummarisesSeeds) {
  std::vector<NonconvexRun> runs(5);
  const double objectives[] = {1, 2, 3, 1.5, 1.7};
  for (size_t i = 0; i < 5; ++i) {
    runs[i].step = i < 3 ? 1 : 0.5;
    runs[i].objective = objectives[i];
    runs[i].seconds = static_cast<double>(i);
  }
  const auto steps = SummarizeSteps(runs);
  ASSERT_EQ(steps.size(), 2);
  EXPECT_EQ(steps[0].runs, 3);
  EXPECT_DOUBLE_EQ(steps[0].mean, 2);
  EXPECT_EQ(steps[0].least, 1);
  EXPECT_EQ(steps[0].greatest, 3);
  EXPECT_DOUBLE_EQ(steps[0].spread, 1);
  EXPECT_DOUBLE_EQ(steps[1].seconds, 3.5);
  const auto best = BestSteps(steps);
  ASSERT_EQ(best.size(), 1);
  EXPECT_EQ(best[0].step, 0.5);
}

TEST(NonconvexTrainingTest, RejectsOptionsOutOfRange) {
  const NetworkCase c = SmallCase();
  ThreadPool pool(1);
  const auto message = [&](auto change) {
    NonconvexOptions options = SmallOptions();
    change(options);
    return std::string(TrainNonconvex(DataOf(c), nullptr, options, {}, pool).status().message());
  };
  EXPECT_THAT(message([](auto& o) { o.neurons = 0; }), HasSubstr("neurons is 0"));
  EXPECT_THAT(message([](auto& o) { o.penalty = -1; }), HasSubstr("penalty is -1"));
  EXPECT_THAT(message([](auto& o) { o.batch_fraction = 0; }), HasSubstr("batch_fraction"));
  EXPECT_THAT(message([](auto& o) { o.decay = 2; }), HasSubstr("decay is 2"));
  EXPECT_THAT(message([](auto& o) { o.trials[0].steps = {-1}; }), HasSubstr("step is -1"));
  EXPECT_THAT(message([](auto& o) { o.trials[0].settings.momentum = 1; }), HasSubstr("momentum"));
  PaddedMatrix<float> gates(3, 5);
  EXPECT_THAT(TrainNonconvex(DataOf(c), &gates, SmallOptions(), {}, pool).status().message(),
              HasSubstr("gates"));
}

// The update rules as their authors state them, in double.
TEST(NetworkOptimizerTest, FollowsTheUpdateRules) {
  for (const OptimizerKind kind : {OptimizerKind::kSgd, OptimizerKind::kAdam}) {
    const OptimizerSettings settings = {.kind = kind, .momentum = 0.8};
    NetworkOptimizer optimizer;
    ASSERT_TRUE(optimizer.Allocate(1, 1, 1, kind == OptimizerKind::kAdam, kNoCheck).ok());
    ASSERT_TRUE(optimizer.Reset(settings, kNoCheck).ok());
    NetworkWeights<float> weights(1, 1, 1);
    NetworkWeights<float> gradient(1, 1, 1);
    weights.first.row(0)[0] = 0.7F;
    double weight = weights.first.row(0)[0];
    double m = 0;
    double v = 0;
    for (int t = 1; t <= 5; ++t) {
      gradient.first.row(0)[0] = 0.1F * static_cast<float>(t * t) - 1;
      const double g = gradient.first.row(0)[0] + 0.05 * weight;
      if (kind == OptimizerKind::kSgd) {
        m = 0.8 * m + g;
        weight -= 0.3 * m;
      } else {
        m = 0.9 * m + 0.1 * g;
        v = 0.999 * v + 0.001 * g * g;
        weight -=
            0.3 * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
      }
      ASSERT_TRUE(optimizer.Step(0.3, 0.05, gradient, weights, kNoCheck).ok());
      EXPECT_NEAR(weights.first.row(0)[0], weight, 1e-5);
    }
  }
}

}  // namespace
}  // namespace trainyard::convex_relu
