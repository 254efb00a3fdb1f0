// The training loop: every way it ends, and that runs are the same however they are cut.
#include "core/nn/training/training_loop.h"

#include <cmath>
#include <thread>
#include <vector>

#include "core/nn/ops/matmul.h"
#include "core/nn/training/thread_all_reduce.h"
#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/tensor_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/algorithms/fake_training_context.h"
#include "tests/core/nn/training_test_support.h"

namespace trainyard::nn {
namespace {

using testing::HasSubstr;

struct Outcome {
  absl::StatusOr<TrainingSummary> summary = absl::UnknownError("not run");
  std::vector<double> weights;
};

Outcome Train(SmallRegression& model, const TrainingOptions& options, TrainingContext& context) {
  Outcome run;
  run.summary = RunTraining(model, options, context);
  run.weights = model.Weights();
  return run;
}

Outcome Train(const TrainingOptions& options, FakeTrainingContext& context, double dropout = 0) {
  SmallRegression model(DType::kFloat32, dropout);
  return Train(model, options, context);
}

TEST(TrainingLoopTest, LearnsAndReports) {
  FakeTrainingContext context;
  TrainingOptions options = SmallOptions(300);
  const Outcome run = Train(options, context);
  ASSERT_TRUE(run.summary.ok()) << run.summary.status();
  EXPECT_EQ(run.summary->end, TrainingEnd::kSteps);
  EXPECT_EQ(run.summary->steps, 300);
  EXPECT_EQ(run.summary->epochs, 60);
  EXPECT_EQ(run.summary->weight, 2400);
  EXPECT_GT(run.summary->median_step_seconds, 0);
  EXPECT_GT(run.summary->peak_memory_bytes, 0);
  EXPECT_LT(run.summary->best_objective, 0.1);
  const auto& losses = context.metrics["train/loss"];
  ASSERT_EQ(losses.size(), 60);
  EXPECT_LT(losses.back().second, losses.front().second / 3);
  EXPECT_EQ(context.metrics["train/rows"][3].second, 1);
  EXPECT_EQ(context.metrics["validation/loss"].size(), 43);
  EXPECT_EQ(context.metrics["train/learning_rate"].size(), 60);
  ASSERT_FALSE(context.progress.empty());
  EXPECT_EQ(context.progress.front().step_count(), 300);
}

TEST(TrainingLoopTest, EpochsAndWeightEndIt) {
  FakeTrainingContext context;
  TrainingOptions options = SmallOptions(0);
  options.budget.epochs = 2.5;
  options.evaluate_every = 0;
  const Outcome epochs = Train(options, context);
  ASSERT_TRUE(epochs.summary.ok());
  EXPECT_EQ(epochs.summary->end, TrainingEnd::kEpochs);
  EXPECT_EQ(epochs.summary->steps, 13);
  // After each epoch and at the end.
  EXPECT_EQ(context.metrics["validation/loss"].size(), 3);
  options = SmallOptions(0);
  options.budget.weight = 100;
  const Outcome weight = Train(options, context);
  ASSERT_TRUE(weight.summary.ok());
  EXPECT_EQ(weight.summary->end, TrainingEnd::kWeight);
  EXPECT_EQ(weight.summary->steps, 13);
}

TEST(TrainingLoopTest, SecondsEndIt) {
  FakeTrainingContext context;
  TickingClock clock(absl::Milliseconds(100));
  TrainingOptions options = SmallOptions(0);
  options.budget.seconds = 2;
  options.clock = &clock;
  const Outcome run = Train(options, context);
  ASSERT_TRUE(run.summary.ok());
  EXPECT_EQ(run.summary->end, TrainingEnd::kSeconds);
  EXPECT_GE(run.summary->seconds, 2);
  EXPECT_LT(run.summary->steps, 21);
}

TEST(TrainingLoopTest, StopsWhenEvaluationsGetNoBetterAndRestoresTheBest) {
  SmallRegression model;
  FakeTrainingContext context;
  TrainingOptions options = SmallOptions(1000);
  options.evaluate_every = 2;
  options.early_stopping = {.patience = 3, .least_gain = 0.01};
  std::vector<std::vector<double>> weights;
  model.judge = [&](int evaluation) {
    weights.push_back(model.Weights());
    const double objectives[] = {5, 3, 2.995, 4, std::nan(""), 1};
    return objectives[evaluation - 1];
  };
  const Outcome run = Train(model, options, context);
  ASSERT_TRUE(run.summary.ok());
  EXPECT_EQ(run.summary->end, TrainingEnd::kNoBetter);
  EXPECT_EQ(run.summary->steps, 10);
  EXPECT_EQ(run.summary->best_step, 4);
  EXPECT_EQ(run.summary->best_objective, 3);
  EXPECT_EQ(run.weights, weights[1]);
}

TEST(TrainingLoopTest, WithoutRestoringItEndsWithTheLastWeights) {
  SmallRegression model;
  FakeTrainingContext context;
  TrainingOptions options = SmallOptions(6);
  options.evaluate_every = 2;
  options.early_stopping.restore_best = false;
  std::vector<std::vector<double>> weights;
  model.judge = [&](int evaluation) {
    weights.push_back(model.Weights());
    return evaluation;
  };
  const Outcome run = Train(model, options, context);
  ASSERT_EQ(weights.size(), 3);
  EXPECT_EQ(run.weights, weights[2]);
}

TEST(TrainingLoopTest, AveragedWeightsAreEvaluatedAndKept) {
  FakeTrainingContext context;
  TrainingOptions options = SmallOptions(6);
  options.evaluate_every = 6;
  options.average_decay = 0.9;
  SmallRegression model;
  std::vector<double> evaluated;
  model.judge = [&](int) {
    evaluated = model.Weights();
    return 1.0;
  };
  const Outcome averaged = Train(model, options, context);
  EXPECT_EQ(averaged.weights, evaluated);
  options.early_stopping.restore_best = false;
  EXPECT_EQ(Train(options, context).weights, evaluated);
  options.average_decay = 0;
  EXPECT_NE(Train(options, context).weights, evaluated);
}

TEST(TrainingLoopTest, MicroBatchesGiveTheStepOfTheWholeBatch) {
  FakeTrainingContext context;
  TrainingOptions options = SmallOptions(20);
  const auto train = [&](int64_t micro_batch) {
    options.micro_batch = micro_batch;
    SmallRegression model(DType::kFloat64);
    return Train(model, options, context).weights;
  };
  const std::vector<double> whole = train(0);
  for (const int64_t size : {1, 3, 8}) {
    const std::vector<double> parts = train(size);
    for (size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(parts[i], whole[i], 1e-10);
  }
}

TEST(TrainingLoopTest, IsTheSameWithAnyNumberOfThreads) {
  FakeTrainingContext context;
  std::vector<std::vector<double>> weights;
  for (const int threads : {1, 2, 2}) {
    CpuDevice device(threads);
    SmallRegression model(DType::kFloat32, 0.2, device);
    weights.push_back(Train(model, SmallOptions(20), context).weights);
  }
  EXPECT_EQ(weights[1], weights[2]);
  EXPECT_EQ(weights[0], weights[1]);
}

TEST(TrainingLoopTest, AResumedRunHasTheBitsOfAnUninterruptedOne) {
  TrainingOptions options = SmallOptions(30);
  options.checkpoint_every = absl::ZeroDuration();
  options.average_decay = 0.95;
  options.early_stopping.patience = 100;
  options.divergence.rollbacks = 1;
  FakeTrainingContext whole_context;
  whole_context.keep_checkpoints = true;
  const Outcome whole = Train(options, whole_context, /*dropout=*/0.3);
  ASSERT_TRUE(whole.summary.ok());
  ASSERT_EQ(whole_context.checkpoints.size(), 30);
  for (const size_t cut : {0, 6, 7, 13, 29}) {
    FakeTrainingContext context;
    context.checkpoint = whole_context.checkpoints[cut];
    const Outcome resumed = Train(options, context, /*dropout=*/0.3);
    ASSERT_TRUE(resumed.summary.ok()) << resumed.summary.status();
    EXPECT_EQ(resumed.weights, whole.weights) << cut;
    EXPECT_EQ(resumed.summary->best_step, whole.summary->best_step);
    EXPECT_EQ(resumed.summary->best_objective, whole.summary->best_objective);
    EXPECT_EQ(resumed.summary->weight, whole.summary->weight);
    if (cut == 29) continue;  // nothing was left to do
    ASSERT_FALSE(context.metrics["train/loss"].empty());
    EXPECT_EQ(context.metrics["train/loss"].back(), whole_context.metrics["train/loss"].back());
  }
}

// A weight of [4, 1] as the product of two factors, until a step where it becomes one matrix.
class SwitchingRegression : public Trainable {
 public:
  SwitchingRegression() : parameters_(TestDevice(), 11) {
    parameters_.Add("first", {4, 2}, Initializer::Normal(1), true);
    parameters_.Add("second", {2, 1}, Initializer::Normal(1), true);
  }
  ParameterSet& parameters() override { return parameters_; }
  int64_t samples() const override { return 16; }
  absl::Status BeforeStep(int64_t step, double fraction) override {
    EXPECT_DOUBLE_EQ(fraction, static_cast<double>(step) / 20);
    if (step == 10 && parameters_.Find("whole") == nullptr) Switch();
    return absl::OkStatus();
  }
  SummedLoss Loss(const MicroBatch& batch) override {
    const Variable x =
        RandomTensor({4, 4}, static_cast<uint64_t>(batch.samples[0]), DType::kFloat32);
    return {SquaredError(Predict(x), Tensor::Full(TestDevice(), {4, 1}, 1), {.divisor = 1}), 4};
  }
  absl::StatusOr<Evaluation> Evaluate(const std::function<absl::Status()>&) override {
    const Variable x = RandomTensor({64, 4}, 99, DType::kFloat32);
    const double objective =
        SquaredError(Predict(x), Tensor::Full(TestDevice(), {64, 1}, 1)).value().Item();
    return Evaluation{objective, {}};
  }
  void Save(ByteWriter& writer) const override {
    writer.Put(static_cast<uint8_t>(parameters_.Find("whole") != nullptr));
  }
  void Load(ByteReader& reader) override {
    if (reader.Take<uint8_t>() != 0 && parameters_.Find("whole") == nullptr) Switch();
  }

 private:
  Variable Predict(const Variable& x) const {
    const Parameter* const whole = parameters_.Find("whole");
    if (whole != nullptr) return LinearProduct(x, *whole, Variable());
    return LinearProduct(LinearProduct(x, *parameters_.Find("first"), Variable()),
                         *parameters_.Find("second"), Variable());
  }
  void Switch() {
    const NoGradScope no_grad;
    const Tensor product = Matmul(*parameters_.Find("first"), *parameters_.Find("second")).value();
    parameters_.Remove("first");
    parameters_.Remove("second");
    parameters_.Add("whole", {4, 1}, Initializer::Constant(0), true).value().CopyFrom(product);
  }
  ParameterSet parameters_;
};

TEST(TrainingLoopTest, ParametersMayBeExchangedOnTheWayAndResumed) {
  TrainingOptions options = SmallOptions(20);
  options.batch = 4;
  options.average_decay = 0.9;
  options.evaluate_every = 4;
  options.checkpoint_every = absl::ZeroDuration();
  FakeTrainingContext whole_context;
  whole_context.keep_checkpoints = true;
  SwitchingRegression whole;
  const auto summary = RunTraining(whole, options, whole_context);
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_GE(summary->best_step, 12);  // evaluations of the other parameters no longer count
  const std::vector<double> expected = Doubles(whole.parameters().Find("whole")->value());
  for (const size_t cut : {3, 8, 9, 10, 11, 15}) {
    FakeTrainingContext context;
    context.checkpoint = whole_context.checkpoints[cut];
    SwitchingRegression resumed;
    const auto again = RunTraining(resumed, options, context);
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(Doubles(resumed.parameters().Find("whole")->value()), expected) << cut;
    EXPECT_EQ(again->best_objective, summary->best_objective);
  }
}

TEST(TrainingLoopTest, RatesFollowAnyBudget) {
  FakeTrainingContext context;
  TrainingOptions options = SmallOptions(0);
  options.budget.weight = 8 * 100;
  options.report_every = 1;
  options.schedule = {.decay = RateSchedule::Decay::kLinear, .peak = 0.01, .warmup_share = 0.2};
  ASSERT_TRUE(Train(options, context).summary.ok());
  const auto& rates = context.metrics["train/learning_rate"];
  ASSERT_EQ(rates.size(), 100);
  EXPECT_NEAR(rates[10].second, 0.005, 1e-6);
  EXPECT_NEAR(rates[60].second, 0.005, 1e-6);
  options.schedule = {.decay = RateSchedule::Decay::kLinear, .peak = 0.01, .warmup_steps = 4};
  FakeTrainingContext other;
  ASSERT_TRUE(Train(options, other).summary.ok());
  EXPECT_NEAR(other.metrics["train/learning_rate"][1].second, 0.005, 1e-9);
  EXPECT_NEAR(other.metrics["train/learning_rate"][50].second, 0.005, 1e-6);
}

TEST(TrainingLoopTest, AnEvaluationThatRunsOutOfMemoryPutsAveragesBack) {
  CpuDevice device(1, size_t{4} << 20);
  SmallRegression model(DType::kFloat32, 0, device);
  FakeTrainingContext context;
  TrainingOptions options = SmallOptions(10);
  options.average_decay = 0.9;
  std::vector<Tensor> hoard;
  model.judge = [&](int) {
    while (true) hoard.push_back(Tensor::Empty(device, {16}));
    return 0.0;
  };
  const Outcome run = Train(model, options, context);
  EXPECT_EQ(run.summary.status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(TrainingLoopTest, ACheckpointOfAnotherTrainingIsNotUsed) {
  TrainingOptions options = SmallOptions(10);
  options.checkpoint_every = absl::ZeroDuration();
  FakeTrainingContext context;
  const Outcome first = Train(options, context);
  options.fingerprint = 1;
  const Outcome second = Train(options, context);
  EXPECT_EQ(second.weights, first.weights);
  EXPECT_THAT(context.logs.front().second, HasSubstr("does not belong to this job"));
}

TEST(TrainingLoopTest, ADamagedCheckpointIsAnError) {
  TrainingOptions options = SmallOptions(10);
  options.checkpoint_every = absl::ZeroDuration();
  FakeTrainingContext context;
  Train(options, context);
  (*context.checkpoint)[100] ^= 1;
  EXPECT_EQ(Train(options, context).summary.status().code(), absl::StatusCode::kDataLoss);
}

TEST(TrainingLoopTest, CancelsBetweenMicroBatches) {
  SmallRegression model;
  FakeTrainingContext context;
  context.cancel_at = 8;
  const Outcome run = Train(model, SmallOptions(1000), context);
  EXPECT_EQ(run.summary.status().code(), absl::StatusCode::kCancelled);
  EXPECT_LE(model.losses, 8);
}

TEST(TrainingLoopTest, SkipsStepsThatAreNotFinite) {
  SmallRegression model;
  FakeTrainingContext context;
  model.spoil = [](int64_t step) { return step == 3 || step == 9; };
  const Outcome run = Train(model, SmallOptions(12), context);
  ASSERT_TRUE(run.summary.ok());
  EXPECT_EQ(run.summary->skipped_steps, 2);
  for (const double weight : run.weights) EXPECT_TRUE(std::isfinite(weight));
  EXPECT_EQ(context.metrics["train/skipped_steps"].back().second, 2);
}

TEST(TrainingLoopTest, TooManyOfThemAreADivergence) {
  SmallRegression model;
  FakeTrainingContext context;
  model.spoil = [](int64_t step) { return step >= 4; };
  TrainingOptions options = SmallOptions(100);
  options.divergence.patience = 3;
  const Outcome run = Train(model, options, context);
  EXPECT_EQ(run.summary.status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(std::string(run.summary.status().message()),
              HasSubstr("the training diverged: 3 steps in a row up to step 7"));
}

TEST(TrainingLoopTest, GoesBackToTheLastGoodStateWithALowerRate) {
  SmallRegression model;
  FakeTrainingContext context;
  int bad = 0;
  model.spoil = [&](int64_t step) { return step >= 9 && bad++ < 6; };
  TrainingOptions options = SmallOptions(20);
  options.divergence = {.patience = 3, .rollbacks = 2, .good_state_every = 5};
  options.report_every = 1;
  options.schedule = {.peak = 0.02};
  const Outcome run = Train(model, options, context);
  ASSERT_TRUE(run.summary.ok()) << run.summary.status();
  EXPECT_EQ(run.summary->rollbacks, 1);
  EXPECT_EQ(run.summary->steps, 20);
  EXPECT_EQ(run.summary->skipped_steps, 3);
  EXPECT_EQ(context.metrics["train/learning_rate"].back().second, 0.01);
  // Step 7 was an evaluation, so it is the last good state.
  EXPECT_THAT(context.logs.front().second, HasSubstr("goes on from step 7 with 0.5 times"));
}

TEST(TrainingLoopTest, RollbacksEndToo) {
  SmallRegression model;
  FakeTrainingContext context;
  model.spoil = [](int64_t step) { return step >= 9; };
  TrainingOptions options = SmallOptions(20);
  options.divergence = {.patience = 2, .rollbacks = 2};
  EXPECT_EQ(Train(model, options, context).summary.status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(context.logs.size(), 2);
}

TEST(TrainingLoopTest, MemoryThatRunsOutIsAStatus) {
  CpuDevice device(1, size_t{4} << 20);
  SmallRegression model(DType::kFloat32, 0, device);
  FakeTrainingContext context;
  const size_t live = device.memory().statistics().live_bytes;
  model.during_loss = [&](int64_t step) {
    if (step == 3) Tensor::Empty(device, {int64_t{1} << 22});
  };
  const Outcome run = Train(model, SmallOptions(10), context);
  EXPECT_EQ(run.summary.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(device.memory().statistics().live_bytes, live);
}

TEST(TrainingLoopTest, ErrorsOfTheModelArePassedUp) {
  SmallRegression model;
  FakeTrainingContext context;
  model.during_loss = [](int64_t) { ThrowInvalidTensor("no such shape"); };
  EXPECT_THAT(std::string(Train(model, SmallOptions(10), context).summary.status().message()),
              HasSubstr("no such shape"));
}

TEST(TrainingLoopTest, OptionsAreChecked) {
  const auto message = [](const TrainingOptions& options) {
    FakeTrainingContext context;
    return std::string(Train(options, context).summary.status().message());
  };
  EXPECT_THAT(message(SmallOptions(0)), HasSubstr("budget sets no limit"));
  TrainingOptions options = SmallOptions(5);
  options.batch = 0;
  EXPECT_THAT(message(options), HasSubstr("batch is 0; it must be at least"));
  options = SmallOptions(5);
  options.schedule.peak = 0;
  EXPECT_THAT(message(options), HasSubstr("schedule.peak is 0; it must be above 0"));
  options = SmallOptions(5);
  options.average_decay = 1;
  EXPECT_THAT(message(options), HasSubstr("average_decay is 1"));
  options = SmallOptions(5);
  options.clip_norm = -1;
  EXPECT_THAT(message(options), HasSubstr("clip_norm is -1"));
}

// Trains on `workers` threads, each with a model and a device of its own.
std::vector<Outcome> TrainTogether(
    int workers, TrainingOptions options,
    const std::function<void(int rank, FakeTrainingContext&)>& prepare) {
  std::vector<std::unique_ptr<AllReduce>> ends = MakeThreadAllReduce(workers);
  std::vector<Outcome> runs(static_cast<size_t>(workers));
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < workers; ++rank) {
    threads.emplace_back([&, rank] {
      CpuDevice device(1);
      SmallRegression model(DType::kFloat64, 0.2, device);
      FakeTrainingContext context;
      if (prepare) prepare(rank, context);
      TrainingOptions own = options;
      own.all_reduce = ends[static_cast<size_t>(rank)].get();
      runs[static_cast<size_t>(rank)] = Train(model, own, context);
      EXPECT_EQ(context.metrics.empty(), rank > 0);
    });
  }
  threads.clear();
  return runs;
}

TEST(TrainingLoopTest, SeveralWorkersGiveWhatOneGives) {
  TrainingOptions options = SmallOptions(20);
  options.batch = 12;
  options.micro_batch = 2;
  options.early_stopping.patience = 50;
  options.average_decay = 0.9;
  FakeTrainingContext context;
  SmallRegression model(DType::kFloat64, 0.2);
  const std::vector<double> alone = Train(model, options, context).weights;
  for (const int workers : {2, 3}) {
    const std::vector<Outcome> runs = TrainTogether(workers, options, nullptr);
    for (const Outcome& run : runs) {
      ASSERT_TRUE(run.summary.ok()) << run.summary.status();
      EXPECT_EQ(run.weights, runs[0].weights);
      for (size_t i = 0; i < alone.size(); ++i) EXPECT_NEAR(run.weights[i], alone[i], 1e-10);
    }
    EXPECT_EQ(TrainTogether(workers, options, nullptr)[1].weights, runs[0].weights);
  }
}

TEST(TrainingLoopTest, AWorkerThatEndsEndsTheOthers) {
  const std::vector<Outcome> runs =
      TrainTogether(2, SmallOptions(1000), [](int rank, FakeTrainingContext& context) {
        if (rank == 1) context.cancel_at = 50;
      });
  EXPECT_EQ(runs[0].summary.status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(runs[1].summary.status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace trainyard::nn
