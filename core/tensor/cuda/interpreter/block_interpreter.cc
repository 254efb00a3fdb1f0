#include "core/tensor/cuda/interpreter/block_interpreter.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {
namespace {

#ifdef TRAINYARD_SANITIZED
constexpr size_t kStackBytes = size_t{512} << 10;
#else
constexpr size_t kStackBytes = size_t{64} << 10;
#endif

uint64_t NextRandom(uint64_t& state) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

}  // namespace

void BlockInterpreter::ThreadMain(void* argument) {
  Thread& thread = *static_cast<Thread*>(argument);
  BlockInterpreter& self = *thread.interpreter;
  // A fiber serves one block after another.
  while (true) {
    try {
      self.body_(self.kernel_, self, thread.index);
    } catch (...) {
      if (self.error_ == nullptr) self.error_ = std::current_exception();
    }
    thread.state = State::kDone;
    ++self.done_;
    thread.fiber->Yield();
  }
}

void BlockInterpreter::ProvideThreads(int threads) {
  while (static_cast<int>(threads_.size()) < threads) {
    auto thread = std::make_unique<Thread>();
    thread->interpreter = this;
    thread->index = static_cast<int>(threads_.size());
    thread->fiber = std::make_unique<Fiber>(kStackBytes, &ThreadMain, thread.get());
    threads_.push_back(std::move(thread));
  }
  warps_.resize(std::max(warps_.size(), (static_cast<size_t>(threads) + 31) / 32));
}

void BlockInterpreter::FillOrder() {
  turns_.resize(count_);
  std::iota(turns_.begin(), turns_.end(), 0);
  if (order_ == ThreadOrder::kDescending) std::reverse(turns_.begin(), turns_.end());
  if (order_ != ThreadOrder::kShuffled) return;
  for (int i = count_ - 1; i > 0; --i) {
    std::swap(turns_[i], turns_[NextRandom(shuffle_state_) % static_cast<uint64_t>(i + 1)]);
  }
}

void BlockInterpreter::Run(const char* kernel_name, Body body, const void* kernel, int threads,
                           size_t shared_bytes, const BlockPosition& position) {
  ProvideThreads(threads);
  kernel_name_ = kernel_name;
  body_ = body;
  kernel_ = kernel;
  position_ = position;
  shared_bytes_ = shared_bytes;
  // A pattern of NaNs: what a kernel reads without having written it shows.
  shared_.assign(shared_bytes, std::byte{0xff});
  count_ = threads;
  at_barrier_ = 0;
  done_ = 0;
  error_ = nullptr;
  for (int i = 0; i < threads; ++i) threads_[i]->state = State::kReady;
  if (order_ != ThreadOrder::kShuffled) FillOrder();
  try {
    RunThreads();
  } catch (...) {
    // Some threads are left in the middle of the kernel; their fibers cannot be used again.
    threads_.clear();
    throw;
  }
}

void BlockInterpreter::RunThreads() {
  while (done_ < count_) {
    if (order_ == ThreadOrder::kShuffled) FillOrder();
    bool progress = false;
    for (const int index : turns_) {
      Thread& thread = *threads_[index];
      if (thread.state != State::kReady) continue;
      progress = true;
      thread.fiber->Resume();
      if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
    }
    if (at_barrier_ == count_) {
      OpenBarrier();
    } else if (!progress) {
      ReportDeadlock();
    }
  }
}

void BlockInterpreter::OpenBarrier() {
  for (int i = 0; i < count_; ++i) threads_[i]->state = State::kReady;
  at_barrier_ = 0;
}

void BlockInterpreter::Sync(int thread) {
  threads_[thread]->state = State::kAtBarrier;
  ++at_barrier_;
  threads_[thread]->fiber->Yield();
}

void BlockInterpreter::Exchange(int thread, uint32_t mask, const void* value, size_t bytes) {
  const int first = thread / 32 * 32;
  const uint32_t own = uint32_t{1} << (thread % 32);
  if ((mask & own) == 0) Fail(absl::StrCat("thread ", thread, " is not in the mask it gives"));
  Warp& warp = warps_[thread / 32];
  std::memcpy(&warp.handed_in[thread % 32], value, bytes);
  Thread& self = *threads_[thread];
  self.state = State::kInExchange;
  self.exchange_mask = mask;
  for (uint32_t left = mask; left != 0; left &= left - 1) {
    const Thread& other = *threads_[first + std::countr_zero(left)];
    if (other.state != State::kInExchange || other.exchange_mask != mask) {
      self.fiber->Yield();
      return;
    }
  }
  // The last of them: all go on.
  for (uint32_t left = mask; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    warp.exchanged[lane] = warp.handed_in[lane];
    threads_[first + lane]->state = State::kReady;
  }
}

const void* BlockInterpreter::Exchanged(int thread, int lane) const {
  const uint32_t mask = threads_[thread]->exchange_mask;
  if (lane < 0 || lane >= 32 || (mask >> lane & 1) == 0) {
    Fail(absl::StrCat("thread ", thread, " reads from lane ", lane,
                      ", which takes no part in the exchange"));
  }
  return &warps_[thread / 32].exchanged[lane];
}

std::byte* BlockInterpreter::Shared(size_t offset, size_t bytes) {
  if (offset + bytes > shared_bytes_) {
    Fail(absl::StrCat("shared memory up to byte ", offset + bytes, " of ", shared_bytes_,
                      " is used"));
  }
  return shared_.data() + offset;
}

void BlockInterpreter::ReportDeadlock() {
  int waiting = -1;
  int absent = -1;
  for (int i = 0; i < count_; ++i) {
    const State state = threads_[i]->state;
    if (waiting < 0 && (state == State::kAtBarrier || state == State::kInExchange)) waiting = i;
  }
  const bool barrier = threads_[waiting]->state == State::kAtBarrier;
  for (int i = 0; i < count_ && absent < 0; ++i) {
    const Thread& thread = *threads_[i];
    if (barrier) {
      if (thread.state != State::kAtBarrier) absent = i;
    } else if (i / 32 == waiting / 32 && (threads_[waiting]->exchange_mask >> (i % 32) & 1) != 0 &&
               (thread.state != State::kInExchange ||
                thread.exchange_mask != threads_[waiting]->exchange_mask)) {
      absent = i;
    }
  }
  Fail(absl::StrCat("thread ", waiting, " waits ", barrier ? "at a barrier" : "in an exchange",
                    " that thread ", absent, " does not reach"));
}

void BlockInterpreter::Fail(const std::string& what) const {
  throw TensorError(
      absl::InternalError(absl::StrCat("kernel ", kernel_name_, ", block (", position_.x, ", ",
                                       position_.y, ", ", position_.z, "): ", what)));
}

}  // namespace trainyard::cuda
