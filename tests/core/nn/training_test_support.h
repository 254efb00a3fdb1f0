// Small trainings for the tests of the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/nn/layers/feed_forward.h"
#include "core/nn/layers/initializers.h"
#include "core/nn/ops/arithmetic.h"
#include "core/nn/ops/losses.h"
#include "core/nn/training/trainable.h"
#include "core/nn/training/training_options.h"
#include "tests/core/nn/nn_test_support.h"

namespace trainyard::nn {

// A clock that moves by `tick` whenever it is asked.
class TickingClock final : public Clock {
 public:
  explicit TickingClock(absl::Duration tick) : tick_(tick) {}
  absl::Time Now() override { return absl::UnixEpoch() + Monotonic(); }
  absl::Duration Monotonic() override { return now_ += tick_; }

 private:
  const absl::Duration tick_;
  absl::Duration now_ = absl::ZeroDuration();
};

// A network of 4 -> 8 -> 1 on 40 rows of y = sum of squares.
class SmallRegression : public Trainable {
 public:
  explicit SmallRegression(DType type = DType::kFloat32, double dropout = 0,
                           Device& device = TestDevice())
      : parameters_(device, 11, type),
        network_(parameters_, "net", std::vector<int64_t>{4, 8, 1},
                 {.activation = Activation::kTanh, .dropout = dropout}),
        x_(RandomTensor({kRows, 4}, 21, type, 0, device)) {
    const std::vector<double> values = Doubles(x_);
    std::vector<double> targets;
    for (int64_t row = 0; row < kRows; ++row) {
      double sum = 0;
      for (int64_t j = 0; j < 4; ++j) sum += values[row * 4 + j] * values[row * 4 + j];
      targets.push_back(sum / 4);
    }
    y_ = Tensor::FromValues(device, {kRows, 1}, std::span<const double>(targets)).To(type);
  }

  ParameterSet& parameters() override { return parameters_; }
  int64_t samples() const override { return kRows; }

  SummedLoss Loss(const MicroBatch& batch) override {
    ++losses;
    const auto count = static_cast<int64_t>(batch.samples.size());
    Variable loss = SquaredError(network_(Rows(x_, batch.samples), batch.random),
                                 Rows(y_, batch.samples), {.divisor = 1});
    if (spoil && spoil(batch.step)) loss = loss * std::numeric_limits<double>::quiet_NaN();
    if (during_loss) during_loss(batch.step);
    return {loss, static_cast<double>(count), {{"rows", static_cast<double>(count)}}};
  }

  absl::StatusOr<Evaluation> Evaluate(const std::function<absl::Status()>& check) override {
    if (const absl::Status status = check(); !status.ok()) return status;
    ++evaluations;
    double objective = SquaredError(network_(x_, nullptr), y_).value().Item();
    if (judge) objective = judge(evaluations);
    return Evaluation{objective, {{"validation/loss", objective}}};
  }

  std::vector<double> Weights() const {
    std::vector<double> all;
    for (const auto& parameter : parameters_.all()) {
      for (const double value : Doubles(parameter->value())) all.push_back(value);
    }
    return all;
  }

  static constexpr int64_t kRows = 40;
  int losses = 0;
  int evaluations = 0;
  std::function<bool(int64_t step)> spoil;  // makes a loss NaN
  std::function<void(int64_t step)> during_loss;
  std::function<double(int evaluation)> judge;  // gives the objective instead

 private:
  static Tensor Rows(const Tensor& table, std::span<const int64_t> samples) {
    const Tensor rows = Tensor::Empty(
        table.device(), {static_cast<int64_t>(samples.size()), table.size(1)}, table.dtype());
    for (size_t i = 0; i < samples.size(); ++i) {
      rows.Slice(0, static_cast<int64_t>(i), 1).CopyFrom(table.Slice(0, samples[i], 1));
    }
    return rows;
  }

  ParameterSet parameters_;
  Mlp network_;
  Tensor x_;
  Tensor y_;
};

// 8 samples a step in micro-batches of 4, AdamW.
inline TrainingOptions SmallOptions(int64_t steps) {
  TrainingOptions options;
  options.budget.steps = steps;
  options.batch = 8;
  options.micro_batch = 4;
  options.seed = 5;
  options.optimizer.weight_decay = 0.01;
  options.schedule = {.decay = RateSchedule::Decay::kCosine, .peak = 0.02, .warmup_steps = 3};
  options.clip_norm = 1;
  options.evaluate_every = 7;
  options.report_every = 5;
  options.checkpoint_every = absl::InfiniteDuration();
  return options;
}

}  // namespace trainyard::nn
