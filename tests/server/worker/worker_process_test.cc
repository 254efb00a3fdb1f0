// The real worker binary, started by the real executor, against a scripted server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/schema/field_rules.h"
#include "server/execution/local/local_executor.h"
#include "server/execution/local/process_info.h"
#include "server/execution/worker_exit_codes.h"
#include "tests/paths.h"
#include "tests/server/execution/exit_waiter.h"
#include "tests/server/worker/fake_worker_service.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Seen = FakeWorkerService::Seen;

constexpr char kAttempt[] = "projects/p/jobs/j/attempts/1";

class WorkerProcessTest : public ::testing::Test {
 protected:
  WorkerProcessTest() {
    std::string name = "/tmp/trainyard-worker-XXXXXX";
    folder_ = mkdtemp(name.data());
    service_.folder = folder_;
    service_.assignment.set_attempt(1);
    address_ = absl::StrCat("unix:", (folder_ / "socket").string());
    service_.Start(address_);
  }
  ~WorkerProcessTest() override {
    executor_.reset();
    std::filesystem::remove_all(folder_);
  }

  v1::DiagnosticSpec& spec() { return *service_.assignment.mutable_spec()->mutable_diagnostic(); }

  void Launch(std::vector<std::string> arguments = {}, int64_t memory_bytes = 0) {
    FillDefaults(*service_.assignment.mutable_spec());
    auto executor =
        LocalExecutor::Create({.worker_binary = absl::StrCat(kProgramFolder, "/trainyard-worker"),
                               .work_folder = folder_ / "work",
                               .worker_arguments = std::move(arguments)});
    ASSERT_TRUE(executor.ok()) << executor.status();
    executor_ = *std::move(executor);
    WorkerLaunch launch{.attempt = kAttempt, .token = "token", .server_address = address_};
    launch.resources.set_memory_bytes(memory_bytes);
    const auto process = executor_->Launch(launch, exit_.callback());
    ASSERT_TRUE(process.ok()) << process.status();
  }
  bool WaitForSteps(size_t steps) {
    return service_.WaitFor([steps](const Seen& seen) { return seen.events.size() >= steps; });
  }
  // As in /proc/PID/stat; ? when there is no worker.
  char StateOfWorker() const {
    const auto stat = ReadProcessStat(static_cast<pid_t>(executor_->ProcessId(kAttempt)));
    return stat.has_value() ? stat->state : '?';
  }
  // The worker and all that it started.
  std::vector<ProcessStat> Processes() const {
    std::vector<ProcessStat> processes = ListProcesses();
    std::erase_if(processes, [this](const ProcessStat& process) {
      const auto marker = ReadEnvironment(process.pid, "TMPDIR");
      return !marker.has_value() || !marker->starts_with(folder_.string());
    });
    return processes;
  }
  // Checks that every step's metric arrived exactly once and in order.
  static void ExpectEveryStepOnce(const Seen& seen, int64_t steps) {
    EXPECT_EQ(seen.gaps, 0);
    int64_t expected = 1;
    for (const auto& [sequence, event] : seen.events) {
      for (const auto& point : event.metrics().points()) {
        EXPECT_EQ(point.step(), expected);
        ++expected;
      }
    }
    EXPECT_EQ(expected, steps + 1);
  }

  std::filesystem::path folder_;
  std::string address_;
  FakeWorkerService service_;
  ExitWaiter exit_;
  std::unique_ptr<LocalExecutor> executor_;
};

#ifdef TRAINYARD_STATIC_GRPC
// The archives stand before the shared libraries in the link. One symbol that they lack would bring
// the shared ones back: a slow start, and two copies of gRPC in one process.
TEST(WorkerProgramTest, LoadsNoSharedGrpc) {
  const std::string command =
      absl::StrCat("LD_TRACE_LOADED_OBJECTS=1 ", kProgramFolder, "/trainyard-worker");
  FILE* const pipe = popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string libraries;
  char buffer[4096];
  while (const size_t count = fread(buffer, 1, sizeof(buffer), pipe)) {
    libraries.append(buffer, count);
  }
  EXPECT_EQ(pclose(pipe), 0);
  EXPECT_THAT(libraries, HasSubstr("libc.so"));
  for (const char* name : {"libgrpc", "libprotobuf", "libabsl", "libstdc++", "libcrypto"}) {
    EXPECT_THAT(libraries, Not(HasSubstr(name)));
  }
}
#endif

