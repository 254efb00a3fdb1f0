#include "server/telemetry/job_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"

namespace trainyard {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::Family;
using Buckets = prometheus::Histogram::BucketBoundaries;

// `STATE_RUNNING` as `running`.
std::string Label(const std::string& name, absl::string_view prefix) {
  return absl::AsciiStrToLower(absl::StripPrefix(name, prefix));
}
std::string Label(v1::Job::State state) { return Label(v1::Job::State_Name(state), "STATE_"); }

const Buckets& WaitBuckets() {
  static const auto& buckets = *new Buckets{0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 21600, 86400};
  return buckets;
}
const Buckets& RunBuckets() {
  static const auto& buckets = *new Buckets{0.01, 0.1, 1, 10, 60, 600, 3600, 21600, 86400, 604800};
  return buckets;
}
const Buckets& LaunchBuckets() {
  static const auto& buckets = *new Buckets{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5};
  return buckets;
}

}  // namespace

struct JobMetrics::State {
  Family<prometheus::Gauge>& jobs;
  Family<prometheus::Counter>& ended;
  Family<prometheus::Histogram>& run_time;
  Family<prometheus::Histogram>& wait;
  Family<prometheus::Histogram>& launch;
  prometheus::Counter& events;
  prometheus::Counter& store_failures;
  prometheus::Gauge& queued;
  prometheus::Gauge& running;
  prometheus::Gauge& oldest_wait;
  Family<prometheus::Gauge>& slots;
};

JobMetrics::JobMetrics(prometheus::Registry& registry)
    : state_(new State{
          BuildGauge()
              .Name("trainyard_jobs")
              .Help("Jobs by state and algorithm; ended ones since the server was started.")
              .Register(registry),
          BuildCounter()
              .Name("trainyard_attempts_ended_total")
              .Help("Attempts that ended, by algorithm and cause.")
              .Register(registry),
          BuildHistogram()
              .Name("trainyard_attempt_run_seconds")
              .Help("Running time of attempts, by algorithm.")
              .Register(registry),
          BuildHistogram()
              .Name("trainyard_queue_wait_seconds")
              .Help("Time that jobs waited in the queue, by algorithm.")
              .Register(registry),
          BuildHistogram()
              .Name("trainyard_worker_launch_seconds")
              .Help("Time to start a worker process, by outcome.")
              .Register(registry),
          BuildCounter()
              .Name("trainyard_events_published_total")
              .Help("Job events stored and shown to watchers.")
              .Register(registry)
              .Add({}),
          BuildCounter()
              .Name("trainyard_store_failures_total")
              .Help("Writes to the catalogue that failed and were tried again.")
              .Register(registry)
              .Add({}),
          BuildGauge()
              .Name("trainyard_queue_jobs")
              .Help("Jobs that wait in the queue.")
              .Register(registry)
              .Add({}),
          BuildGauge()
              .Name("trainyard_running_jobs")
              .Help("Jobs that have a worker.")
              .Register(registry)
              .Add({}),
          BuildGauge()
              .Name("trainyard_queue_oldest_wait_seconds")
              .Help("How long the oldest queued job has waited.")
              .Register(registry)
              .Add({}),
          BuildGauge()
              .Name("trainyard_slots")
              .Help("Slots by resource (cpu, gpu, memory_bytes) and use (free, busy).")
              .Register(registry)}) {}

JobMetrics::~JobMetrics() = default;

void JobMetrics::OnJobState(std::string_view algorithm, v1::Job::State from, v1::Job::State to) {
  const std::string name(algorithm);
  if (from != v1::Job::STATE_UNSPECIFIED) {
    state_->jobs.Add({{"algorithm", name}, {"state", Label(from)}}).Decrement();
  }
  if (to != v1::Job::STATE_UNSPECIFIED) {
    state_->jobs.Add({{"algorithm", name}, {"state", Label(to)}}).Increment();
  }
}

void JobMetrics::OnAttemptEnd(std::string_view algorithm, v1::Attempt::EndCause cause,
                              absl::Duration run_time) {
  const std::string name(algorithm);
  state_->ended
      .Add({{"algorithm", name}, {"cause", Label(v1::Attempt::EndCause_Name(cause), "END_CAUSE_")}})
      .Increment();
  state_->run_time.Add({{"algorithm", name}}, RunBuckets())
      .Observe(absl::ToDoubleSeconds(run_time));
}

void JobMetrics::OnDispatch(std::string_view algorithm, absl::Duration wait) {
  state_->wait.Add({{"algorithm", std::string(algorithm)}}, WaitBuckets())
      .Observe(absl::ToDoubleSeconds(wait));
}

void JobMetrics::OnLaunch(bool ok, absl::Duration duration) {
  state_->launch.Add({{"outcome", ok ? "ok" : "error"}}, LaunchBuckets())
      .Observe(absl::ToDoubleSeconds(duration));
}

void JobMetrics::OnEventsPublished(int64_t count) {
  state_->events.Increment(static_cast<double>(count));
}

void JobMetrics::OnStoreFailure() { state_->store_failures.Increment(); }

void JobMetrics::SetQueue(const v1::Queue& queue) {
  state_->queued.Set(static_cast<double>(queue.queued_count()));
  state_->running.Set(static_cast<double>(queue.running_count()));
  state_->oldest_wait.Set(queue.oldest_wait_seconds());
  const auto set = [&](const char* resource, int64_t capacity, int64_t used) {
    state_->slots.Add({{"resource", resource}, {"use", "busy"}}).Set(static_cast<double>(used));
    state_->slots.Add({{"resource", resource}, {"use", "free"}})
        .Set(static_cast<double>(capacity - used));
  };
  set("cpu", queue.capacity().cpu_threads(), queue.in_use().cpu_threads());
  set("gpu", queue.capacity().gpus(), queue.in_use().gpus());
  set("memory_bytes", queue.capacity().memory_bytes(), queue.in_use().memory_bytes());
}

}  // namespace trainyard
