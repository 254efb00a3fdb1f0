// What starting a worker costs beside the floor: posix_spawn of the same binary. Every figure is of
// one thread that starts, waits for the end, and starts again.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/notification.h"
#include "proto/schema/field_rules.h"
#include "server/execution/local/local_executor.h"
#include "tests/paths.h"
#include "tests/server/worker/fake_worker_service.h"

extern char** environ;

namespace trainyard {
namespace {

const std::string kWorker = std::string(kProgramFolder) + "/trainyard-worker";

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = "/tmp/trainyard-benchmark-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// The floor.
void BareSpawn(benchmark::State& state) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  char version[] = "--version";
  char* arguments[] = {const_cast<char*>(kWorker.c_str()), version, nullptr};
  for (auto _ : state) {
    pid_t pid = 0;
    if (posix_spawn(&pid, kWorker.c_str(), &actions, nullptr, arguments, environ) != 0) {
      state.SkipWithError("posix_spawn failed");
      break;
    }
    waitpid(pid, nullptr, 0);
  }
  posix_spawn_file_actions_destroy(&actions);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BareSpawn)->UseRealTime()->Unit(benchmark::kMillisecond);

struct Runner {
  std::unique_ptr<LocalExecutor> executor;
  int attempts = 0;

  // Launches an attempt and waits until it has ended.
  bool Run(const std::string& address, int64_t memory_bytes) {
    Notification ended;
    WorkerLaunch launch{.attempt = absl::StrCat("projects/p/jobs/j/attempts/", ++attempts),
                        .token = "token",
                        .server_address = address};
    launch.resources.set_memory_bytes(memory_bytes);
    if (!executor->Launch(launch, [&](WorkerExit) { ended.Notify(); }).ok()) return false;
    ended.WaitForNotification();
    return true;
  }
};

// A worker that ends at once, with everything that the executor does around it. Argument 0: no
// control groups; 1: with them; 2: with them and a memory limit.
void ExecutorLaunch(benchmark::State& state) {
  const TemporaryFolder folder;
  auto executor = LocalExecutor::Create({.worker_binary = kWorker,
                                         .work_folder = folder.path() / "work",
                                         .worker_arguments = {"--version"},
                                         .use_cgroup_v2 = state.range(0) > 0,
                                         .use_cgroup_v1 = state.range(0) > 0});
  if (!executor.ok()) {
    state.SkipWithError(std::string(executor.status().message()).c_str());
    return;
  }
  Runner runner{.executor = *std::move(executor)};
  state.SetLabel(runner.executor->DescribeConfinement());
  for (auto _ : state) {
    if (!runner.Run("unix:x", state.range(0) == 2 ? int64_t{1} << 30 : 0)) {
      state.SkipWithError("launch failed");
      break;
    }
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(ExecutorLaunch)->DenseRange(0, 2)->UseRealTime()->Unit(benchmark::kMillisecond);

// A whole diagnostic job of one step against a server in this process: launch, session, training,
// upload of a 16-byte model, end. `first_step_ms` is the time from the launch until the first
// event is here.
void NoOpJob(benchmark::State& state) {
  const TemporaryFolder folder;
  FakeWorkerService service;
  service.assignment.set_attempt(1);
  service.assignment.mutable_spec()->mutable_diagnostic();
  FillDefaults(*service.assignment.mutable_spec());
  const std::string address = absl::StrCat("unix:", (folder.path() / "socket").string());
  service.Start(address);
  auto executor =
      LocalExecutor::Create({.worker_binary = kWorker, .work_folder = folder.path() / "work"});
  if (!executor.ok()) {
    state.SkipWithError(std::string(executor.status().message()).c_str());
    return;
  }
  Runner runner{.executor = *std::move(executor)};
  double first_step_ms = 0;
  for (auto _ : state) {
    service.Forget();
    const auto start = std::chrono::steady_clock::now();
    if (!runner.Run(address, 0)) {
      state.SkipWithError("launch failed");
      break;
    }
    first_step_ms +=
        std::chrono::duration<double, std::milli>(service.first_event_time() - start).count();
  }
  state.counters["first_step_ms"] = first_step_ms / static_cast<double>(state.iterations());
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(NoOpJob)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace trainyard

BENCHMARK_MAIN();