TEST_F(WorkerProcessTest, TrainsReportsAndEnds) {
  spec().set_steps(100);
  spec().set_model_bytes(2'500'000);
  Launch();
  EXPECT_EQ(exit_.Wait().exit_code, kWorkerDone);
  const Seen seen = service_.seen();
  ASSERT_EQ(seen.hellos.size(), 1u);
  EXPECT_EQ(seen.hellos[0].token(), "token");
  EXPECT_EQ(seen.hellos[0].attempt(), kAttempt);
  ExpectEveryStepOnce(seen, 100);
  ASSERT_EQ(seen.finished.size(), 1u);
  EXPECT_EQ(seen.finished[0].end_cause(), v1::Attempt::END_CAUSE_SUCCEEDED);
  EXPECT_EQ(seen.finished[0].report().diagnostic().checksum(), 100 * 101 * 201 / 6);
  EXPECT_EQ(seen.finished[0].last_sequence(), static_cast<int64_t>(seen.events.size()));
  ASSERT_TRUE(seen.files.contains("model.bin"));
  EXPECT_EQ(seen.files.at("model.bin").size(), 2'500'000u);
}

TEST_F(WorkerProcessTest, SurvivesAServerRestart) {
  spec().set_steps(200);
  spec().set_step_seconds(0.01);
  Launch();
  ASSERT_TRUE(WaitForSteps(3));
  service_.Stop();
  absl::SleepFor(absl::Milliseconds(300));
  service_.Start(address_);
  EXPECT_EQ(exit_.Wait().exit_code, kWorkerDone);
  const Seen seen = service_.seen();
  ASSERT_GE(seen.hellos.size(), 2u);
  EXPECT_EQ(seen.hellos.front().token(), "token");
  EXPECT_EQ(seen.hellos.front().session_key().size(), 64u);
  EXPECT_EQ(seen.hellos.back().session_key(), seen.hellos.front().session_key());
  EXPECT_EQ(seen.hellos.back().token(), "");
  ExpectEveryStepOnce(seen, 200);
  EXPECT_EQ(seen.finished.size(), 1u);
}

TEST_F(WorkerProcessTest, CheckpointsResumeTheNextAttempt) {
  spec().set_steps(20);
  spec().set_checkpoint_every_steps(8);
  spec().set_finale(v1::DiagnosticSpec::FINALE_EXIT);
  spec().set_exit_code(9);
  spec().set_finale_until_attempt(1);
  Launch();
  EXPECT_EQ(exit_.Wait().exit_code, 9);
  EXPECT_EQ(service_.seen().checkpoint_count, 2);
  EXPECT_TRUE(service_.seen().finished.empty());
  service_.assignment.set_attempt(2);
  ExitWaiter second;
  const auto process = executor_->Launch(
      {.attempt = "projects/p/jobs/j/attempts/2", .token = "t", .server_address = address_},
      second.callback());
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_EQ(second.Wait().exit_code, kWorkerDone);
  const v1::DiagnosticReport report = service_.seen().finished.at(0).report().diagnostic();
  EXPECT_EQ(report.first_step(), 17);
  EXPECT_EQ(report.checksum(), 20 * 21 * 41 / 6);
}

TEST_F(WorkerProcessTest, CancelRequestStopsTheTraining) {
  spec().set_steps(1'000'000);
  spec().set_step_seconds(0.01);
  Launch();
  ASSERT_TRUE(WaitForSteps(1));
  service_.SendCancel();
  EXPECT_EQ(exit_.Wait().exit_code, kWorkerDone);
  EXPECT_EQ(service_.seen().finished.at(0).end_cause(), v1::Attempt::END_CAUSE_CANCELLED);
}

TEST_F(WorkerProcessTest, SigtermStopsTheTraining) {
  spec().set_steps(1'000'000);
  spec().set_step_seconds(0.01);
  Launch();
  ASSERT_TRUE(WaitForSteps(1));
  executor_->Terminate(kAttempt);
  EXPECT_EQ(exit_.Wait().exit_code, kWorkerDone);
  EXPECT_EQ(service_.seen().finished.at(0).end_cause(), v1::Attempt::END_CAUSE_CANCELLED);
}

