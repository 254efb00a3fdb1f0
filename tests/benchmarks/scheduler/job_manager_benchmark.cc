// The job manager on the real catalogue: accepting jobs, running no-op jobs, publishing events,
// reading, and starting with many jobs. The floor of a durable commit is measured beside it.
#include <malloc.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "core/base/mutex.h"
#include "core/base/notification.h"
#include "server/scheduler/job_manager.h"
#include "server/storage/testing/temp_store.h"
#include "tests/server/scheduler/testing/auto_workers.h"
#include "trainyard/v1/job_service.pb.h"

namespace trainyard {
namespace {

// Processes that never do anything.
class NoProcesses : public Executor {
 public:
  std::string_view name() const override { return "none"; }
  absl::StatusOr<std::string> Launch(const WorkerLaunch& launch, OnExit) override {
    MutexLock lock(&mutex_);
    token_ = launch.token;
    launched_ = true;
    return launch.attempt;
  }
  absl::Status Adopt(const std::string&, const std::string&, OnExit) override {
    return absl::NotFoundError("");
  }
  void Terminate(const std::string&) override {}
  void Kill(const std::string&) override {}
  int64_t ProcessId(const std::string&) const override { return 0; }
  std::string WaitForToken() {
    MutexLock lock(&mutex_);
    mutex_.Await([this] { return launched_; });
    return token_;
  }

 private:
  Mutex mutex_;
  bool launched_ = false;
  std::string token_;
};

std::unique_ptr<JobManager> StartManager(TempStore& store, Executor& executor, int cpu_threads) {
  JobManager::Options options;
  options.capacity = {cpu_threads, 0, int64_t{8} << 30};
  options.max_queued_jobs = 10'000'000;
  JobManager::Dependencies dependencies;
  dependencies.catalogue = &store.catalogue();
  dependencies.blobs = &store.blobs();
  dependencies.executor = &executor;
  dependencies.clock = &Clock::Real();
  return JobManager::Start(options, dependencies).value();
}

v1::Job NewJob(int64_t number) {
  v1::Job job;
  job.set_name(absl::StrCat("projects/p/jobs/j", number));
  job.mutable_spec()->mutable_diagnostic()->set_steps(1);
  job.mutable_resources()->set_cpu_threads(1);
  return job;
}

// Creates jobs with so many calls in flight; returns when all are durable.
void CreateJobs(JobManager& manager, int64_t begin, int64_t count, int in_flight) {
  std::atomic<int64_t> next = begin;
  BlockingCounter done(static_cast<int>(count));
  std::function<void()> create = [&] {
    const int64_t number = next++;
    if (number >= begin + count) return;
    manager.Create(NewJob(number), absl::StrCat("request-", number), "hash",
                   [&](const absl::StatusOr<v1::Job>& job) {
                     if (!job.ok()) abort();
                     create();
                     done.DecrementCount();
                   });
  };
  for (int i = 0; i < in_flight; ++i) create();
  done.Wait();
}

void BM_CommitFloor(benchmark::State& state) {
  TempStore store;
  int64_t number = 0;
  for (auto _ : state) {
    const v1::Job job = NewJob(++number);
    store.catalogue()
        .WriteAndWait([&](CatalogueTransaction& transaction) { return transaction.InsertJob(job); })
        .IgnoreError();
  }
  state.SetItemsProcessed(number);
}
BENCHMARK(BM_CommitFloor)->UseRealTime();

// Argument: calls in flight. Slots are taken by one job, so that nothing starts.
void BM_Create(benchmark::State& state) {
  TempStore store;
  NoProcesses processes;
  auto manager = StartManager(store, processes, 1);
  constexpr int64_t kBatch = 1024;
  int64_t number = 0;
  for (auto _ : state) {
    CreateJobs(*manager, number, kBatch, static_cast<int>(state.range(0)));
    number += kBatch;
  }
  state.SetItemsProcessed(number);
  manager->Shutdown();
}
BENCHMARK(BM_Create)->Arg(1)->Arg(32)->UseRealTime()->Unit(benchmark::kMillisecond);

// No-op jobs from creation to their end, workers being threads: what the manager itself costs.
void BM_JobsEndToEnd(benchmark::State& state) {
  TempStore store;
  AutoWorkers workers(3);
  auto manager = StartManager(store, workers, 2);
  workers.SetManager(manager.get());
  constexpr int64_t kBatch = 200;
  int64_t number = 0;
  for (auto _ : state) {
    CreateJobs(*manager, number, kBatch, 32);
    number += kBatch;
    auto reader = manager->Watch({"p", absl::StrCat("j", number - 1)}, 1);
    bool last = false;
    while (!last) {
      Notification ready;
      (*reader)->NotifyWhenReady([&] { ready.Notify(); });
      ready.WaitForNotification();
      last = (*reader)->Next(1 << 20)->last;
    }
  }
  state.SetItemsProcessed(number);
  workers.SetManager(nullptr);
  workers.Sync();
  manager->Shutdown();
}
BENCHMARK(BM_JobsEndToEnd)->UseRealTime()->Unit(benchmark::kMillisecond);

class CountingLink : public WorkerLink {
 public:
  void Send(v1::ServerMessage message) override {
    MutexLock lock(&mutex_);
    if (message.has_assignment()) assigned_ = true;
    if (message.has_ack()) acknowledged_ = message.ack().sequence();
  }
  void Close(absl::Status) override {}
  void WaitForAssignment() {
    MutexLock lock(&mutex_);
    mutex_.Await([this] { return assigned_; });
  }
  void WaitForAck(int64_t sequence) {
    MutexLock lock(&mutex_);
    const auto acknowledged = [&] { return acknowledged_ >= sequence; };
    mutex_.Await(acknowledged);
  }

