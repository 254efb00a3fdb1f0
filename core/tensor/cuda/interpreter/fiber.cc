#include "core/tensor/cuda/interpreter/fiber.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <new>

// Present where a sanitizer is linked.
extern "C" {
__attribute__((weak)) void __sanitizer_start_switch_fiber(void** shadow, const void* stack,
                                                          size_t bytes);
__attribute__((weak)) void __sanitizer_finish_switch_fiber(void* shadow, const void** stack,
                                                           size_t* bytes);
__attribute__((weak)) void __asan_unpoison_memory_region(const volatile void* start, size_t bytes);
__attribute__((weak)) void* __tsan_create_fiber(unsigned flags);
__attribute__((weak)) void __tsan_destroy_fiber(void* fiber);
__attribute__((weak)) void* __tsan_get_current_fiber();
__attribute__((weak)) void __tsan_switch_to_fiber(void* fiber, unsigned flags);
}

#if defined(__x86_64__)
// Saves the registers that a call keeps on the present stack, stores its pointer, and goes on with
// another. (swapcontext would ask the kernel for the signal mask at every switch.)
extern "C" void TrainyardSwitchStack(void** save, void* load);
asm(R"(
.text
.globl TrainyardSwitchStack
.hidden TrainyardSwitchStack
.type TrainyardSwitchStack, @function
TrainyardSwitchStack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size TrainyardSwitchStack, .-TrainyardSwitchStack
.globl TrainyardFiberEntry
.hidden TrainyardFiberEntry
.type TrainyardFiberEntry, @function
TrainyardFiberEntry:
  .cfi_startproc
  .cfi_undefined rip
  movq %r12, %rdi
  call TrainyardFiberStart
  ud2
  .cfi_endproc
.size TrainyardFiberEntry, .-TrainyardFiberEntry
)");
extern "C" void TrainyardFiberEntry();
#endif

namespace trainyard::cuda {

void FiberStart(void* fiber) { Fiber::Main(static_cast<Fiber*>(fiber)); }

#if defined(__x86_64__)

extern "C" __attribute__((visibility("hidden"), used)) void TrainyardFiberStart(void* fiber) {
  FiberStart(fiber);
}

struct Fiber::Machine {
  void* own = nullptr;
  void* resumer = nullptr;

  void Prepare(void* stack, size_t bytes, Fiber* fiber) {
    // As TrainyardSwitchStack leaves a stack: six registers, of which r12 names the fiber, and the
    // address to go on at, where the stack is at a multiple of 16.
    void** top = static_cast<void**>(stack) + bytes / sizeof(void*);
    *--top = reinterpret_cast<void*>(&TrainyardFiberEntry);
    *--top = nullptr;  // rbp
    *--top = nullptr;  // rbx
    *--top = fiber;    // r12
    *--top = nullptr;  // r13
    *--top = nullptr;  // r14
    *--top = nullptr;  // r15
    own = top;
  }
  void ToFiber() { TrainyardSwitchStack(&resumer, own); }
  void ToResumer() { TrainyardSwitchStack(&own, resumer); }
};

#else

struct Fiber::Machine {
  ucontext_t own;
  ucontext_t resumer;

  static void Start(unsigned high, unsigned low) {
    FiberStart(reinterpret_cast<void*>((static_cast<uintptr_t>(high) << 32) | low));
  }
  void Prepare(void* stack, size_t bytes, Fiber* fiber) {
    getcontext(&own);
    own.uc_stack.ss_sp = stack;
    own.uc_stack.ss_size = bytes;
    own.uc_link = nullptr;
    const auto address = reinterpret_cast<uintptr_t>(fiber);
    makecontext(&own, reinterpret_cast<void (*)()>(&Machine::Start), 2,
                static_cast<unsigned>(address >> 32), static_cast<unsigned>(address));
  }
  void ToFiber() { swapcontext(&resumer, &own); }
  void ToResumer() { swapcontext(&own, &resumer); }
};

#endif

Fiber::Fiber(size_t stack_bytes, Entry entry, void* argument)
    : stack_bytes_(stack_bytes), entry_(entry), argument_(argument) {
  stack_ = mmap(nullptr, stack_bytes_, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (stack_ == MAP_FAILED) throw std::bad_alloc();
  if (__asan_unpoison_memory_region != nullptr) __asan_unpoison_memory_region(stack_, stack_bytes_);
  machine_ = new Machine;
  machine_->Prepare(stack_, stack_bytes_, this);
  if (__tsan_create_fiber != nullptr) own_tsan_ = __tsan_create_fiber(0);
}

Fiber::~Fiber() {
  if (own_tsan_ != nullptr) __tsan_destroy_fiber(own_tsan_);
  if (__asan_unpoison_memory_region != nullptr) __asan_unpoison_memory_region(stack_, stack_bytes_);
  delete machine_;
  munmap(stack_, stack_bytes_);
}

void Fiber::Resume() {
  void* shadow = nullptr;
  if (own_tsan_ != nullptr) {
    resumer_tsan_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(own_tsan_, 0);
  }
  if (__sanitizer_start_switch_fiber != nullptr) {
    __sanitizer_start_switch_fiber(&shadow, stack_, stack_bytes_);
  }
  machine_->ToFiber();
  if (__sanitizer_finish_switch_fiber != nullptr) {
    __sanitizer_finish_switch_fiber(shadow, nullptr, nullptr);
  }
}

void Fiber::Yield() {
  if (own_tsan_ != nullptr) __tsan_switch_to_fiber(resumer_tsan_, 0);
  if (__sanitizer_start_switch_fiber != nullptr) {
    __sanitizer_start_switch_fiber(&own_shadow_, resumer_stack_, resumer_stack_bytes_);
  }
  machine_->ToResumer();
  if (__sanitizer_finish_switch_fiber != nullptr) {
    __sanitizer_finish_switch_fiber(own_shadow_, &resumer_stack_, &resumer_stack_bytes_);
  }
}

void Fiber::Main(Fiber* fiber) {
  if (__sanitizer_finish_switch_fiber != nullptr) {
    __sanitizer_finish_switch_fiber(nullptr, &fiber->resumer_stack_, &fiber->resumer_stack_bytes_);
  }
  fiber->entry_(fiber->argument_);
}

}  // namespace trainyard::cuda
