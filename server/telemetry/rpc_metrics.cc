#include "server/telemetry/rpc_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <deque>

#include "absl/status/status.h"

namespace trainyard {
namespace {

const prometheus::Histogram::BucketBoundaries& LatencyBuckets() {
  static const auto& buckets = *new prometheus::Histogram::BucketBoundaries{
      0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
      0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};
  return buckets;
}

}  // namespace

struct RpcMetrics::State {
  prometheus::Family<prometheus::Counter>& handled;
  prometheus::Family<prometheus::Gauge>& in_flight;
  prometheus::Family<prometheus::Histogram>& latency;
  std::deque<RpcStats> methods;
};

void RpcStats::OnStart() { in_flight_->Increment(); }

void RpcStats::OnEnd(absl::StatusCode code, absl::Duration latency) {
  in_flight_->Decrement();
  const int index = static_cast<int>(code);
  const int unknown = static_cast<int>(absl::StatusCode::kUnknown);
  handled_[index >= 0 && index < kCodes ? index : unknown]->Increment();
  if (latency_ != nullptr) latency_->Observe(absl::ToDoubleSeconds(latency));
}

RpcMetrics::RpcMetrics(prometheus::Registry& registry)
    : state_(new State{prometheus::BuildCounter()
                           .Name("trainyard_rpc_handled_total")
                           .Help("API calls answered, by method and status code.")
                           .Register(registry),
                       prometheus::BuildGauge()
                           .Name("trainyard_rpc_in_flight")
                           .Help("API calls in progress, by method.")
                           .Register(registry),
                       prometheus::BuildHistogram()
                           .Name("trainyard_rpc_latency_seconds")
                           .Help("Time from the arrival of a unary call to its answer, by method.")
                           .Register(registry),
                       {}}) {}

RpcMetrics::~RpcMetrics() = default;

RpcStats* RpcMetrics::Method(std::string_view method, Kind kind) {
  const std::string name(method);
  RpcStats& stats = state_->methods.emplace_back();
  for (int code = 0; code < RpcStats::kCodes; ++code) {
    stats.handled_[code] = &state_->handled.Add(
        {{"method", name},
         {"code", absl::StatusCodeToString(static_cast<absl::StatusCode>(code))}});
  }
  stats.in_flight_ = &state_->in_flight.Add({{"method", name}});
  if (kind == Kind::kUnary) {
    stats.latency_ = &state_->latency.Add({{"method", name}}, LatencyBuckets());
  }
  return &stats;
}

}  // namespace trainyard
