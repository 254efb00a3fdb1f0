#include "core/base/thread_pool.h"

#include <immintrin.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace trainyard {
namespace {

// state_: workers inside in the lowest bits, then whether the loop is open, then its number.
constexpr uint64_t kOpen = uint64_t{1} << 16;
constexpr uint64_t kNextLoop = kOpen << 1;
constexpr uint64_t kInside = kOpen - 1;

constexpr auto kWatch = std::chrono::microseconds(50);

int Cores() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

}  // namespace

ThreadPool::ThreadPool(int threads) : watches_(threads <= Cores()) {
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
  task_ = &task;
  count_ = count;
  next_.store(0, std::memory_order_relaxed);
  OpenLoop();
  DrainTasks(0);
  CloseLoop();
  const std::lock_guard lock(mutex_);
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

template <typename Ready>
bool ThreadPool::Watch(const Ready& ready) const {
  if (!watches_) return ready();
  const auto deadline = std::chrono::steady_clock::now() + kWatch;
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return true;
      _mm_pause();
    }
    // Whoever is waited for may want this very core.
    std::this_thread::yield();
  } while (std::chrono::steady_clock::now() < deadline);
  return ready();
}

// Sequentially consistent, as all accesses here: either a worker that goes to sleep sees the loop,
// or the caller sees the sleeper.
void ThreadPool::OpenLoop() {
  state_.store((state_.load() / kNextLoop + 1) * kNextLoop + kOpen);
  if (sleepers_.load() == 0) return;
  { const std::lock_guard lock(mutex_); }
  start_.notify_all();
}

void ThreadPool::CloseLoop() {
  if ((state_.fetch_and(~kOpen) & kInside) == 0) return;
  const auto nobody_inside = [this] { return (state_.load() & kInside) == 0; };
  if (Watch(nobody_inside)) return;
  std::unique_lock lock(mutex_);
  caller_sleeps_ = true;
  finished_.wait(lock, nobody_inside);
  caller_sleeps_ = false;
}

// Enters the loop that is open, if it is not the one already `seen`.
bool ThreadPool::Join(uint64_t& seen) {
  uint64_t state = state_.load();
  while ((state & kOpen) != 0 && state / kNextLoop != seen) {
    if (!state_.compare_exchange_weak(state, state + 1)) continue;
    seen = state / kNextLoop;
    return true;
  }
  return false;
}

void ThreadPool::Leave() {
  const uint64_t before = state_.fetch_sub(1);
  if ((before & (kOpen | kInside)) != 1 || !caller_sleeps_.load()) return;
  { const std::lock_guard lock(mutex_); }
  finished_.notify_one();
}

void ThreadPool::WorkerLoop(int thread) {
  uint64_t seen = 0;
  bool joined = false;
  const auto called = [&] { return (joined = Join(seen)) || stopping_.load(); };
  for (;;) {
    if (!Watch(called)) {
      std::unique_lock lock(mutex_);
      ++sleepers_;
      start_.wait(lock, called);
      --sleepers_;
    }
    if (!joined) return;
    DrainTasks(thread);
    Leave();
  }
}

}  // namespace trainyard