 private:
  Mutex mutex_;
  bool assigned_ = false;
  int64_t acknowledged_ = 0;
};

// Events of one worker until they are durable and acknowledged. Argument: readers that follow.
void BM_PublishEvents(benchmark::State& state) {
  TempStore store;
  NoProcesses processes;
  auto manager = StartManager(store, processes, 1);
  CreateJobs(*manager, 0, 1, 1);
  auto link = std::make_shared<CountingLink>();
  v1::Hello hello;
  hello.set_attempt("projects/p/jobs/j0/attempts/1");
  hello.set_token(processes.WaitForToken());
  const int64_t session = manager->OpenSession(hello, link).value();
  link->WaitForAssignment();

  std::atomic<int64_t> bytes = 0;
  struct Follower {
    std::unique_ptr<EventReader> reader;
    std::function<void()> follow;
  };
  std::vector<Follower> followers(static_cast<size_t>(state.range(0)));
  for (Follower& follower : followers) {
    follower.reader = manager->Watch({"p", "j0"}, 1).value();
    follower.follow = [&follower, &bytes] {
      while (true) {
        const auto batch = follower.reader->Next(1 << 20);
        if (!batch.ok()) return;
        if (batch->response == nullptr) break;
        bytes += static_cast<int64_t>(batch->response->size());
      }
      follower.reader->NotifyWhenReady(follower.follow);
    };
    follower.reader->NotifyWhenReady(follower.follow);
  }
  constexpr int kEventsPerMessage = 50;
  constexpr int kMessages = 200;
  int64_t sent = 0;
  for (auto _ : state) {
    for (int m = 0; m < kMessages; ++m) {
      v1::WorkerEvents events;
      events.set_first_sequence(sent + 1);
      for (int i = 0; i < kEventsPerMessage; ++i) {
        auto* point = events.add_events()->mutable_metrics()->add_points();
        point->set_name("train/loss");
        point->set_step(++sent);
        point->set_value(1.0 / static_cast<double>(sent));
      }
      if (!manager->OnEvents(session, std::move(events)).ok()) abort();
      // A worker keeps a bounded number unacknowledged.
      if (m % 20 == 19) link->WaitForAck(sent - 10 * kEventsPerMessage);
    }
    link->WaitForAck(sent);
  }
  state.SetItemsProcessed(sent);
  state.counters["read_bytes_per_event"] =
      static_cast<double>(bytes) / static_cast<double>(std::max<int64_t>(1, sent));
  manager->Shutdown();
  followers.clear();
}
BENCHMARK(BM_PublishEvents)->Arg(0)->Arg(1)->Arg(100)->UseRealTime()->Unit(benchmark::kMillisecond);

// Arguments: queued jobs. A Get in between, then the start of a server with them.
void BM_GetQueuedJob(benchmark::State& state) {
  TempStore store;
  NoProcesses processes;
  auto manager = StartManager(store, processes, 1);
  const struct mallinfo2 before = mallinfo2();
  CreateJobs(*manager, 0, state.range(0), 256);
  state.counters["memory_per_job"] = static_cast<double>(mallinfo2().uordblks - before.uordblks) /
                                     static_cast<double>(state.range(0));
  int64_t number = 0;
  for (auto _ : state) {
    number = (number + 7919) % state.range(0);
    benchmark::DoNotOptimize(manager->Get({"p", absl::StrCat("j", number)}));
  }
  manager->Shutdown();
}
BENCHMARK(BM_GetQueuedJob)->Arg(1'000)->Arg(100'000)->Unit(benchmark::kMicrosecond);

void BM_StartWithQueuedJobs(benchmark::State& state) {
  TempStore store;
  NoProcesses processes;
  {
    auto manager = StartManager(store, processes, 1);
    CreateJobs(*manager, 0, state.range(0), 256);
    manager->Shutdown();
  }
  for (auto _ : state) {
    state.PauseTiming();
    store.Reopen();
    state.ResumeTiming();
    auto manager = StartManager(store, processes, 1);
    state.PauseTiming();
    manager->Shutdown();
    manager = nullptr;
    state.ResumeTiming();
  }
}
BENCHMARK(BM_StartWithQueuedJobs)->Arg(100'000)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace trainyard

BENCHMARK_MAIN();
