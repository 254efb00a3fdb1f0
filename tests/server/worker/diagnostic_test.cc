#include "core/algorithms/diagnostic/diagnostic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/schema/field_rules.h"
#include "tests/core/algorithms/fake_training_context.h"

namespace trainyard {
namespace {

class DiagnosticTest : public ::testing::Test {
 protected:
  // Fills in the defaults and trains.
  absl::StatusOr<TrainingResult> Train(v1::DiagnosticSpec diagnostic) {
    v1::TrainingSpec spec;
    *spec.mutable_diagnostic() = diagnostic;
    FillDefaults(spec);
    return DiagnosticAlgorithm().Train(spec, {}, context_);
  }
  static double SumOfSquares(double n) { return n * (n + 1) * (2 * n + 1) / 6; }

  FakeTrainingContext context_;
};

TEST_F(DiagnosticTest, DoesEveryStepAndWritesItsModel) {
  v1::DiagnosticSpec spec;
  spec.set_steps(20);
  spec.set_log_lines_per_step(2);
  spec.set_model_bytes(3'000'000);
  const auto result = Train(spec);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->report.diagnostic().steps(), 20);
  EXPECT_EQ(result->report.diagnostic().first_step(), 0);
  EXPECT_EQ(result->report.diagnostic().checksum(), SumOfSquares(20));
  ASSERT_EQ(context_.metrics["step_value"].size(), 20u);
  EXPECT_EQ(context_.metrics["step_value"][2], (std::pair<int64_t, double>(3, 9.0)));
  EXPECT_EQ(context_.logs.size(), 40u);
  EXPECT_EQ(context_.progress.back().fraction(), 1);
  EXPECT_EQ(std::filesystem::file_size(context_.model_folder() / "model.bin"), 3'000'000u);
}

TEST_F(DiagnosticTest, ResumedRunDoesEveryStepOnce) {
  v1::DiagnosticSpec spec;
  spec.set_steps(20);
  spec.set_checkpoint_every_steps(6);
  context_.die_at_checkpoint = 12;
  EXPECT_EQ(Train(spec).status().message(), "died");
  const auto result = Train(spec);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->report.diagnostic().first_step(), 13);
  EXPECT_EQ(result->report.diagnostic().steps(), 20);
  EXPECT_EQ(result->report.diagnostic().checksum(), SumOfSquares(20));
  EXPECT_THAT(context_.checkpoint_steps, ::testing::ElementsAre(6, 12, 18));
}

TEST_F(DiagnosticTest, DamagedCheckpointIsDataLoss) {
  context_.checkpoint = "\xFF\xFF";
  EXPECT_EQ(Train({}).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(DiagnosticTest, CancellationStopsItUnlessIgnored) {
  v1::DiagnosticSpec spec;
  spec.set_steps(1000);
  context_.cancel_at = 5;
  EXPECT_EQ(Train(spec).status().code(), absl::StatusCode::kCancelled);
  EXPECT_LT(context_.metrics["step_value"].size(), 6u);
  spec.set_ignore_cancellation(true);
  spec.set_model_bytes(0);
  EXPECT_TRUE(Train(spec).ok());
}

TEST_F(DiagnosticTest, FinalesEndAsTold) {
  v1::DiagnosticSpec spec;
  spec.set_finale(v1::DiagnosticSpec::FINALE_USER_ERROR);
  EXPECT_EQ(Train(spec).status().code(), absl::StatusCode::kInvalidArgument);
  spec.set_finale(v1::DiagnosticSpec::FINALE_DIVERGE);
  EXPECT_EQ(Train(spec).status().code(), absl::StatusCode::kOutOfRange);
  // This context has no connection.
  spec.set_finale(v1::DiagnosticSpec::FINALE_WRITE_GARBAGE);
  EXPECT_EQ(Train(spec).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(DiagnosticTest, FinaleAppliesToEarlyAttemptsOnly) {
  class SecondAttempt : public TrainingContext {
   public:
    explicit SecondAttempt(FakeTrainingContext& fake) : fake_(fake) {}
    void ReportProgress(const v1::Progress& progress) override { fake_.ReportProgress(progress); }
    void ReportMetrics(int64_t step,
                       const std::vector<std::pair<std::string, double>>& values) override {
      fake_.ReportMetrics(step, values);
    }
    void Log(v1::LogLine::Severity severity, std::string_view text) override {
      fake_.Log(severity, text);
    }
    absl::Status CheckCancelled() override { return fake_.CheckCancelled(); }
    absl::Status SaveCheckpoint(int64_t step, std::string_view state) override {
      return fake_.SaveCheckpoint(step, state);
    }
    absl::StatusOr<std::optional<std::string>> LoadCheckpoint() override {
      return fake_.LoadCheckpoint();
    }
    const std::filesystem::path& model_folder() const override { return fake_.model_folder(); }
    int threads() const override { return 1; }
    int attempt() const override { return 2; }

   private:
    FakeTrainingContext& fake_;
  };
  v1::TrainingSpec spec;
  spec.mutable_diagnostic()->set_finale(v1::DiagnosticSpec::FINALE_USER_ERROR);
  spec.mutable_diagnostic()->set_finale_until_attempt(1);
  FillDefaults(spec);
  EXPECT_FALSE(DiagnosticAlgorithm().Train(spec, {}, context_).ok());
  SecondAttempt second(context_);
  EXPECT_TRUE(DiagnosticAlgorithm().Train(spec, {}, second).ok());
}

TEST_F(DiagnosticTest, ModelsCannotBeApplied) {
  EXPECT_EQ(DiagnosticAlgorithm().LoadPredictor({}, "/").status().code(),
            absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace trainyard
