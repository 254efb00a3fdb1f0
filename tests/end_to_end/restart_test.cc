// The server is killed at random moments, workers too: no acknowledged job is lost, none runs twice
// at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/end_to_end/harness.h"

namespace trainyard::e2e {
namespace {

// Samples the process table and remembers every job that had two workers at the same time.
class DoubleRunDetector {
 public:
  explicit DoubleRunDetector(std::string data_dir)
      : thread_([this, data_dir = std::move(data_dir)] { Run(data_dir); }) {}
  ~DoubleRunDetector() {
    stop_ = true;
    thread_.join();
  }
  std::set<std::string> doubled() {
    const std::lock_guard lock(mutex_);
    return doubled_;
  }

 private:
  void Run(const std::string& data_dir) {
    while (!stop_) {
      std::map<std::string, int> workers;
      for (const pid_t pid : FindAttemptProcesses(data_dir, "").workers) {
        const std::string command = ReadText(absl::StrCat("/proc/", pid, "/cmdline"));
        const size_t jobs = command.find("/jobs/");
        const size_t attempts = command.find("/attempts/");
        if (jobs == std::string::npos || attempts == std::string::npos) continue;
        ++workers[command.substr(jobs, attempts - jobs)];
      }
      const std::lock_guard lock(mutex_);
      for (const auto& [job, count] : workers) {
        if (count > 1) doubled_.insert(job);
      }
    }
  }

  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::set<std::string> doubled_;
  std::thread thread_;
};

class Random {
 public:
  explicit Random(uint32_t seed) : state_(seed) {}
  uint32_t Below(uint32_t bound) {
    state_ = state_ * 1664525 + 1013904223;
    return (state_ >> 8) % bound;
  }

