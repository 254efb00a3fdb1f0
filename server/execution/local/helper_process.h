// Runs a worker binary in one of its helper modes and waits for it, with limits.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/execution/local/unique_fd.h"

namespace trainyard {

struct HelperRequest {
  std::vector<std::string> arguments;  // the program first
  std::string input;                   // readable on descriptor 3
  absl::Duration time_limit = absl::InfiniteDuration();
  int stop_fd = -1;  // when this becomes readable the process is killed: CANCELLED; -1: none
};

struct HelperResult {
  int exit_code = 0;
  int signal = 0;           // that ended it; 0 for none
  bool timed_out = false;   // it was killed at the time limit
  bool stopped = false;     // it was killed because of `stop_fd`
  std::string output;       // what it wrote to descriptor 4
  std::string stderr_tail;  // the last 8 KiB, valid UTF-8
};

// Blocks. The status is not OK when the process could not be started or its output not be read.
absl::StatusOr<HelperResult> RunHelper(const HelperRequest& request);

}  // namespace trainyard