TEST_F(WorkerProcessTest, WaitsWhileTheServerDoesNotStore) {
  service_.acknowledge = false;
  spec().set_steps(1'000'000'000);
  spec().set_log_lines_per_step(10);
  Launch();
  // 8 MiB of events may be on their way, no more: wait until nothing new comes.
  size_t events = 0;
  EXPECT_TRUE(Eventually([&] {
    absl::SleepFor(absl::Milliseconds(200));
    const size_t now = service_.seen().events.size();
    return std::exchange(events, now) == now && now > 0;
  }));
  EXPECT_GT(events, 10'000u);
  EXPECT_LT(events, 1'000'000u);
  service_.SendCancel();
  EXPECT_EQ(exit_.Wait().exit_code, kWorkerDone) << "a training that waits cannot be cancelled";
}

TEST_F(WorkerProcessTest, RefusedHelloEndsQuietlyWithItsOwnCode) {
  service_.hello_answer = grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "token used twice");
  Launch();
  const WorkerExit exit = exit_.Wait();
  EXPECT_EQ(exit.exit_code, kWorkerRefused);
  EXPECT_THAT(exit.stderr_tail, HasSubstr("token used twice"));
  EXPECT_EQ(service_.seen().hellos.size(), 1u);
}

TEST_F(WorkerProcessTest, GivesUpWithoutAServer) {
  service_.Stop();
  Launch({"--give_up_after=300ms"});
  EXPECT_EQ(exit_.Wait().exit_code, kWorkerServerGone);
}

TEST_F(WorkerProcessTest, CrashSaysWhatItWasDoing) {
  spec().set_steps(5);
  spec().set_stderr_text("last words");
  spec().set_finale(v1::DiagnosticSpec::FINALE_CRASH);
  Launch();
  const WorkerExit exit = exit_.Wait();
  EXPECT_EQ(exit.signal, SIGSEGV);
  EXPECT_THAT(exit.stderr_tail, HasSubstr("last words\n"));
  EXPECT_THAT(exit.stderr_tail, HasSubstr("died of SIGSEGV in phase 'steps', step 5"));
}

TEST_F(WorkerProcessTest, GarbageIsNoMessage) {
  spec().set_finale(v1::DiagnosticSpec::FINALE_WRITE_GARBAGE);
  Launch();
  EXPECT_TRUE(service_.WaitFor([](const Seen& seen) { return seen.garbage == 1; }));
  EXPECT_EQ(exit_.Wait().exit_code, kWorkerRefused);
  EXPECT_TRUE(service_.seen().finished.empty());
}

TEST_F(WorkerProcessTest, HangAnswersNobody) {
  spec().set_finale(v1::DiagnosticSpec::FINALE_HANG);
  spec().set_stray_processes(2);
  Launch({"--alive_interval=20ms"});
  ASSERT_TRUE(Eventually([&] { return StateOfWorker() == 'T'; }));
  executor_->Terminate(kAttempt);
  executor_->Kill(kAttempt);
  EXPECT_EQ(exit_.Wait().signal, SIGKILL);
  for (const ProcessStat& process : Processes()) ADD_FAILURE() << process.pid << " is left";
}

// Without a control group the executor finds by descent what a training has started.
TEST_F(WorkerProcessTest, WhatLosesItsParentBecomesAChildOfTheWorker) {
  spec().set_finale(v1::DiagnosticSpec::FINALE_HANG);
  spec().set_stray_processes(2);
  Launch();
  ASSERT_TRUE(Eventually([&] { return StateOfWorker() == 'T'; }));
  const auto worker = static_cast<pid_t>(executor_->ProcessId(kAttempt));
  std::vector<pid_t> parents;
  for (const ProcessStat& process : Processes()) {
    if (process.pid != worker) parents.push_back(process.parent);
  }
  EXPECT_THAT(parents, ElementsAre(worker, worker));
  executor_->Kill(kAttempt);
  exit_.Wait();
}

TEST_F(WorkerProcessTest, MemoryHogIsEnded) {
  spec().set_finale(v1::DiagnosticSpec::FINALE_EAT_MEMORY);
  Launch({}, 200 << 20);
  const WorkerExit exit = exit_.Wait();
  EXPECT_TRUE(exit.out_of_memory);
  EXPECT_GT(exit.peak_memory_bytes, 100 << 20);
}

TEST_F(WorkerProcessTest, UserErrorIsReported) {
  spec().set_finale(v1::DiagnosticSpec::FINALE_USER_ERROR);
  Launch();
  EXPECT_EQ(exit_.Wait().exit_code, kWorkerDone);
  EXPECT_EQ(service_.seen().finished.at(0).end_cause(), v1::Attempt::END_CAUSE_USER_ERROR);
  EXPECT_EQ(service_.seen().finished.at(0).error().code(), 3);
}

TEST_F(WorkerProcessTest, TellsThatItLivesWhileItTrains) {
  spec().set_steps(1);
  spec().set_step_seconds(30);
  Launch({"--alive_interval=10ms"});
  EXPECT_TRUE(service_.WaitFor([](const Seen& seen) { return seen.alive >= 3; }));
  executor_->Kill(kAttempt);
  exit_.Wait();
}

}  // namespace
}  // namespace trainyard
