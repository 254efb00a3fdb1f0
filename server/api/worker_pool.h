// Threads for work that blocks, so that gRPC's own threads never do.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "core/base/mutex.h"

namespace trainyard {

// A fixed number of threads and a bounded queue in front of them. Thread-safe. Tasks start in the
// order in which they were given. The destructor runs what is queued, then joins.
class WorkerPool {
 public:
  WorkerPool(int threads, int64_t max_waiting);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // For new work: false, and nothing happens, when `max_waiting` tasks wait already.
  [[nodiscard]] bool TrySubmit(std::function<void()> task);
  // For the next step of work that was admitted before: never refused. A call has at most one or
  // two such steps waiting, so the queue stays bounded by the calls in progress.
  void Submit(std::function<void()> task);

  int64_t waiting() const;

 private:
  void Run();

  const int64_t max_waiting_;
  mutable Mutex mutex_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace trainyard
