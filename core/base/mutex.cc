#include "core/base/mutex.h"

#include <algorithm>

namespace trainyard {

// In the stack frame of a thread in AwaitUntil. Everything is guarded by the mutex.
struct Mutex::Waiter {
  absl::FunctionRef<bool()> condition;
  std::condition_variable wake;
  bool woken = false;
  Waiter* previous = nullptr;
  Waiter* next = nullptr;
};

// Stopping at the first whose condition holds loses nobody, even if that one was woken before: it
// takes the mutex, and either returns and releases it, or finds that another thread has made its
// condition false, and that thread came here when it released the mutex.
void Mutex::WakeNextOf(Waiter* waiter) {
  for (; waiter != nullptr; waiter = waiter->next) {
    if (!waiter->condition()) continue;
    if (!waiter->woken) {
      waiter->woken = true;
      waiter->wake.notify_one();
    }
    return;
  }
}

bool Mutex::AwaitUntil(absl::FunctionRef<bool()> condition, Deadline deadline) {
  if (condition()) return true;
  Waiter waiter{condition};
  waiter.previous = last_waiter_;
  (last_waiter_ == nullptr ? first_waiter_ : last_waiter_->next) = &waiter;
  last_waiter_ = &waiter;

  std::unique_lock<std::mutex> lock(mutex_, std::adopt_lock);
  bool holds = false;
  bool late = false;
  while (!holds && !late) {
    WakeNext();  // this thread may have made another's condition true
    if (deadline.has_value()) {
      late = waiter.wake.wait_until(lock, *deadline) == std::cv_status::timeout;
    } else {
      waiter.wake.wait(lock);
    }
    waiter.woken = false;
    holds = condition();
  }
  lock.release();

  (waiter.previous == nullptr ? first_waiter_ : waiter.previous->next) = waiter.next;
  (waiter.next == nullptr ? last_waiter_ : waiter.next->previous) = waiter.previous;
  return holds;
}

void Mutex::Await(absl::FunctionRef<bool()> condition) { AwaitUntil(condition, std::nullopt); }

bool Mutex::AwaitWithTimeout(absl::FunctionRef<bool()> condition, absl::Duration timeout) {
  return AwaitUntil(condition, DeadlineAfter(timeout));
}

Mutex::Deadline Mutex::DeadlineAfter(absl::Duration timeout) {
  // Centuries would overflow the clock's 64 bits of nanoseconds.
  constexpr absl::Duration kOutOfSight = absl::Hours(24 * 365 * 10);
  if (timeout > kOutOfSight) return std::nullopt;
  return std::chrono::steady_clock::now() +
         absl::ToChronoNanoseconds(std::max(timeout, absl::ZeroDuration()));
}

void CondVar::WaitWithTimeout(Mutex* mutex, absl::Duration timeout) {
  mutex->WakeNext();
  std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
  if (const auto deadline = Mutex::DeadlineAfter(timeout)) {
    condition_.wait_until(lock, *deadline);
  } else {
    condition_.wait(lock);
  }
  lock.release();
}

}  // namespace trainyard
