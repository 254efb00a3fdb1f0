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
//
// A thread without work watches for the next loop for some tens of microseconds before it sleeps,
// so that loops that follow each other closely start at once (where the machine has a core for
// every thread). A loop does not wait for threads that wake too late for it.
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
  bool Join(uint64_t& seen);
  void Leave();
  void OpenLoop();
  void CloseLoop();
  // Watches `ready` for a while; false where it did not come true.
  template <typename Ready>
  bool Watch(const Ready& ready) const;

  const bool watches_;

  // The loop's number, whether workers may still join it, and how many are inside (see the .cc).
  // Workers join and leave by it without a lock.
  std::atomic<uint64_t> state_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> caller_sleeps_{false};

  // ThreadSanitizer follows std::mutex, but not absl::Mutex in a library built without it.
  std::mutex mutex_;
  std::condition_variable start_;     // a loop was opened, or stopping_
  std::condition_variable finished_;  // nobody is inside the loop
  std::exception_ptr failure_;        // of the loop under way; guarded by mutex_

  // Written by Run while no worker is inside a loop, read by those that are.
  const std::function<void(int64_t, int)>* task_ = nullptr;
  int64_t count_ = 0;
  alignas(64) std::atomic<int64_t> next_{0};
  std::vector<std::thread> workers_;
};

}  // namespace trainyard
