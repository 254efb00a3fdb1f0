// The service as a whole, through its real programs: each figure beside its floor in the same run.
// Rates and times are measured by hand (manual time) because the work is done by other processes.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "tests/end_to_end/harness.h"

extern char** environ;

namespace trainyard {
namespace {

using e2e::Service;

std::unique_ptr<Client> ConnectTo(const Service& service) {
  auto client = Client::Connect(service.address());
  if (!client.ok()) {
    std::cerr << client.status() << std::endl;
    std::abort();
  }
  return *std::move(client);
}

v1::CreateJobRequest DiagnosticJob(int64_t steps, double step_seconds) {
  v1::CreateJobRequest request;
  request.set_parent("projects/default");
  request.mutable_job()->mutable_resources()->set_cpu_threads(1);
  auto& spec = *request.mutable_job()->mutable_spec()->mutable_diagnostic();
  spec.set_steps(steps);
  spec.set_step_seconds(step_seconds);
  return request;
}

// Submits `count` jobs from `threads` connections; returns their names.
std::vector<std::string> Submit(const Service& service, const v1::CreateJobRequest& request,
                                int count, int threads) {
  std::vector<std::string> names(count);
  std::atomic<int> next = 0;
  std::vector<std::jthread> workers;
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&] {
      const auto client = ConnectTo(service);
      for (int i = next++; i < count; i = next++) {
        const auto job = client->CreateJob(request);
        if (!job.ok()) std::cerr << job.status() << std::endl;
        if (job.ok()) names[i] = job->name();
      }
    });
  }
  workers.clear();
  return names;
}

// Waits until nothing is queued or running.
void WaitUntilIdle(Client& client) {
  while (true) {
    const auto queue = client.GetQueue("");
    if (queue.ok() && queue->queued_count() == 0 && queue->running_count() == 0) return;
    absl::SleepFor(absl::Milliseconds(5));
  }
}

