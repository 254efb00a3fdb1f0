#include "core/algorithms/diagnostic/faults.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

namespace trainyard {
namespace {

constexpr size_t kEatChunkBytes = size_t{16} << 20;

// In the child of a process with threads: only async-signal-safe functions.
[[noreturn]] void BecomeStray() {
  setsid();
  const pid_t grandchild = fork();
  if (grandchild != 0) _exit(grandchild < 0 ? 1 : 0);
  setsid();
  signal(SIGTERM, SIG_IGN);
  for (;;) pause();
}

}  // namespace

bool StartStrayProcesses(int count) {
  for (int i = 0; i < count; ++i) {
    const pid_t child = fork();
    if (child == 0) BecomeStray();
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) return false;
  }
  return true;
}

void Crash() {
  raise(SIGSEGV);
  std::abort();  // somebody blocked the signal
}

void Hang() {
  for (;;) kill(getpid(), SIGSTOP);
}

void EatMemory() {
  std::vector<std::unique_ptr<char[]>> eaten;
  for (;;) {
    eaten.push_back(std::make_unique_for_overwrite<char[]>(kEatChunkBytes));
    std::memset(eaten.back().get(), 1, kEatChunkBytes);
  }
}

}  // namespace trainyard
