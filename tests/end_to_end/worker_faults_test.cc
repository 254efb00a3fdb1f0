// Workers that fail in every way: each ends its job with the true cause, and nothing else suffers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/end_to_end/harness.h"
#include "trainyard/v1/model_service.pb.h"

namespace trainyard::e2e {
namespace {

using ::testing::HasSubstr;

class WorkerFaultsTest : public ::testing::Test {
 protected:
  // Runs a job whose only attempt ends in `finale`.
  v1::Job RunFinale(const std::string& finale, std::vector<std::string> more = {},
                    const std::vector<std::string>& arguments = {"--max-attempts", "1"}) {
    more.push_back("finale=" + finale);
    const std::string id = service_.SubmitDiagnostic(more, arguments);
    v1::Job job = service_.WaitForEnd(id);
    CheckHistory(job, service_.Events(id));
    return job;
  }

  Service service_{{"--worker_silence_seconds=6"}};
};

TEST_F(WorkerFaultsTest, CrashNamesSignalAndWhatItWasDoing) {
  const v1::Job job = RunFinale("FINALE_CRASH", {"stderr_text=last words"});
  EXPECT_EQ(job.state(), v1::Job::STATE_FAILED);
  EXPECT_EQ(job.end_cause(), v1::Attempt::END_CAUSE_WORKER_LOST);
  EXPECT_THAT(job.error().message(), HasSubstr("SIGSEGV"));
  ASSERT_EQ(job.attempts_size(), 1);
  EXPECT_EQ(job.attempts(0).exit_signal(), SIGSEGV);
  EXPECT_THAT(job.attempts(0).stderr_tail(), HasSubstr("last words"));
}

TEST_F(WorkerFaultsTest, SilentExitNamesTheCode) {
  const v1::Job job = RunFinale("FINALE_EXIT", {"exit_code=9"});
  EXPECT_EQ(job.end_cause(), v1::Attempt::END_CAUSE_WORKER_LOST);
  EXPECT_EQ(job.attempts(0).exit_code(), 9);
  EXPECT_THAT(job.error().message(), HasSubstr("9"));
}

TEST_F(WorkerFaultsTest, UserErrorAndDivergenceAreNotRetried) {
  v1::Job job = RunFinale("FINALE_USER_ERROR", {}, {"--max-attempts", "3"});
  EXPECT_EQ(job.end_cause(), v1::Attempt::END_CAUSE_USER_ERROR);
  EXPECT_EQ(job.attempts_size(), 1);
  job = RunFinale("FINALE_DIVERGE", {}, {"--max-attempts", "3"});
  EXPECT_EQ(job.end_cause(), v1::Attempt::END_CAUSE_DIVERGED);
  EXPECT_EQ(job.attempts_size(), 1);
}

TEST_F(WorkerFaultsTest, LostWorkerIsRetriedFromItsCheckpoint) {
  const v1::Job job =
      RunFinale("FINALE_CRASH", {"steps=20", "checkpoint_every_steps=5", "finale_until_attempt=1"},
                {"--max-attempts", "3"});
  EXPECT_EQ(job.state(), v1::Job::STATE_SUCCEEDED);
  EXPECT_EQ(job.attempts_size(), 2);
  const auto& report = job.report().diagnostic();
  EXPECT_GT(report.first_step(), 0) << "the second attempt began anew";
  EXPECT_EQ(report.steps(), 20);
  // 1² + 2² + … + 20²: every step exactly once, over both attempts.
  EXPECT_EQ(report.checksum(), 20 * 21 * 41 / 6);
}

TEST_F(WorkerFaultsTest, GarbageOnTheConnectionEndsTheAttempt) {
  const v1::Job job = RunFinale("FINALE_WRITE_GARBAGE");
  EXPECT_EQ(job.state(), v1::Job::STATE_FAILED);
  EXPECT_EQ(job.end_cause(), v1::Attempt::END_CAUSE_WORKER_LOST);
}

TEST_F(WorkerFaultsTest, MemoryHogDiesAloneWithPeakAndLimit) {
  const std::string other =
      service_.SubmitDiagnostic({"steps=40", "step_seconds=0.05"}, {"--cpu-threads", "1"});
  const v1::Job job = RunFinale(
      "FINALE_EAT_MEMORY", {}, {"--max-attempts", "1", "--memory", "300MiB", "--cpu-threads", "1"});
  EXPECT_EQ(job.state(), v1::Job::STATE_FAILED);
  EXPECT_EQ(job.end_cause(), v1::Attempt::END_CAUSE_OUT_OF_MEMORY) << job.error().message();
  EXPECT_THAT(job.error().message(), HasSubstr("memory"));
  EXPECT_GT(job.attempts(0).peak_memory_bytes(), 100 << 20);
  EXPECT_EQ(service_.WaitForEnd(other).state(), v1::Job::STATE_SUCCEEDED);
}

TEST_F(WorkerFaultsTest, HungWorkerIsEndedByItsTimeLimit) {
  const v1::Job job =
      RunFinale("FINALE_HANG", {},
                {"--max-attempts", "1", "--time-limit", "1s", "--cancel-grace-period", "0.3s"});
  EXPECT_EQ(job.state(), v1::Job::STATE_FAILED);
  EXPECT_EQ(job.end_cause(), v1::Attempt::END_CAUSE_TIME_LIMIT);
  EXPECT_THAT(job.error().message(), HasSubstr("1s"));
}

TEST_F(WorkerFaultsTest, StoppedWorkerIsFoundByItsSilence) {
  const std::string id =
      service_.SubmitDiagnostic({"steps=100000", "step_seconds=0.01"}, {"--max-attempts", "1"});
  service_.WaitForState(id, {v1::Job::STATE_RUNNING});
  for (const pid_t pid : FindAttemptProcesses(service_.data_dir().string(), id).workers) {
    kill(pid, SIGSTOP);
  }
  const v1::Job job = service_.WaitForEnd(id);
  EXPECT_EQ(job.end_cause(), v1::Attempt::END_CAUSE_WORKER_LOST);
  EXPECT_TRUE(FindAttemptProcesses(service_.data_dir().string(), id).all.empty());
}

TEST_F(WorkerFaultsTest, KilledWorkersUnderLoadLoseNothing) {
  std::vector<std::string> ids;
  int kills = 0;
  uint32_t random = 12345;
  for (size_t i = 0; i < 12; ++i) {
    ids.push_back(
        service_.SubmitDiagnostic({"steps=30", "step_seconds=0.03", "checkpoint_every_steps=10"},
                                  {"--cpu-threads", "1", "--max-attempts", "20"}));
    // Every second job loses two workers; with each the wait for the next attempt doubles.
    const std::string& victim = ids[i - i % 2];
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    std::vector<pid_t> workers;
    while (workers.empty() && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(5));
      workers = FindAttemptProcesses(service_.data_dir().string(), victim).workers;
    }
    random = random * 1664525 + 1013904223;
    absl::SleepFor(absl::Milliseconds((random >> 16) % 500));
    if (!workers.empty() && kill(workers.front(), SIGKILL) == 0) ++kills;
  }
  EXPECT_GE(kills, 6);
  for (const std::string& id : ids) {
    const v1::Job job = service_.WaitForEnd(id, absl::Seconds(120));
    EXPECT_EQ(job.state(), v1::Job::STATE_SUCCEEDED) << job.error().message();
    EXPECT_EQ(job.report().diagnostic().checksum(), 30 * 31 * 61 / 6);
    CheckHistory(job, service_.Events(id));
  }
}

}  // namespace
}  // namespace trainyard::e2e
