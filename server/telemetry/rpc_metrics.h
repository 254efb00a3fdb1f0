// Counts and latencies of API calls.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
class Registry;
}  // namespace prometheus

namespace trainyard {

// The figures of one method. Thread-safe.
class RpcStats {
 public:
  void OnStart();
  // `latency` is not recorded for streams, whose length says nothing.
  void OnEnd(absl::StatusCode code, absl::Duration latency);

 private:
  friend class RpcMetrics;
  static constexpr int kCodes = 17;
  std::array<prometheus::Counter*, kCodes> handled_{};
  prometheus::Gauge* in_flight_ = nullptr;
  prometheus::Histogram* latency_ = nullptr;
};

// The figures of all methods, in `registry`, which must live longer.
class RpcMetrics {
 public:
  explicit RpcMetrics(prometheus::Registry& registry);
  ~RpcMetrics();

  enum class Kind { kUnary, kStream };
  // `method` as `JobService/GetJob`. The result lives as long as this object. Not thread-safe.
  RpcStats* Method(std::string_view method, Kind kind);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trainyard
