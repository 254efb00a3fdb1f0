// Scheduling decisions with many queued jobs, and the memory they take.
#include <malloc.h>
#include <time.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "server/scheduler/queue.h"

namespace trainyard {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'600'000'000);

QueuedJob MakeJob(int64_t number, int projects, int priorities) {
  QueuedJob job;
  job.project = absl::StrCat("project-", number % projects);
  job.name = absl::StrCat("projects/", job.project, "/jobs/j", number);
  job.priority = static_cast<int32_t>(number / 7 % priorities);
  job.create_time = kStart + absl::Milliseconds(number);
  job.slots = {1 + static_cast<int32_t>(number % 4), 0, (1 + number % 1000) << 20};
  return job;
}

std::unique_ptr<SchedulingQueue> MakeQueue() {
  SchedulingQueue::Options options;
  options.capacity = {64, 8, int64_t{256} << 30};
  return SchedulingQueue::Create(options);
}

// CPU time of this thread, in s: a decision waits for nothing, and other load does not blur it.
double CpuSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double Percentile(std::vector<double>& values, double share) {
  const auto at =
      values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

// One decision: PickNext, with the release of an earlier job and a new one between decisions, so
// that the number of queued jobs stays. Arguments: queued jobs, projects, priorities.
void BM_PickNext(benchmark::State& state) {
  auto queue = MakeQueue();
  const int projects = static_cast<int>(state.range(1));
  const int priorities = static_cast<int>(state.range(2));
  const struct mallinfo2 before = mallinfo2();
  int64_t number = 0;
  for (; number < state.range(0); ++number) queue->Add(MakeJob(number, projects, priorities));
  const struct mallinfo2 after = mallinfo2();
  std::vector<std::string> running;
  std::vector<double> micros;
  absl::Time now = kStart + absl::Hours(1);
  while (const auto picked = queue->PickNext(now)) running.push_back(picked->name);
  size_t oldest = 0;
  for (auto _ : state) {
    now += absl::Milliseconds(10);
    queue->Release(running[oldest], now);
    queue->Add(MakeJob(number++, projects, priorities));
    const double begin = CpuSeconds();
    const auto picked = queue->PickNext(now);
    const double elapsed = CpuSeconds() - begin;
    state.SetIterationTime(elapsed);
    micros.push_back(elapsed * 1e6);
    benchmark::DoNotOptimize(picked);
    if (picked.has_value()) {
      running[oldest] = picked->name;
      oldest = (oldest + 1) % running.size();
    } else {
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(oldest));
      oldest = running.empty() ? 0 : oldest % running.size();
    }
  }
  state.counters["p50_us"] = Percentile(micros, 0.5);
  state.counters["p99_us"] = Percentile(micros, 0.99);
  state.counters["bytes_per_job"] =
      static_cast<double>(after.uordblks - before.uordblks) / static_cast<double>(state.range(0));
}
BENCHMARK(BM_PickNext)
    ->Args({1'000, 10, 5})
    ->Args({100'000, 10, 5})
    ->Args({100'000, 100, 20})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

// The answer to "how many are ahead of mine".
void BM_Position(benchmark::State& state) {
  auto queue = MakeQueue();
  for (int64_t i = 0; i < state.range(0); ++i) queue->Add(MakeJob(i, 10, 5));
  const std::string name = MakeJob(state.range(0) / 2, 10, 5).name;
  absl::Time now = kStart + absl::Hours(1);
  for (auto _ : state) benchmark::DoNotOptimize(queue->Position(name, now += absl::Seconds(1)));
}
BENCHMARK(BM_Position)->Arg(100'000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace trainyard

BENCHMARK_MAIN();
