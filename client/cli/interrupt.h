// Ctrl-C while something is followed.
#pragma once

#include <stop_token>
#include <thread>

namespace trainyard::cli {

// While it lives, the first SIGINT requests a stop and the second ends the process at once with
// exit code 130. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  std::thread waiter_;
};

}  // namespace trainyard::cli
