// Runs the threads of one block after another on the host.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor/cuda/interpreter/fiber.h"

namespace trainyard::cuda {

// In which order the threads of a block run between two barriers. Results of correct kernels do not
// depend on it.
enum class ThreadOrder : uint8_t {
  kAscending,
  kDescending,
  kShuffled,  // another order in every turn, by a fixed seed
};

// Where a thread is in the grid.
struct BlockPosition {
  int64_t x = 0;
  int64_t y = 0;
  int64_t z = 0;
  int64_t blocks_x = 1;
  int64_t blocks_y = 1;
};

// Threads of a block as fibers: each runs until it has to wait for others, at a barrier of the
// block or in an exchange of its warp. What CUDA leaves undefined is an error here (TensorError
// INTERNAL, naming kernel, block and threads): a barrier or an exchange that not all threads reach,
// and shared memory beyond what the launch asked for.
class BlockInterpreter {
 public:
  explicit BlockInterpreter(ThreadOrder order) : order_(order) {}
  BlockInterpreter(const BlockInterpreter&) = delete;
  BlockInterpreter& operator=(const BlockInterpreter&) = delete;

  void set_order(ThreadOrder order) { order_ = order; }

  // What runs as one thread.
  using Body = void (*)(const void* kernel, BlockInterpreter& interpreter, int thread);

  // Runs one block. Throws what a thread throws, the first in the order of running.
  void Run(const char* kernel_name, Body body, const void* kernel, int threads, size_t shared_bytes,
           const BlockPosition& position);

  // The rest is called by running threads.

  const BlockPosition& position() const { return position_; }
  void Sync(int thread);
  // Hands in `bytes` of `value` (at most kExchangeBytes) and waits until all lanes of `mask` have
  // done so. The values of the lanes are in Exchanged() until the thread's next exchange.
  void Exchange(int thread, uint32_t mask, const void* value, size_t bytes);
  static constexpr size_t kExchangeBytes = 8;
  // What lane `lane` of the warp of `thread` handed in; throws where the lane took no part.
  const void* Exchanged(int thread, int lane) const;
  // Those of all 32 lanes, kExchangeBytes apart; all must have taken part.
  const std::byte* ExchangedByWarp(int thread) const {
    return warps_[static_cast<size_t>(thread / 32)].exchanged[0].bytes;
  }
  // Bytes at `offset` of the block's shared memory; throws where they end beyond it.
  std::byte* Shared(size_t offset, size_t bytes);

 private:
  enum class State : uint8_t { kReady, kAtBarrier, kInExchange, kDone };

  struct Thread {
    BlockInterpreter* interpreter = nullptr;
    int index = 0;
    State state = State::kDone;
    uint32_t exchange_mask = 0;
    std::unique_ptr<Fiber> fiber;
  };
  struct alignas(8) Slot {
    std::byte bytes[kExchangeBytes];
  };
  struct Warp {
    std::array<Slot, 32> handed_in;
    std::array<Slot, 32> exchanged;
  };

  static void ThreadMain(void* thread);
  void ProvideThreads(int threads);
  void FillOrder();
  void RunThreads();
  void OpenBarrier();
  [[noreturn]] void ReportDeadlock();
  [[noreturn]] void Fail(const std::string& what) const;

  ThreadOrder order_;
  uint64_t shuffle_state_ = 0x9e3779b97f4a7c15;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<Warp> warps_;
  std::vector<int> turns_;
  std::vector<std::byte> shared_;
  size_t shared_bytes_ = 0;

  const char* kernel_name_ = "";
  Body body_ = nullptr;
  const void* kernel_ = nullptr;
  int count_ = 0;
  int at_barrier_ = 0;
  int done_ = 0;
  std::exception_ptr error_;
  BlockPosition position_;
};

}  // namespace trainyard::cuda
