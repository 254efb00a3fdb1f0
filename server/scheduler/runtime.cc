#include "server/scheduler/runtime.h"

#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "core/base/notification.h"

namespace trainyard {
namespace {

// Threads that run functions in the order in which they were posted.
class WorkerThreads {
 public:
  explicit WorkerThreads(int count) {
    for (int i = 0; i < count; ++i) threads_.emplace_back([this] { Loop(); });
  }
  ~WorkerThreads() { Stop(); }

  void Post(std::function<void()> work) {
    MutexLock lock(&mutex_);
    if (!stopping_) queue_.push_back(std::move(work));
  }

  void Stop() {
    {
      MutexLock lock(&mutex_);
      stopping_ = true;
    }
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

 private:
  void Loop() {
    while (true) {
      std::function<void()> work;
      {
        MutexLock lock(&mutex_);
        mutex_.Await([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return HasWork(); });
        if (queue_.empty()) return;
        work = std::move(queue_.front());
        queue_.pop_front();
      }
      work();
    }
  }

  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !queue_.empty();
  }

  Mutex mutex_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

class ThreadedRuntime : public Runtime {
 public:
  explicit ThreadedRuntime(Clock* clock) : clock_(clock) {}
  ~ThreadedRuntime() override { Stop(); }

  void PostProcessWork(std::function<void()> work) override { processes_.Post(std::move(work)); }
  void PostDataWork(std::function<void()> work) override { data_.Post(std::move(work)); }
  void Notify(std::function<void()> callback) override { callbacks_.Post(std::move(callback)); }

  void WakeAt(absl::Duration time) override {
    MutexLock lock(&mutex_);
    if (time >= wake_time_) return;
    wake_time_ = time;
    changed_.SignalAll();
  }

  bool Wait(Notification& notification, absl::Duration timeout) override {
    return notification.WaitForNotificationWithTimeout(timeout);
  }

  void Start(std::function<absl::Duration()> tick) override {
    timer_ = std::thread([this, tick = std::move(tick)] { TimerLoop(tick); });
  }

  void Stop() override {
    {
      MutexLock lock(&mutex_);
      stopping_ = true;
      changed_.SignalAll();
    }
    if (timer_.joinable()) timer_.join();
    processes_.Stop();
    data_.Stop();
    Notification called;
    callbacks_.Post([&called] { called.Notify(); });
    called.WaitForNotification();
  }

 private:
  void TimerLoop(const std::function<absl::Duration()>& tick) {
    while (true) {
      {
        MutexLock lock(&mutex_);
        while (!stopping_) {
          const absl::Duration wait = wake_time_ - clock_->Monotonic();
          if (wait <= absl::ZeroDuration()) break;
          changed_.WaitWithTimeout(&mutex_, wait);
        }
        if (stopping_) return;
        wake_time_ = absl::InfiniteDuration();
      }
      WakeAt(tick());
    }
  }

  Clock* const clock_;
  Mutex mutex_;
  CondVar changed_;
  absl::Duration wake_time_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread timer_;
  WorkerThreads processes_{2};
  WorkerThreads data_{2};
  WorkerThreads callbacks_{1};
};

}  // namespace

std::unique_ptr<Runtime> MakeThreadedRuntime(Clock* clock) {
  return std::make_unique<ThreadedRuntime>(clock);
}

}  // namespace trainyard
