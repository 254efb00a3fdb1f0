#include "client/cli/interrupt.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>

#include "client/cli/errors.h"

namespace trainyard::cli {
namespace {

// The handler may only touch these. A byte in the pipe wakes the waiting thread.
std::atomic<int> g_write_end = -1;
std::atomic<int> g_count = 0;
std::array<int, 2> g_pipe = {-1, -1};

constexpr char kInterrupt = 'i';
constexpr char kEnd = 'e';

void OnInterrupt(int) {
  const int saved = errno;
  if (g_count.fetch_add(1) > 0) _exit(kInterrupted);
  const ssize_t ignored = write(g_write_end.load(), &kInterrupt, 1);
  static_cast<void>(ignored);
  errno = saved;
}

}  // namespace

InterruptGuard::InterruptGuard() {
  if (pipe2(g_pipe.data(), O_CLOEXEC) != 0) return;
  g_write_end = g_pipe[1];
  g_count = 0;
  waiter_ = std::thread([this] {
    char byte = 0;
    while (true) {
      const ssize_t count = read(g_pipe[0], &byte, 1);
      if (count < 0 && errno == EINTR) continue;
      if (count == 1 && byte == kInterrupt) {
        source_.request_stop();
        continue;
      }
      return;
    }
  });
  struct sigaction action = {};
  action.sa_handler = OnInterrupt;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
}

InterruptGuard::~InterruptGuard() {
  if (!waiter_.joinable()) return;
  std::signal(SIGINT, SIG_DFL);
  const ssize_t ignored = write(g_pipe[1], &kEnd, 1);
  static_cast<void>(ignored);
  waiter_.join();
  close(g_pipe[0]);
  close(g_pipe[1]);
}

}  // namespace trainyard::cli
