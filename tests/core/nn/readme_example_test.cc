// The model of core/nn/README.md, as it stands there.
#include <cmath>
#include <vector>

#include "core/nn/layers/linear.h"
#include "core/nn/layers/norm.h"
#include "core/nn/ops/cross_entropy.h"
#include "core/nn/ops/dropout.h"
#include "core/nn/training/training_loop.h"
#include "gtest/gtest.h"
#include "tests/core/algorithms/fake_training_context.h"
#include "tests/core/nn/nn_test_support.h"

namespace trainyard::nn {
namespace {

Tensor RowsOf(const Tensor& table, std::span<const int64_t> samples) {
  const Tensor rows =
      Tensor::Empty(table.device(), table.shape().WithDim(0, static_cast<int64_t>(samples.size())),
                    table.dtype());
  for (size_t i = 0; i < samples.size(); ++i) {
    rows.Slice(0, static_cast<int64_t>(i), 1).CopyFrom(table.Slice(0, samples[i], 1));
  }
  return rows;
}

class Classifier final : public Trainable {
 public:
  Classifier(Device& device, Tensor x, Tensor classes)  // [n, 16], int32 [n]
      : parameters_(device, /*seed=*/1),
        in_(parameters_, "in", 16, 64, {{.activation = Activation::kGelu}}),
        norm_(parameters_, "norm", NormKind::kLayer, 64),
        out_(parameters_, "out", 64, 3),
        x_(std::move(x)),
        classes_(std::move(classes)) {}

  ParameterSet& parameters() override { return parameters_; }
  int64_t samples() const override { return x_.size(0); }

  SummedLoss Loss(const MicroBatch& batch) override {
    const Variable logits = Logits(RowsOf(x_, batch.samples), batch.random);
    return {CrossEntropy(logits, RowsOf(classes_, batch.samples)),
            static_cast<double>(batch.samples.size())};
  }

  absl::StatusOr<Evaluation> Evaluate(const std::function<absl::Status()>&) override {
    const double rows = static_cast<double>(samples());
    const double loss =
        CrossEntropy(Logits(x_, nullptr), classes_, {.divisor = rows}).value().Item();
    return Evaluation{loss, {{"validation/loss", loss}}};
  }

 private:
  Variable Logits(const Variable& x, RandomSource* random) const {
    return out_(Dropout(norm_(in_(x)), 0.1, random));
  }

  ParameterSet parameters_;
  Linear in_;
  Norm norm_;
  Linear out_;
  Tensor x_;
  Tensor classes_;
};

// Classes by the sign of the first two columns.
TEST(ReadmeExampleTest, Learns) {
  const Tensor x = RandomTensor({300, 16}, 1, DType::kFloat32);
  const std::vector<double> values = Doubles(x);
  std::vector<int32_t> classes;
  for (size_t row = 0; row < 300; ++row) {
    classes.push_back(values[row * 16] > 0 ? 0 : values[row * 16 + 1] > 0 ? 1 : 2);
  }
  Classifier model(TestDevice(), x,
                   Tensor::FromValues(TestDevice(), {300}, std::span<const int32_t>(classes)));
  TrainingOptions options;
  options.budget.epochs = 30;
  options.batch = 50;
  options.micro_batch = 25;
  options.optimizer.weight_decay = 0.01;
  options.schedule = {.decay = RateSchedule::Decay::kCosine, .peak = 0.01, .warmup_share = 0.1};
  FakeTrainingContext context;
  const absl::StatusOr<TrainingSummary> summary = RunTraining(model, options, context);
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_LT(summary->best_objective, std::log(3.0) / 10);
}

}  // namespace
}  // namespace trainyard::nn
