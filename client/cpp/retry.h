// When and how long to wait before a call is made again.
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace trainyard {

// How calls are repeated.
struct RetryOptions {
  // Calls in all, the first one included; at least 1.
  int max_attempts = 5;
  // Longest wait after the first failure; each further one waits up to `multiplier` times longer.
  absl::Duration initial_backoff = absl::Milliseconds(100);
  // No wait is longer, except where the server asks for it.
  absl::Duration max_backoff = absl::Seconds(5);
  // Growth of the wait from failure to failure; at least 1.
  double multiplier = 2;
};

// Waits of one series of failures: between half of the current bound and all of it, at random, so
// that many clients do not return at the same moment. Not thread-safe.
class Backoff {
 public:
  // `uniform` returns numbers in [0, 1); by default from a generator seeded by the system.
  explicit Backoff(const RetryOptions& options, std::function<double()> uniform = {});

  // The next wait, at least `at_least`.
  absl::Duration Next(absl::Duration at_least = absl::ZeroDuration());

  // Starts the series anew, after something worked.
  void Reset() { bound_ = options_.initial_backoff; }

 private:
  RetryOptions options_;
  std::function<double()> uniform_;
  absl::Duration bound_;
};

// The wait that the server asked for in a google.rpc.RetryInfo attached to `status`; zero for none.
absl::Duration RequestedDelay(const absl::Status& status);

// Calls `attempt` until it answers anything but UNAVAILABLE, `options.max_attempts` is reached, or
// the next wait would pass `deadline`; returns the last answer. `sleep` waits.
absl::Status RetryUnavailable(const RetryOptions& options, absl::Time deadline,
                              const std::function<void(absl::Duration)>& sleep,
                              const std::function<absl::Status()>& attempt);

}  // namespace trainyard
