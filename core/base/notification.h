// Waiting for something that another thread does.
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "core/base/mutex.h"

namespace trainyard {

// Something that happens once. Whatever was done before Notify is visible to those who saw it.
class Notification {
 public:
  Notification() = default;
  Notification(const Notification&) = delete;
  Notification& operator=(const Notification&) = delete;

  // At most once.
  void Notify();
  bool HasBeenNotified() const;
  // The notification may be destroyed as soon as a wait has seen it.
  void WaitForNotification() const;
  // Waits for at most `timeout` of steady time; returns whether it has been notified.
  bool WaitForNotificationWithTimeout(absl::Duration timeout) const;

 private:
  mutable Mutex mutex_;
  bool notified_ ABSL_GUARDED_BY(mutex_) = false;
};

// Counts down to 0. Whatever was done before a DecrementCount is visible after Wait.
class BlockingCounter {
 public:
  explicit BlockingCounter(int initial_count) : count_(initial_count) {}
  BlockingCounter(const BlockingCounter&) = delete;
  BlockingCounter& operator=(const BlockingCounter&) = delete;

  // At most as often as the initial count says.
  void DecrementCount();
  // Returns when the count is 0. The counter may be destroyed then.
  void Wait();

 private:
  Mutex mutex_;
  int count_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trainyard