 private:
  uint32_t state_;
};

TEST(RestartTest, WorkerGoesOnWhileTheServerIsAway) {
  Service service;
  const std::string id = service.SubmitDiagnostic({"steps=150", "step_seconds=0.02"});
  service.WaitForState(id, {v1::Job::STATE_RUNNING});
  const auto before = FindAttemptProcesses(service.data_dir().string(), id).workers;
  ASSERT_EQ(before.size(), 1u);
  service.Kill();
  absl::SleepFor(absl::Milliseconds(500));
  EXPECT_EQ(FindAttemptProcesses(service.data_dir().string(), id).workers, before);
  service.Start();
  const v1::Job job = service.WaitForEnd(id);
  EXPECT_EQ(job.state(), v1::Job::STATE_SUCCEEDED);
  EXPECT_EQ(job.attempts_size(), 1) << "the attempt was adopted, not repeated";
  EXPECT_EQ(job.report().diagnostic().checksum(), 150.0 * 151 * 301 / 6);
  CheckHistory(job, service.Events(id));
}

// gRPC by itself looks after a connection that nobody waits for only every five seconds.
TEST(RestartTest, WaitingClientIsBackSoonAfterTheServer) {
  Service service;
  const std::string id = service.SubmitDiagnostic({"steps=100", "step_seconds=0.02"});
  const auto watch = service.StartCommand("watch", {"jobs", "watch", id});
  while (ReadText(service.folder() / "watch.out").empty() && watch->Running()) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  service.Kill();
  absl::SleepFor(absl::Seconds(1));
  service.Start();
  EXPECT_EQ(service.WaitForEnd(id).state(), v1::Job::STATE_SUCCEEDED);
  EXPECT_EQ(watch->Wait(absl::Seconds(2)), 0) << ReadText(service.folder() / "watch.err");
}

TEST(RestartTest, GracefulStopKeepsQueueAndWorkers) {
  Service service({"--cpu_slots=1"});
  const std::string running = service.SubmitDiagnostic({"steps=100", "step_seconds=0.02"});
  const std::string queued = service.SubmitDiagnostic({"steps=1"});
  service.WaitForState(running, {v1::Job::STATE_RUNNING});
  EXPECT_EQ(service.Stop(), 0);
  service.Start();
  EXPECT_EQ(service.WaitForEnd(running).state(), v1::Job::STATE_SUCCEEDED);
  EXPECT_EQ(service.WaitForEnd(queued).state(), v1::Job::STATE_SUCCEEDED);
}

TEST(RestartTest, CancellationAskedBeforeTheRestartIsCarriedOut) {
  Service service({"--cancel_grace_seconds=0.5"});
  const std::string id =
      service.SubmitDiagnostic({"steps=100000", "step_seconds=0.01", "ignore_cancellation=true"});
  service.WaitForState(id, {v1::Job::STATE_RUNNING});
  EXPECT_EQ(service.Run({"jobs", "cancel", id}).exit_code, 0);
  service.Kill();
  service.Start();
  EXPECT_EQ(service.WaitForEnd(id).state(), v1::Job::STATE_CANCELLED);
}

TEST(RestartTest, JobWhoseWorkerDiedMeanwhileIsTriedAgain) {
  Service service;
  const std::string id =
      service.SubmitDiagnostic({"steps=60", "step_seconds=0.02", "checkpoint_every_steps=10"});
  service.WaitForState(id, {v1::Job::STATE_RUNNING});
  absl::SleepFor(absl::Milliseconds(400));
  service.Kill();
  for (const pid_t pid : FindAttemptProcesses(service.data_dir().string(), id).all)
    kill(pid, SIGKILL);
  service.Start();
  const v1::Job job = service.WaitForEnd(id);
  EXPECT_EQ(job.state(), v1::Job::STATE_SUCCEEDED);
  EXPECT_EQ(job.report().diagnostic().checksum(), 60.0 * 61 * 121 / 6);
  CheckHistory(job, service.Events(id));
}

// kill -9 of the server, of workers and of both, while clients submit; seeded.
TEST(RestartTest, NothingIsLostOrDoubledUnderKills) {
  Service service;
  DoubleRunDetector detector(service.data_dir().string());
  Random random(20220717);
  std::vector<std::string> acknowledged;
  for (int round = 0; round < 8; ++round) {
    for (int i = 0; i < 4; ++i) {
      acknowledged.push_back(
          service.SubmitDiagnostic({absl::StrCat("steps=", 5 + random.Below(40)),
                                    "step_seconds=0.01", "checkpoint_every_steps=5"},
                                   {"--cpu-threads", "1", "--max-attempts", "50"}));
    }
    absl::SleepFor(absl::Milliseconds(random.Below(400)));
    const bool kill_server = round % 3 != 1;
    const bool kill_workers = round % 3 != 0;
    if (kill_server) service.Kill();
    if (kill_workers) {
      for (const pid_t pid : FindAttemptProcesses(service.data_dir().string(), "").workers) {
        kill(pid, SIGKILL);
      }
    }
    if (kill_server) service.Start();
  }
  for (const std::string& id : acknowledged) {
    const v1::Job job = service.WaitForEnd(id, absl::Seconds(120));
    EXPECT_EQ(job.state(), v1::Job::STATE_SUCCEEDED) << id << ": " << job.error().message();
    const double steps = job.spec().diagnostic().steps();
    EXPECT_EQ(job.report().diagnostic().checksum(), steps * (steps + 1) * (2 * steps + 1) / 6)
        << id;
    CheckHistory(job, service.Events(id));
  }
  EXPECT_THAT(detector.doubled(), ::testing::IsEmpty());
  EXPECT_EQ(service.Stop(), 0);
  ChildProcess check({Program("trainyard-server"),
                      absl::StrCat("--data_dir=", service.data_dir().string()), "--check"},
                     service.folder() / "check.out", service.folder() / "check.err");
  EXPECT_EQ(check.Wait(absl::Seconds(60)), 0) << ReadText(service.folder() / "check.out");
}

TEST(RestartTest, TwoServersNeverShareAStore) {
  Service service;
  ChildProcess second(
      {Program("trainyard-server"), absl::StrCat("--data_dir=", service.data_dir().string()),
       "--listen=127.0.0.1:0"},
      service.folder() / "second.out", service.folder() / "second.err");
  const auto code = second.Wait(absl::Seconds(20));
  ASSERT_TRUE(code.has_value());
  EXPECT_NE(*code, 0);
  EXPECT_THAT(ReadText(service.folder() / "second.err"), ::testing::HasSubstr("in use"));
}

}  // namespace
}  // namespace trainyard::e2e
