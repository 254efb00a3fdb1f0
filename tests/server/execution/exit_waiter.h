// Waiting in tests of processes.
#pragma once

#include <gtest/gtest.h>

#include <optional>

#include "absl/time/clock.h"
#include "core/base/mutex.h"
#include "server/execution/executor.h"

namespace trainyard {

// The end of one attempt.
class ExitWaiter {
 public:
  Executor::OnExit callback() {
    return [this](WorkerExit exit) {
      MutexLock lock(&mutex_);
      EXPECT_FALSE(exit_.has_value()) << "on_exit was called twice";
      exit_ = std::move(exit);
    };
  }
  bool ended() {
    MutexLock lock(&mutex_);
    return exit_.has_value();
  }
  WorkerExit Wait() {
    MutexLock lock(&mutex_);
    const bool done =
        mutex_.AwaitWithTimeout([this] { return exit_.has_value(); }, absl::Seconds(20));
    EXPECT_TRUE(done) << "the attempt does not end";
    return exit_.value_or(WorkerExit());
  }

 private:
  Mutex mutex_;
  std::optional<WorkerExit> exit_;
};

// True when `condition` holds within 20 s.
template <typename Condition>
bool Eventually(Condition condition) {
  for (int i = 0; i < 4000; ++i) {
    if (condition()) return true;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return false;
}

}  // namespace trainyard
