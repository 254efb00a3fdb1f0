// Locks and waits. Built on the standard library's, which ThreadSanitizer understands: Abseil's
// come from a library that is not built with it, so that whatever they guard would look unguarded.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"

namespace trainyard {

// A mutual-exclusion lock whose holder can wait for a condition. Not recursive. Clang checks with
// -Wthread-safety that what is ABSL_GUARDED_BY it is touched by its holder only.
//
// A condition is a function of what the mutex guards. Nobody signals it: whoever releases the mutex
// evaluates the conditions of those who wait, oldest first, and wakes the first whose condition
// holds; that one does the same in turn. So a condition is cheap, takes no lock, changes nothing,
// and may run on any thread.
class ABSL_LOCKABLE Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() {
    WakeNext();
    mutex_.unlock();
  }

  // Releases the mutex until `condition` holds. The caller holds the mutex before and after.
  void Await(absl::FunctionRef<bool()> condition) ABSL_EXCLUSIVE_LOCKS_REQUIRED(this);
  // As Await, for at most `timeout` of steady time, which may be infinite or below zero. Returns
  // whether `condition` holds.
  bool AwaitWithTimeout(absl::FunctionRef<bool()> condition, absl::Duration timeout)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(this);

 private:
  friend class CondVar;
  using Deadline = std::optional<std::chrono::steady_clock::time_point>;
  struct Waiter;

  bool AwaitUntil(absl::FunctionRef<bool()> condition, Deadline deadline);
  void WakeNext() {
    if (first_waiter_ != nullptr) WakeNextOf(first_waiter_);
  }
  static void WakeNextOf(Waiter* waiter);
  // The time when `timeout` has passed; none when that is out of sight.
  static Deadline DeadlineAfter(absl::Duration timeout);

  std::mutex mutex_;
  Waiter* first_waiter_ = nullptr;  // list of those in AwaitUntil, oldest first; guarded by mutex_
  Waiter* last_waiter_ = nullptr;
};

// Holds a mutex for as long as it lives.
class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

// For waits whose end depends on more than what a mutex guards, such as the time of a clock: the
// waiting thread looks again after each signal. Waits may end without one.
class CondVar {
 public:
  CondVar() = default;
  CondVar(const CondVar&) = delete;
  CondVar& operator=(const CondVar&) = delete;

  // Releases `mutex`, which the caller holds, until a signal comes or `timeout` of steady time,
  // which may be infinite, has passed.
  void WaitWithTimeout(Mutex* mutex, absl::Duration timeout) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // Wakes every thread that waits.
  void SignalAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace trainyard
