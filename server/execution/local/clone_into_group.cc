#include "server/execution/local/clone_into_group.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace trainyard {

#if defined(__x86_64__) && defined(CLONE_INTO_CGROUP)

namespace {

constexpr size_t kStackBytes = 64 << 10;
constexpr int kExecFailed = 127;
constexpr int kFirstPassed = 3;
constexpr long kSignals = 64;
constexpr size_t kSignalSetBytes = kSignals / 8;

// The kernel's layout.
struct SignalAction {
  uint64_t handler = 0;
  uint64_t flags = 0;
  uint64_t restorer = 0;
  uint64_t mask = 0;
};

struct Child {
  const CloneRequest* request;
  int error = 0;  // of the step that failed
};

// The child shares this process's memory until it runs its program, while the calling thread waits:
// it makes system calls only, and none through a function that a sanitizer watches.
#define TRAINYARD_CHILD __attribute__((noinline, no_sanitize("address", "thread", "undefined")))

TRAINYARD_CHILD bool Place(int source, int target) {
  if (source == target) return syscall(SYS_fcntl, source, F_SETFD, 0) == 0;
  return syscall(SYS_dup3, source, target, 0) == target;
}

TRAINYARD_CHILD bool PlaceNull(int target, int flags) {
  const int fd = static_cast<int>(syscall(SYS_openat, AT_FDCWD, "/dev/null", flags, 0));
  if (fd < 0 || fd == target) return fd == target;
  return Place(fd, target) && syscall(SYS_close, fd) == 0;
}

TRAINYARD_CHILD bool PlaceOutput(int source, int target) {
  return source < 0 ? PlaceNull(target, O_WRONLY) : Place(source, target);
}

TRAINYARD_CHILD bool PlaceDescriptors(const CloneRequest& request) {
  if (!PlaceNull(STDIN_FILENO, O_RDONLY)) return false;
  if (!PlaceOutput(request.standard_output, STDOUT_FILENO)) return false;
  if (!PlaceOutput(request.standard_error, STDERR_FILENO)) return false;
  for (int i = 0; i < request.passed_count; ++i) {
    if (!Place(request.passed[i], kFirstPassed + i)) return false;
  }
  return syscall(SYS_close_range, kFirstPassed + request.passed_count, ~0U, 0) == 0;
}

// No signal is ignored, handled or blocked.
TRAINYARD_CHILD bool ResetSignals() {
  const SignalAction standard;
  for (long signal = 1; signal <= kSignals; ++signal) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    if (syscall(SYS_rt_sigaction, signal, &standard, nullptr, kSignalSetBytes) != 0) return false;
  }
  const uint64_t none = 0;
  return syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, kSignalSetBytes) == 0;
}

TRAINYARD_CHILD void RunChild(Child* child) {
  const CloneRequest& request = *child->request;
  if (syscall(SYS_setsid) >= 0 && PlaceDescriptors(request) && ResetSignals()) {
    syscall(SYS_execve, request.arguments[0], request.arguments, request.environment);
  }
  child->error = errno;
  syscall(SYS_exit_group, kExecFailed);
}

// clone3. The child runs RunChild on the stack given in `arguments` and does not return. Answers
// its process id, or the negated error number.
long CloneAndRun(const clone_args& arguments, Child& child) {
  long result = SYS_clone3;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %[child], %%rdi\n\t"
      "call *%[run]\n\t"
      "hlt\n"
      "1:"
      : "+a"(result)
      : "D"(&arguments), "S"(sizeof(arguments)), [child] "r"(&child), [run] "r"(&RunChild)
      : "rcx", "r11", "memory", "cc");
  return result;
}

}  // namespace

CloneResult CloneIntoGroup(const CloneRequest& request) {
  Child child{&request};
  const auto stack = std::make_unique_for_overwrite<std::byte[]>(kStackBytes);
  int pidfd = -1;
  clone_args arguments = {};
  // The calling thread waits until the child has begun its program or ended.
  arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_INTO_CGROUP;
  arguments.pidfd = reinterpret_cast<uintptr_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  arguments.stack = reinterpret_cast<uintptr_t>(stack.get());
  arguments.stack_size = kStackBytes;
  arguments.cgroup = static_cast<uint64_t>(request.group);

  // A handler of this process must not run in the child.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  const long pid = CloneAndRun(arguments, child);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);

  if (pid < 0) return {.error = static_cast<int>(-pid)};
  if (child.error == 0) return {.pid = static_cast<pid_t>(pid), .pidfd = pidfd};
  waitpid(static_cast<pid_t>(pid), nullptr, 0);
  close(pidfd);
  return {.error = child.error};
}

#else

CloneResult CloneIntoGroup(const CloneRequest&) { return {.error = ENOSYS}; }

#endif

}  // namespace trainyard
