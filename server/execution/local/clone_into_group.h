// Starting a program in a process that is born in a control group.
//
// posix_spawn cannot do that, and a process that enters its group later, through cgroup.procs,
// waits in the kernel until every processor has passed a quiet point: 10 ms and more, during which
// nothing else of it runs.
#pragma once

#include <sys/types.h>

namespace trainyard {

// What the new process is. The pointers need to be valid during the call only.
struct CloneRequest {
  char* const* arguments = nullptr;    // the program's path first, ends with a null pointer
  char* const* environment = nullptr;  // likewise
  int group = -1;                      // of the group's folder (version 2)
  int standard_output = -1;            // -1: /dev/null
  int standard_error = -1;             // -1: /dev/null
  // Become descriptors 3, 4, …; each must itself be at least 3 + passed_count.
  const int* passed = nullptr;
  int passed_count = 0;
};

// Process and descriptor of a started program, or an error number.
struct CloneResult {
  int error = 0;
  pid_t pid = 0;
  int pidfd = -1;  // owned by the caller
};

// Starts the program as SpawnRequest (spawn.h) describes, without copying this process's memory.
// ENOSYS or EINVAL where the system cannot do so: Linux before 5.7, or another processor than
// x86-64. Thread-safe.
CloneResult CloneIntoGroup(const CloneRequest& request);

}  // namespace trainyard
