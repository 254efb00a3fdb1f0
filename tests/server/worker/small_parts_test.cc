// Progress, arguments, devices.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/worker/command_line.h"
#include "server/worker/probe.h"
#include "server/worker/progress_estimator.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;

v1::Progress StepOf(int64_t step, double fraction, const char* phase = "fit") {
  v1::Progress progress;
  progress.set_phase(phase);
  progress.set_step(step);
  progress.set_fraction(fraction);
  return progress;
}

TEST(ProgressEstimatorTest, SteadyTrainingHasItsSpeedAndTime) {
  ProgressEstimator estimator(absl::Seconds(100));
  v1::Progress progress;
  for (int second = 0; second <= 10; ++second) {
    progress = StepOf(5 * second, second / 40.0);
    estimator.Complete(absl::Seconds(100 + second), progress);
  }
  EXPECT_NEAR(progress.steps_per_second(), 5, 1e-9);
  EXPECT_NEAR(progress.seconds_left(), 30, 1e-9);
}

TEST(ProgressEstimatorTest, SpeedFollowsAChangeWithItsHalfLife) {
  ProgressEstimator estimator(absl::ZeroDuration());
  v1::Progress progress = StepOf(0, 0);
  estimator.Complete(absl::ZeroDuration(), progress);
  EXPECT_EQ(progress.steps_per_second(), 0);
  EXPECT_EQ(progress.seconds_left(), -1);
  progress = StepOf(10, 0.1);
  estimator.Complete(absl::Seconds(1), progress);
  progress = StepOf(10 + 60, 0.2);
  estimator.Complete(absl::Seconds(4), progress);
  // Half of 10 a second, half of 20 a second.
  EXPECT_NEAR(progress.steps_per_second(), 15, 1e-9);
}

TEST(ProgressEstimatorTest, ANewPhaseBeginsAnewAndGivenValuesStay) {
  ProgressEstimator estimator(absl::ZeroDuration());
  v1::Progress progress = StepOf(0, 0);
  estimator.Complete(absl::ZeroDuration(), progress);
  progress = StepOf(100, 0.5);
  estimator.Complete(absl::Seconds(1), progress);
  progress = StepOf(100, 0.5, "store");
  estimator.Complete(absl::Seconds(2), progress);
  EXPECT_EQ(progress.steps_per_second(), 0);
  progress.set_steps_per_second(3);
  progress.set_seconds_left(4);
  estimator.Complete(absl::Seconds(3), progress);
  EXPECT_EQ(progress.steps_per_second(), 3);
  EXPECT_EQ(progress.seconds_left(), 4);
}

TEST(WorkerCommandTest, ReadsATraining) {
  const auto command = ParseWorkerCommand({"--cgroup=/a", "--cgroup=/b=c", "--server=unix:/s",
                                           "--attempt=projects/p/jobs/j/attempts/1", "--token_fd=3",
                                           "--work_dir=/w", "--give_up_after=90s"});
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->mode, WorkerCommand::Mode::kTrain);
  EXPECT_EQ(command->server, "unix:/s");
  EXPECT_EQ(command->token_fd, 3);
  EXPECT_EQ(command->worker.work_folder, "/w");
  EXPECT_EQ(command->worker.give_up_after, absl::Seconds(90));
  EXPECT_THAT(command->control_groups, ::testing::ElementsAre("/a", "/b=c"));
}

TEST(WorkerCommandTest, NamesWhatIsWrong) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{}, "--server"},
      {{"--server=x", "--attempt=a", "--work_dir=w"}, "--token_fd"},
      {{"--server=x", "--attempt=a", "--work_dir=w", "--token_fd=-1"}, "--token_fd=-1"},
      {{"--ingest", "--file=f"}, "--cache"},
      {{"--ingest", "--file=f", "--cache=c", "--threads=two"}, "--threads=two"},
      {{"--give_up_after=0s"}, "--give_up_after=0s"},
      {{"train"}, "'train'"},
  };
  for (const auto& [arguments, text] : cases) {
    const auto command = ParseWorkerCommand(arguments);
    EXPECT_EQ(command.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(command.status().message()), HasSubstr(text));
  }
}

TEST(ProbeTest, FindsTheCpuModel) {
  EXPECT_EQ(CpuModelIn("processor\t: 0\nmodel name\t: Xeon (R) 8 @ 2GHz\nflags: a\n"),
            "Xeon (R) 8 @ 2GHz");
  EXPECT_EQ(CpuModelIn("processor\t: 0\n"), "");
  EXPECT_EQ(CpuModelIn("model name\t:\n"), "");
}

TEST(ProbeTest, OffersTheCpu) {
  const v1::ServerInfo info = FindDevices();
  ASSERT_GE(info.devices_size(), 1);
  EXPECT_EQ(info.devices(0).id(), "cpu");
  EXPECT_GE(info.devices(0).slot_count(), 1);
  EXPECT_GT(info.devices(0).memory_bytes(), int64_t{1} << 28);
  EXPECT_EQ(info.devices(0).unavailable_reason(), "");
}

}  // namespace
}  // namespace trainyard
