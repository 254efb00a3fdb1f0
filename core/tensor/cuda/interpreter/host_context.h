// The contexts of kernels on the interpreter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/tensor/cuda/interpreter/block_interpreter.h"
#include "core/tensor/cuda/launch.h"

namespace trainyard::cuda {

[[noreturn]] void FailAtIndex(int64_t index, int count, int thread);

// Elements of shared memory; an index beyond them is an error.
template <typename T>
class SharedArray {
 public:
  SharedArray(T* first, int count, int thread) : first_(first), count_(count), thread_(thread) {}
  T& operator[](int64_t index) const {
    if (index < 0 || index >= count_) FailAtIndex(index, count_, thread_);
    return first_[index];
  }
  SharedArray operator+(int64_t offset) const {
    return SharedArray(first_ + offset, count_ - static_cast<int>(offset), thread_);
  }

 private:
  T* first_;
  int count_;
  int thread_;
};

// For kernels whose threads know nothing of each other: they run as a loop.
class LoopContext {
 public:
  LoopContext(const BlockPosition& position, int thread) : position_(position), thread_(thread) {}
  int thread() const { return thread_; }
  int64_t block() const { return position_.x; }
  int64_t block_y() const { return position_.y; }
  int64_t block_z() const { return position_.z; }
  int64_t blocks() const { return position_.blocks_x; }
  int64_t blocks_y() const { return position_.blocks_y; }
  int32_t AtomicAdd(int32_t* address, int32_t value) {
    const int32_t before = *address;
    *address += value;
    return before;
  }

 private:
  const BlockPosition& position_;
  const int thread_;
};

// For all others: a thread is a fiber.
class FiberContext : public LoopContext {
 public:
  FiberContext(BlockInterpreter& interpreter, int thread)
      : LoopContext(interpreter.position(), thread), interpreter_(interpreter) {}

  void Sync() { interpreter_.Sync(thread()); }
  void SyncWarp(uint32_t mask = ~0U) {
    const char nothing = 0;
    interpreter_.Exchange(thread(), mask, &nothing, 1);
  }
  template <typename T>
  T Shuffle(T value, int lane, uint32_t mask = ~0U) {
    interpreter_.Exchange(thread(), mask, &value, sizeof(T));
    return From<T>(lane & (kWarp - 1));
  }
  template <typename T>
  T ShuffleXor(T value, int lanes, uint32_t mask = ~0U) {
    interpreter_.Exchange(thread(), mask, &value, sizeof(T));
    return From<T>(thread() % kWarp ^ lanes);
  }
  // Lanes whose partner would lie outside of the warp get their own value.
  template <typename T>
  T ShuffleDown(T value, int distance, uint32_t mask = ~0U) {
    interpreter_.Exchange(thread(), mask, &value, sizeof(T));
    const int lane = thread() % kWarp + distance;
    return lane < kWarp ? From<T>(lane) : value;
  }
  // One exchange in place of five; the same order of operations as the butterfly of shuffles.
  template <typename T, typename Function>
  T WarpReduce(T value, Function function) {
    interpreter_.Exchange(thread(), ~0U, &value, sizeof(T));
    const std::byte* const exchanged = interpreter_.ExchangedByWarp(thread());
    T values[kWarp];
    for (int lane = 0; lane < kWarp; ++lane) {
      std::memcpy(&values[lane], exchanged + lane * BlockInterpreter::kExchangeBytes, sizeof(T));
    }
    for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) {
      for (int lane = 0; lane < lanes; ++lane) {
        values[lane] = function(values[lane], values[lane + lanes]);
      }
    }
    return values[0];
  }

  template <typename T>
  SharedArray<T> Shared(int count) {
    const size_t bytes = static_cast<size_t>(count) * sizeof(T);
    std::byte* const first = interpreter_.Shared(shared_used_, bytes);
    shared_used_ += (bytes + 15) / 16 * 16;
    return SharedArray<T>(reinterpret_cast<T*>(first), count, thread());
  }

 private:
  template <typename T>
  T From(int lane) const {
    static_assert(sizeof(T) <= BlockInterpreter::kExchangeBytes);
    T value;
    std::memcpy(&value, interpreter_.Exchanged(thread(), lane), sizeof(T));
    return value;
  }

  BlockInterpreter& interpreter_;
  size_t shared_used_ = 0;
};

}  // namespace trainyard::cuda
