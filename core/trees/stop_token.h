// Cancellation inside long loops that run on several threads.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <utility>

#include "absl/status/status.h"

namespace trainyard {

// Asks `check` whether to go on and remembers the first refusal. Thread-safe.
class StopToken {
 public:
  // `check` may be empty: never stops. It is called from any thread.
  explicit StopToken(std::function<absl::Status()> check) : check_(std::move(check)) {}

  // Asks; true when the loop is to end. Ask at least every 50 ms, that is every million steps.
  bool Ask() {
    if (stopped()) return true;
    if (!check_) return false;
    absl::Status answer = check_();
    if (answer.ok()) return false;
    Stop(std::move(answer));
    return true;
  }

  // Ends the loop as if an Ask had been refused with `status`, which is not OK.
  void Stop(absl::Status status) {
    const std::lock_guard lock(mutex_);
    if (status_.ok()) status_ = std::move(status);
    stopped_.store(true, std::memory_order_release);
  }

  // Whether an earlier Ask was refused.
  bool stopped() const { return stopped_.load(std::memory_order_acquire); }

  // OK, or the first refusal.
  absl::Status status() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }

 private:
  const std::function<absl::Status()> check_;
  std::atomic<bool> stopped_{false};
  mutable std::mutex mutex_;
  absl::Status status_;  // guarded by mutex_
};

}  // namespace trainyard
