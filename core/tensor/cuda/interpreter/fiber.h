// Threads of control that take turns on one thread of the host.
#pragma once

#include <cstddef>
#include <cstdint>

namespace trainyard::cuda {

// A stack of its own on which `entry(argument)` runs whenever somebody resumes it, until it yields.
// The entry never returns: it yields for the last time. Works under AddressSanitizer and
// ThreadSanitizer, which are told of each switch.
class Fiber {
 public:
  using Entry = void (*)(void* argument);

  Fiber(size_t stack_bytes, Entry entry, void* argument);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Runs the fiber until it yields. Not to be called from within a fiber.
  void Resume();
  // From within: back to who resumed.
  void Yield();

 private:
  struct Machine;  // what a switch saves, by processor
  static void Main(Fiber* fiber);
  friend void FiberStart(void* fiber);

  const size_t stack_bytes_;
  const Entry entry_;
  void* const argument_;
  void* stack_ = nullptr;
  Machine* machine_ = nullptr;
  // What the sanitizers keep of each side.
  void* own_shadow_ = nullptr;
  const void* resumer_stack_ = nullptr;
  size_t resumer_stack_bytes_ = 0;
  void* own_tsan_ = nullptr;
  void* resumer_tsan_ = nullptr;
};

}  // namespace trainyard::cuda