void BM_Floor_SpawnWorkerBinary(benchmark::State& state) {
  const std::string program = e2e::Program("trainyard-worker");
  for (auto _ : state) {
    char* arguments[] = {const_cast<char*>(program.c_str()), const_cast<char*>("--version"),
                         nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    pid_t pid = 0;
    if (posix_spawn(&pid, program.c_str(), &actions, nullptr, arguments, environ) != 0)
      std::abort();
    posix_spawn_file_actions_destroy(&actions);
    int status = 0;
    waitpid(pid, &status, 0);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_Floor_SpawnWorkerBinary)->UseRealTime()->Unit(benchmark::kMillisecond);

// No-op jobs, a process each, submitted all at once; time from the first submission to the last
// end.
void BM_NoOpJobs(benchmark::State& state) {
  const int jobs = static_cast<int>(state.range(0));
  Service service({"--cpu_slots=2"});
  const auto client = ConnectTo(service);
  for (auto _ : state) {
    const absl::Time start = absl::Now();
    Submit(service, DiagnosticJob(1, 0), jobs, 4);
    WaitUntilIdle(*client);
    state.SetIterationTime(absl::ToDoubleSeconds(absl::Now() - start));
  }
  state.SetItemsProcessed(state.iterations() * jobs);
}
BENCHMARK(BM_NoOpJobs)->Arg(200)->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(3);

// From the acceptance of a job on an idle server to its first training step, by the events' own
// times.
void BM_QueueToFirstStep(benchmark::State& state) {
  Service service({"--cpu_slots=2"});
  const auto client = ConnectTo(service);
  for (auto _ : state) {
    const auto job = client->CreateJob(DiagnosticJob(1, 0));
    if (!job.ok()) std::abort();
    double seconds = -1;
    const double created = job->create_time().seconds() + 1e-9 * job->create_time().nanos();
    WatchOptions options;
    options.on_event = [&](const v1::JobEvent& event) {
      if (event.has_metrics() && seconds < 0) {
        const auto& time = event.metrics().points(0).time();
        seconds = time.seconds() + 1e-9 * time.nanos() - created;
      }
      return absl::OkStatus();
    };
    if (!client->WatchJob(job->name(), options).ok()) std::abort();
    WaitUntilIdle(*client);
    state.SetIterationTime(seconds);
  }
}
BENCHMARK(BM_QueueToFirstStep)->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(50);

// One-second jobs on two slots against jobs / 2 seconds; `overhead` is the ratio less one.
void BM_OneSecondJobs(benchmark::State& state) {
  const int jobs = static_cast<int>(state.range(0));
  Service service({"--cpu_slots=2"});
  const auto client = ConnectTo(service);
  double seconds = 0;
  for (auto _ : state) {
    const absl::Time start = absl::Now();
    Submit(service, DiagnosticJob(1, 1.0), jobs, 4);
    WaitUntilIdle(*client);
    seconds = absl::ToDoubleSeconds(absl::Now() - start);
    state.SetIterationTime(seconds);
  }
  state.counters["overhead"] = seconds / (jobs / 2.0) - 1;
}
BENCHMARK(BM_OneSecondJobs)
    ->Arg(20)
    ->Arg(1000)
    ->UseManualTime()
    ->Unit(benchmark::kSecond)
    ->Iterations(1);

// From process start to serving, with jobs queued in the store.
void BM_StartWithQueuedJobs(benchmark::State& state) {
  const int jobs = static_cast<int>(state.range(0));
  Service service({"--cpu_slots=1", "--max_queued_jobs=200000"});
  Submit(service, DiagnosticJob(1'000'000, 10), 1, 1);
  Submit(service, DiagnosticJob(1, 0), jobs, 32);
  for (auto _ : state) {
    service.Kill();
    const absl::Time start = absl::Now();
    service.Start();
    const auto client = ConnectTo(service);
    const auto queue = client->GetQueue("");
    state.SetIterationTime(absl::ToDoubleSeconds(absl::Now() - start));
    if (!queue.ok() || queue->queued_count() < jobs) std::cerr << "jobs are missing" << std::endl;
  }
}
BENCHMARK(BM_StartWithQueuedJobs)
    ->Arg(100'000)
    ->UseManualTime()
    ->Unit(benchmark::kSecond)
    ->Iterations(3);

// From the cancellation of a job that ignores it to the end of its last process, less both grace
// periods.
void BM_CancelToGoneBeyondGrace(benchmark::State& state) {
  constexpr double kGraceSeconds = 0.5;
  Service service({"--cpu_slots=2", absl::StrCat("--cancel_grace_seconds=", kGraceSeconds)});
  const auto client = ConnectTo(service);
  for (auto _ : state) {
    v1::CreateJobRequest request = DiagnosticJob(1'000'000, 0.01);
    request.mutable_job()->mutable_spec()->mutable_diagnostic()->set_ignore_cancellation(true);
    request.mutable_job()->mutable_spec()->mutable_diagnostic()->set_stray_processes(3);
    const auto job = client->CreateJob(request);
    const std::string id = job->name().substr(job->name().rfind('/') + 1);
    while (e2e::FindAttemptProcesses(service.data_dir().string(), id).all.size() < 4) {
      absl::SleepFor(absl::Milliseconds(5));
    }
    v1::CancelJobRequest cancel;
    cancel.set_name(job->name());
    const absl::Time start = absl::Now();
    if (!client->CancelJob(cancel).ok()) std::abort();
    while (!e2e::FindAttemptProcesses(service.data_dir().string(), id).all.empty()) {
    }
    state.SetIterationTime(absl::ToDoubleSeconds(absl::Now() - start) - 2 * kGraceSeconds);
  }
}
BENCHMARK(BM_CancelToGoneBeyondGrace)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->Iterations(10);

}  // namespace
}  // namespace trainyard

BENCHMARK_MAIN();
