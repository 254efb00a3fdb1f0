// Cancellation in every state, against workers that cooperate and workers that do not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/end_to_end/harness.h"

namespace trainyard::e2e {
namespace {

constexpr double kGraceSeconds = 0.5;

class CancellationTest : public ::testing::Test {
 protected:
  // Waits until no process of the job is left; returns how long that took.
  absl::Duration TimeUntilGone(const std::string& job) {
    const absl::Time start = absl::Now();
    while (!FindAttemptProcesses(service_.data_dir().string(), job).all.empty()) {
      if (absl::Now() - start > absl::Seconds(20)) {
        ADD_FAILURE() << "processes of " << job << " are left";
        break;
      }
      absl::SleepFor(absl::Milliseconds(10));
    }
    return absl::Now() - start;
  }

  void ExpectCancelled(const std::string& id) {
    const v1::Job job = service_.WaitForEnd(id);
    EXPECT_EQ(job.state(), v1::Job::STATE_CANCELLED);
    EXPECT_EQ(job.end_cause(), v1::Attempt::END_CAUSE_CANCELLED);
    CheckHistory(job, service_.Events(id));
  }

  Service service_{{"--cpu_slots=1", absl::StrCat("--cancel_grace_seconds=", kGraceSeconds)}};
};

TEST_F(CancellationTest, QueuedJobEndsAtOnceAndNeverStarts) {
  const std::string running = service_.SubmitDiagnostic({"steps=1000", "step_seconds=0.05"});
  const std::string queued = service_.SubmitDiagnostic({"steps=1"});
  v1::Job job;
  service_.RunJson({"jobs", "cancel", queued}, job);
  EXPECT_EQ(job.state(), v1::Job::STATE_CANCELLED);
  EXPECT_EQ(job.attempts_size(), 0);
  service_.RunJson({"jobs", "cancel", running}, job);
  ExpectCancelled(running);
}

TEST_F(CancellationTest, RunningJobStopsPolitely) {
  const std::string id = service_.SubmitDiagnostic({"steps=100000", "step_seconds=0.01"});
  service_.WaitForState(id, {v1::Job::STATE_RUNNING});
  EXPECT_EQ(service_.Run({"jobs", "cancel", id}).exit_code, 0);
  ExpectCancelled(id);
  EXPECT_LT(TimeUntilGone(id), absl::Seconds(5));
}

TEST_F(CancellationTest, WorkerThatIgnoresEverythingIsKilledWithAllItStarted) {
  const std::string id = service_.SubmitDiagnostic(
      {"steps=100000", "step_seconds=0.01", "ignore_cancellation=true", "stray_processes=3"});
  service_.WaitForState(id, {v1::Job::STATE_RUNNING});
  while (FindAttemptProcesses(service_.data_dir().string(), id).all.size() < 4) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  const absl::Time start = absl::Now();
  EXPECT_EQ(service_.Run({"jobs", "cancel", id}).exit_code, 0);
  TimeUntilGone(id);
  // Polite request, grace, SIGTERM, grace, SIGKILL. The margin is for a loaded machine; the
  // benchmark holds the tight bound.
  EXPECT_LT(absl::Now() - start, absl::Seconds(2 * kGraceSeconds + 5));
  ExpectCancelled(id);
}

TEST_F(CancellationTest, StrayProcessesDieWhenTheJobEndsWell) {
  const std::string id = service_.SubmitDiagnostic({"steps=1", "stray_processes=2"});
  EXPECT_EQ(service_.WaitForEnd(id).state(), v1::Job::STATE_SUCCEEDED);
  TimeUntilGone(id);
}

TEST_F(CancellationTest, EndedJobsCannotBeCancelled) {
  const std::string id = service_.SubmitDiagnostic({"steps=1"}, {"--wait"});
  const CommandResult result = service_.Run({"jobs", "cancel", id});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, ::testing::HasSubstr("SUCCEEDED"));
}

TEST_F(CancellationTest, CancellingTwiceChangesNothing) {
  const std::string id = service_.SubmitDiagnostic({"steps=100000", "step_seconds=0.01"});
  EXPECT_EQ(service_.Run({"jobs", "cancel", id}).exit_code, 0);
  EXPECT_EQ(service_.Run({"jobs", "cancel", id}).exit_code, 0);
  ExpectCancelled(id);
  EXPECT_EQ(service_.Run({"jobs", "cancel", id}).exit_code, 0);
}

TEST_F(CancellationTest, CommandsTellByTheirExitCode) {
  const auto command =
      service_.StartCommand("waiting", {"train", "diagnostic", "--set", "steps=100000", "--set",
                                        "step_seconds=0.01", "--job-id", "waited", "--wait"});
  service_.WaitForState("waited", {v1::Job::STATE_RUNNING});
  EXPECT_EQ(service_.Run({"jobs", "cancel", "waited"}).exit_code, 0);
  EXPECT_EQ(command->Wait(absl::Seconds(30)), 5);
}

}  // namespace
}  // namespace trainyard::e2e
