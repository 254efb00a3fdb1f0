// Watched events beside a bare stream of the same events, one a message; and what watchers cost
// the job that they watch.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/benchmarks/api/child_process.h"
#include "tests/benchmarks/api/measure.h"
#include "tests/server/api/worker_player.h"

namespace trainyard {
namespace {

constexpr int64_t kEvents = 20'000;
constexpr char kAttempt[] = "projects/default/jobs/busy/attempts/1";

// A running job whose worker is this process.
class RunningJob {
 public:
  RunningJob() : worker_(server_) {
    const auto stub = server_.jobs();
    v1::Job job;
    Require(Call(*stub, &v1::JobService::Stub::CreateJob, DiagnosticRequest("busy"), job));
    worker_.Hello(kAttempt, server_.executor().WaitForLaunch(kAttempt).token);
    worker_.Read();
  }
  void Publish(int count) {
    std::vector<v1::JobEvent> events(static_cast<size_t>(count), MetricEvent("loss", 1, 0.5));
    worker_.SendEvents(next_, events);
    next_ += count;
  }
  int64_t newest() {
    return server_.manager().Get(*JobName::Parse("projects/default/jobs/busy"))->newest_sequence();
  }
  TestServer& server() { return server_; }

  // Reads from `from` up to `to`; how many events came.
  int64_t Watch(int64_t from, int64_t to, grpc::ClientContext& context) {
    const auto stub = server_.jobs();
    v1::WatchJobRequest request;
    request.set_name("projects/default/jobs/busy");
    request.set_from_sequence(from);
    const auto reader = stub->WatchJob(&context, request);
    v1::WatchJobResponse response;
    int64_t events = 0;
    while (reader->Read(&response)) {
      events += response.events_size();
      if (response.newest_sequence() >= to && events > 0 &&
          response.events(response.events_size() - 1).sequence() >= to) {
        break;
      }
    }
    context.TryCancel();
    (void)reader->Finish();
    return events;
  }

 private:
  TestServer server_;
  WorkerPlayer worker_;
  int64_t next_ = 1;
};

void BM_Floor_BareStream(benchmark::State& state) {
  const auto stub = v1::JobService::NewStub(Floor().channel());
  for (auto _ : state) {
    grpc::ClientContext context;
    v1::WatchJobRequest request;
    request.set_from_sequence(kEvents);
    const auto reader = stub->WatchJob(&context, request);
    v1::WatchJobResponse response;
    while (reader->Read(&response)) {
    }
    Require(reader->Finish());
  }
  state.SetItemsProcessed(state.iterations() * kEvents);
}
BENCHMARK(BM_Floor_BareStream)->UseRealTime()->Unit(benchmark::kMillisecond);

void BM_WatchReplay(benchmark::State& state) {
  RunningJob job;
  for (int64_t sent = 0; sent < kEvents; sent += 500) job.Publish(500);
  const int64_t newest = job.newest();
  int64_t events = 0;
  for (auto _ : state) {
    grpc::ClientContext context;
    events += job.Watch(1, newest, context);
  }
  state.SetItemsProcessed(events);
}
BENCHMARK(BM_WatchReplay)->UseRealTime()->Unit(benchmark::kMillisecond);

// Time that this process, which is server and publisher, has had the processor.
double ProcessorSeconds() {
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::unique_ptr<ChildProcess> Readers(RunningJob& job, int64_t count) {
  if (count == 0) return nullptr;
  auto readers = std::make_unique<ChildProcess>(
      std::vector<std::string>{"readers", job.server().address(), absl::StrCat(count)});
  // Their connections and calls are made before anything is measured.
  for (int i = 0; i < 20; ++i) {
    job.Publish(10);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return readers;
}

// As fast as 500 events at a time are acknowledged, while so many readers in another process watch
// live.
void BM_PublishWithReaders(benchmark::State& state) {
  RunningJob job;
  const auto readers = Readers(job, state.range(0));
  const double before = ProcessorSeconds();
  for (auto _ : state) {
    for (int i = 0; i < 10; ++i) job.Publish(500);
  }
  state.SetItemsProcessed(state.iterations() * 5000);
  state.counters["cpu_us_per_event"] =
      (ProcessorSeconds() - before) * 1e6 / static_cast<double>(state.iterations() * 5000);
}
BENCHMARK(BM_PublishWithReaders)
    ->Arg(0)
    ->Arg(1)
    ->Arg(100)
    ->UseRealTime()
    ->MinTime(2)
    ->Unit(benchmark::kMillisecond);

// Arguments: events a second that a job offers, and readers. `kept` is the share of the rate that
// was acknowledged in time.
void BM_PublishAtRate(benchmark::State& state) {
  RunningJob job;
  const auto readers = Readers(job, state.range(1));
  constexpr int kSteps = 60;
  constexpr auto kStep = std::chrono::milliseconds(50);
  const auto events = static_cast<int>(state.range(0) / 20);
  const double before = ProcessorSeconds();
  double seconds = 0;
  for (auto _ : state) {
    const auto start = SteadyClock::now();
    for (int step = 0; step < kSteps; ++step) {
      std::this_thread::sleep_until(start + step * kStep);
      job.Publish(events);
    }
    std::this_thread::sleep_until(start + kSteps * kStep);
    seconds = Seconds(start);
    state.SetIterationTime(seconds);
  }
  const double sent = static_cast<double>(kSteps) * events;
  state.counters["kept"] = sent / seconds / static_cast<double>(state.range(0));
  state.counters["cpu_us_per_event"] = (ProcessorSeconds() - before) * 1e6 / sent;
}
BENCHMARK(BM_PublishAtRate)
    ->ArgsProduct({{10'000, 50'000}, {0, 100}})
    ->UseManualTime()
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace trainyard
