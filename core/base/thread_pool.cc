#include "core/base/thread_pool.h"

#include <algorithm>
#include <utility>

namespace trainyard {

ThreadPool::ThreadPool(int threads) {
  for (int i = 1; i < std::max(threads, 1); ++i) {
    workers_.emplace_back([this, i] { WorkerLoop(i); });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  start_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::Run(int64_t count, const std::function<void(int64_t, int)>& task) {
  if (workers_.empty() || count <= 1) {
    for (int64_t i = 0; i < count; ++i) task(i, 0);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    task_ = &task;
    count_ = count;
    next_.store(0, std::memory_order_relaxed);
    busy_workers_ = static_cast<int>(workers_.size());
    ++generation_;
  }
  start_.notify_all();
  DrainTasks(0);
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [this] { return busy_workers_ == 0; });
  if (failure_ != nullptr) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void ThreadPool::DrainTasks(int thread) noexcept {
  try {
    for (int64_t i = next_.fetch_add(1); i < count_; i = next_.fetch_add(1)) (*task_)(i, thread);
  } catch (...) {
    next_.store(count_);
    const std::lock_guard lock(mutex_);
    if (failure_ == nullptr) failure_ = std::current_exception();
  }
}

void ThreadPool::WorkerLoop(int thread) {
  int64_t seen = 0;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      start_.wait(lock, [this, seen] { return stopping_ || generation_ != seen; });
      if (stopping_) return;
      seen = generation_;
    }
    DrainTasks(thread);
    const std::lock_guard lock(mutex_);
    if (--busy_workers_ == 0) finished_.notify_one();
  }
}

}  // namespace trainyard
