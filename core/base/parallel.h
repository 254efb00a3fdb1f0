// Independent tasks on several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

namespace trainyard {

// Calls `task(i)` for i = 0 to count - 1, each once, on up to `threads` threads including the
// caller's, and returns when all are done. Which thread runs which task is not determined: tasks
// must not depend on it.
template <typename Task>
void ParallelFor(int threads, int64_t count, const Task& task) {
  std::atomic<int64_t> next = 0;
  const auto work = [&] {
    for (int64_t i = next++; i < count; i = next++) task(i);
  };
  const int64_t helpers = std::min<int64_t>(threads, count) - 1;
  std::vector<std::jthread> others;
  try {
    for (int64_t i = 0; i < helpers; ++i) others.emplace_back(work);
  } catch (const std::system_error&) {
    // The system grants no more threads; those that run do the work.
  }
  work();
}

}  // namespace trainyard
