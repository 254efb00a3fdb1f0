// Starting processes without copying this one's memory.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/execution/local/unique_fd.h"

namespace trainyard {

// What a new process gets. Descriptors that are not named here are closed in it, standard input
// reads from /dev/null, no signal is blocked or ignored, and it leads a session of its own.
struct SpawnRequest {
  std::vector<std::string> arguments;    // the program's path first
  std::vector<std::string> environment;  // NAME=value, nothing else is passed on
  int standard_output = -1;              // -1: /dev/null
  int standard_error = -1;               // -1: /dev/null
  std::vector<int> passed;               // become descriptors 3, 4, …
  // Of the folder of a version 2 control group that the process begins in; -1: this process's.
  int control_group = -1;
};

struct SpawnedProcess {
  pid_t pid = 0;
  UniqueFd pidfd;  // readable when the process has ended
};

// Starts a process. It must be waited for by its id; until then it counts as owned (see
// IsOwnedChild), afterwards ForgetOwnedChild must be called. RESOURCE_EXHAUSTED when the machine
// cannot start a process now.
absl::StatusOr<SpawnedProcess> Spawn(const SpawnRequest& request);

// Whether `pid` was started by Spawn and not forgotten since. A child that is not is an orphan that
// this process inherited.
bool IsOwnedChild(pid_t pid);
void ForgetOwnedChild(pid_t pid);

// Variables of this process's environment that workers need: search paths, locale, time zone,
// settings of libraries and sanitizers. Everything else, which may hold secrets, stays behind.
std::vector<std::string> InheritedEnvironment();

// Sends a signal through a pidfd. Nothing happens when the process has ended.
void SignalProcess(const UniqueFd& pidfd, int signal);

// A pidfd of any process; not valid when there is none of that id.
UniqueFd OpenPidfd(pid_t pid);

}  // namespace trainyard
