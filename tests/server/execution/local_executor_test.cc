// Every case runs with each kind of control group that this system grants, and with none.
#include "server/execution/local/local_executor.h"

#include <signal.h>
#include <sys/stat.h>

#include "absl/strings/match.h"
#include "tests/server/execution/executor_fixture.h"

namespace trainyard {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

class LocalExecutorTest : public ExecutorFixture,
                          public ::testing::WithParamInterface<Confinement> {
 protected:
  LocalExecutorTest() : ExecutorFixture(GetParam()) {}
};

INSTANTIATE_TEST_SUITE_P(Confinements, LocalExecutorTest, ::testing::ValuesIn(kConfinements),
                         ConfinementName);

TEST_P(LocalExecutorTest, ReportsExitCode) {
  ExitWaiter waiter;
  Launch("exit-42", waiter);
  const WorkerExit exit = waiter.Wait();
  EXPECT_EQ(exit.exit_code, 42);
  EXPECT_EQ(exit.signal, 0);
  EXPECT_FALSE(exit.out_of_memory);
  EXPECT_TRUE(Eventually([&] { return !std::filesystem::exists(FolderOf("exit-42")); }));
}

TEST_P(LocalExecutorTest, ReportsSignal) {
  ExitWaiter waiter;
  Launch("crash", waiter);
  const WorkerExit exit = waiter.Wait();
  EXPECT_EQ(exit.exit_code, std::nullopt);
  EXPECT_EQ(exit.signal, SIGSEGV);
  EXPECT_FALSE(exit.out_of_memory);
}

TEST_P(LocalExecutorTest, TerminateSendsSigterm) {
  ExitWaiter waiter;
  Launch("sleep", waiter);
  EXPECT_GT(executor_->ProcessId(AttemptOf("sleep")), 0);
  executor_->Terminate(AttemptOf("sleep"));
  EXPECT_EQ(waiter.Wait().signal, SIGTERM);
  EXPECT_EQ(executor_->ProcessId(AttemptOf("sleep")), 0);
  executor_->Terminate(AttemptOf("sleep"));
  executor_->Kill(AttemptOf("sleep"));
}

TEST_P(LocalExecutorTest, KillReachesEveryDescendant) {
  ExitWaiter waiter;
  Launch("strays", waiter);
  const std::vector<pid_t> strays = StraysOf("strays");
  ASSERT_EQ(strays.size(), 3u);
  for (const pid_t pid : strays) EXPECT_TRUE(IsAlive(pid));
  executor_->Kill(AttemptOf("strays"));
  EXPECT_EQ(waiter.Wait().signal, SIGKILL);
  for (const pid_t pid : strays) EXPECT_FALSE(IsAlive(pid)) << pid;
}

TEST_P(LocalExecutorTest, KillRightAfterLaunchReachesTheWorker) {
  ExitWaiter waiter;
  Launch("sleep", waiter);
  executor_->Kill(AttemptOf("sleep"));
  EXPECT_EQ(waiter.Wait().signal, SIGKILL);
}

TEST_P(LocalExecutorTest, WhatTheWorkerLeavesBehindIsGoneBeforeOnExit) {
  ExitWaiter waiter;
  Launch("strays-exit", waiter);
  std::vector<pid_t> strays = StraysOf("strays-exit");
  ASSERT_EQ(strays.size(), 3u);
  // Without a control group nothing ties a process to the worker that lost both the environment
  // and its parent; it is in the worker's session here.
  std::filesystem::remove(ScratchOf("strays-exit") / "strays");
  EXPECT_EQ(waiter.Wait().exit_code, 0);
  for (const pid_t pid : strays) EXPECT_FALSE(IsAlive(pid)) << pid;
}

// A process that detached itself in every way: another parent, another session, no environment.
// Only its descent tells whose it is: those of another attempt must stay.
TEST_P(LocalExecutorTest, KillReachesAStrayWithoutTraces) {
  ExitWaiter waiter;
  Launch("traceless", waiter);
  ExitWaiter other;
  Launch("traceless-exit", other);
  const std::vector<pid_t> strays = StraysOf("traceless");
  ASSERT_EQ(strays.size(), 1u);
  const std::vector<pid_t> others = StraysOf("traceless-exit");
  ASSERT_EQ(others.size(), 1u);
  executor_->Kill(AttemptOf("traceless"));
  EXPECT_EQ(waiter.Wait().signal, SIGKILL);
  EXPECT_FALSE(IsAlive(strays[0]));
  EXPECT_TRUE(IsAlive(others[0])) << "a stray of another attempt was killed";
  EXPECT_FALSE(other.ended()) << "a worker of another attempt was killed";
  executor_->Kill(AttemptOf("traceless-exit"));
  other.Wait();
  EXPECT_FALSE(IsAlive(others[0]));
}

TEST_P(LocalExecutorTest, StrayWithoutTracesIsGoneBeforeOnExit) {
  ExitWaiter waiter;
  Launch("traceless-exit", waiter);
  ExitWaiter other;
  Launch("traceless", other);
  const std::vector<pid_t> strays = StraysOf("traceless-exit");
  ASSERT_EQ(strays.size(), 1u);
  const std::vector<pid_t> others = StraysOf("traceless");
  ASSERT_EQ(others.size(), 1u);
  std::filesystem::remove(ScratchOf("traceless-exit") / "strays");
  EXPECT_EQ(waiter.Wait().exit_code, 0);
  EXPECT_FALSE(IsAlive(strays[0]));
  EXPECT_TRUE(IsAlive(others[0])) << "a stray of another attempt was killed";
  executor_->Kill(AttemptOf("traceless"));
  other.Wait();
  EXPECT_FALSE(IsAlive(others[0]));
}

TEST_P(LocalExecutorTest, EndsAWorkerThatExceedsItsMemory) {
  constexpr int64_t kLimit = 64 << 20;
  ExitWaiter waiter;
  Launch("eat", waiter, kLimit);
  const WorkerExit exit = waiter.Wait();
  EXPECT_TRUE(exit.out_of_memory);
  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_GT(exit.peak_memory_bytes, kLimit / 2);
  EXPECT_LT(exit.peak_memory_bytes, 3 * kLimit);
}

TEST_P(LocalExecutorTest, MemoryOfChildrenCounts) {
  ExitWaiter waiter;
  Launch("eat-in-child", waiter, 64 << 20);
  EXPECT_TRUE(waiter.Wait().out_of_memory);
}

TEST_P(LocalExecutorTest, MemoryWithinTheLimitIsLeftAlone) {
  ExitWaiter waiter;
  Launch("sleep", waiter, 512 << 20);
  EXPECT_TRUE(Eventually([&] { return std::filesystem::exists(ScratchOf("sleep") / "ready"); }));
  executor_->Kill(AttemptOf("sleep"));
  EXPECT_FALSE(waiter.Wait().out_of_memory);
}

TEST_P(LocalExecutorTest, KeepsTheLast8KiBOfStandardErrorAsUtf8) {
  ExitWaiter waiter;
  Launch("stderr", waiter);
  const WorkerExit exit = waiter.Wait();
  EXPECT_LE(exit.stderr_tail.size(), 8192u);
  EXPECT_GT(exit.stderr_tail.size(), 8000u);
  EXPECT_THAT(exit.stderr_tail, EndsWith("line 3999\ncaf\xC3\xA9 \xEF\xBF\xBD end"));
}

TEST_P(LocalExecutorTest, StandardErrorDoesNotFillTheDisk) {
  ExitWaiter waiter;
  Launch("flood", waiter);
  const auto file = FolderOf("flood") / "stderr";
  EXPECT_TRUE(Eventually([&] { return std::filesystem::exists(ScratchOf("flood") / "ready"); }));
  const auto allocated = [&] {
    struct stat info = {};
    return stat(file.c_str(), &info) == 0 ? info.st_blocks * 512 : -1;
  };
  EXPECT_TRUE(Eventually([&] { return allocated() <= 1 << 20; })) << allocated();
  executor_->Kill(AttemptOf("flood"));
  EXPECT_EQ(waiter.Wait().stderr_tail, std::string(8192, 'x'));
}

TEST_P(LocalExecutorTest, TokenIsOnlyInThePipe) {
  setenv("TRAINYARD_TEST_SECRET", "server-secret", 1);
  ExitWaiter waiter;
  Launch("secrets", waiter);
  const auto file = ScratchOf("secrets") / "secrets";
  ASSERT_TRUE(Eventually([&] { return std::filesystem::exists(file); }));
  const std::string seen = ReadWhole(file);
  EXPECT_THAT(seen, HasSubstr("token tok-3a91\n"));
  const auto proc =
      std::filesystem::path("/proc") / absl::StrCat(executor_->ProcessId(AttemptOf("secrets")));
  EXPECT_THAT(ReadWhole(proc / "cmdline"), Not(HasSubstr("tok-3a91")));
  EXPECT_THAT(ReadWhole(proc / "environ"), Not(HasSubstr("tok-3a91")));
  // Nothing of the server's environment or open files comes along: 0 to 2, the pipe, and the
  // folder being listed.
  EXPECT_THAT(ReadWhole(proc / "environ"), Not(HasSubstr("server-secret")));
  EXPECT_THAT(seen, HasSubstr("fd 3 pipe:"));
  EXPECT_THAT(seen, Not(HasSubstr("fd 5")));
  EXPECT_THAT(ReadWhole(FolderOf("secrets") / "process"), Not(HasSubstr("tok-3a91")));
  const auto mode = std::filesystem::status(ScratchOf("secrets")).permissions();
  EXPECT_EQ(mode, std::filesystem::perms::owner_all);
  executor_->Kill(AttemptOf("secrets"));
  waiter.Wait();
}

TEST_P(LocalExecutorTest, WorkersSeeTheirGpusAlone) {
  setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3", 1);
  const auto environment_with = [&](const std::string& job, std::vector<std::string> gpus) {
    ExitWaiter waiter;
    const WorkerLaunch launch{.attempt = AttemptOf(job),
                              .token = "token",
                              .server_address = "unix:x",
                              .gpus = std::move(gpus)};
    EXPECT_TRUE(executor_->Launch(launch, waiter.callback()).ok());
    const auto file = std::filesystem::path("/proc") /
                      absl::StrCat(executor_->ProcessId(launch.attempt)) / "environ";
    // The process shows its own environment once it has begun the worker's program.
    EXPECT_TRUE(
        Eventually([&] { return absl::StrContains(ReadWhole(file), ScratchOf(job).string()); }));
    const std::string environment = ReadWhole(file);
    executor_->Kill(launch.attempt);
    waiter.Wait();
    return absl::StrCat(std::string(1, '\0'), environment);
  };
  const auto entry = [](const std::string& value) {
    return HasSubstr(
        absl::StrCat(std::string(1, '\0'), "CUDA_VISIBLE_DEVICES=", value, std::string(1, '\0')));
  };
  EXPECT_THAT(environment_with("sleep", {"GPU-a", "GPU-c"}), entry("GPU-a,GPU-c"));
  EXPECT_THAT(environment_with("secrets", {}), entry(""));
  unsetenv("CUDA_VISIBLE_DEVICES");
}

TEST_P(LocalExecutorTest, ManyQuickWorkersLeaveNothing) {
  const auto count_fds = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                         std::filesystem::directory_iterator());
  };
  const auto fds_before = count_fds();
  const int worker_count = GetParam().use_cgroup_v2 == GetParam().use_cgroup_v1 ? 200 : 50;
  std::vector<std::unique_ptr<ExitWaiter>> waiters;
  for (int i = 0; i < worker_count; ++i) {
    waiters.push_back(std::make_unique<ExitWaiter>());
    const auto process =
        executor_->Launch({.attempt = absl::StrCat("projects/p/jobs/exit-0/attempts/", i + 1),
                           .token = "t",
                           .server_address = "unix:x"},
                          waiters.back()->callback());
    ASSERT_TRUE(process.ok()) << process.status();
    if (i % 8 == 7) waiters.back()->Wait();
  }
  for (const auto& waiter : waiters) EXPECT_EQ(waiter->Wait().exit_code, 0);
  EXPECT_TRUE(Eventually([&] { return count_fds() == fds_before; })) << count_fds();
  for (const ProcessStat& process : ListProcesses()) {
    EXPECT_FALSE(process.parent == getpid() && process.dead()) << "zombie " << process.pid;
  }
  // A control group that is left keeps the folder of all groups from being removed.
  executor_.reset();
  EXPECT_TRUE(std::filesystem::is_empty(work_folder()));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           "/sys/fs/cgroup", std::filesystem::directory_options::skip_permission_denied)) {
    EXPECT_THAT(entry.path().string(), Not(HasSubstr("exit-0")));
  }
}

TEST_P(LocalExecutorTest, RefusesASecondWorkerOfOneAttempt) {
  ExitWaiter waiter;
  Launch("sleep", waiter);
  const auto second = executor_->Launch(
      {.attempt = AttemptOf("sleep"), .token = "t", .server_address = "s"}, [](WorkerExit) {});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_FALSE(waiter.ended());
  executor_->Kill(AttemptOf("sleep"));
  waiter.Wait();
}

TEST_P(LocalExecutorTest, RefusesNamesThatAreNoAttempt) {
  const auto result = executor_->Launch(
      {.attempt = "../../etc", .token = "t", .server_address = "s"}, [](WorkerExit) {});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(LocalExecutorCreateTest, NamesAWorkerBinaryThatCannotBeRun) {
  const auto executor = LocalExecutor::Create(
      {.worker_binary = "/nonexistent/worker", .work_folder = ::testing::TempDir() + "/executor"});
  EXPECT_EQ(executor.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(executor.status().message()), HasSubstr("/nonexistent/worker"));
}

}  // namespace
}  // namespace trainyard
