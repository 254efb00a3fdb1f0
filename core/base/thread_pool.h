// Threads that share the tasks of one loop at a time.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace trainyard {

// A fixed set of threads that run loops. One owner calls Run; a loop is never started from within
// another. Results must not depend on which thread runs which task.
class ThreadPool {
 public:
  // `threads` >= 1, the calling thread included: a pool of 1 runs everything in the caller.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls `task(index, thread)` once for each index in [0, count), in any order, on all threads;
  // `thread` is in [0, threads()). Returns when all calls have returned. Where one throws (tasks
  // that allocate may), no more are begun, and the exception of one of them is thrown here.
  void Run(int64_t count, const std::function<void(int64_t index, int thread)>& task);

 private:
  void WorkerLoop(int thread);
  void DrainTasks(int thread) noexcept;

  // ThreadSanitizer follows std::mutex, but not absl::Mutex in a library built without it.
  std::mutex mutex_;
  std::condition_variable start_;     // generation_ grew or stopping_
  std::condition_variable finished_;  // busy_workers_ reached 0
  int64_t generation_ = 0;            // guarded by mutex_, as are the next two
  int busy_workers_ = 0;
  bool stopping_ = false;
  std::exception_ptr failure_;  // of the loop under way; guarded by mutex_
  // Written by Run before `generation_` grows, read by workers after they saw it.
  const std::function<void(int64_t, int)>* task_ = nullptr;
  int64_t count_ = 0;
  std::atomic<int64_t> next_{0};
  std::vector<std::thread> workers_;
};

}  // namespace trainyard
