// What this machine has for jobs.
#pragma once

#include <cstdint>
#include <string>

namespace trainyard {

struct Machine {
  int cpu_threads = 1;       // that this process may run on, a CPU quota of its cgroup counted
  int64_t memory_bytes = 0;  // of the machine, or of this process's cgroup where that is less
  std::string cpu_model;     // as the kernel names it; empty when unknown
};

// Reads /proc and /sys. What cannot be read keeps its default.
Machine ProbeMachine();

}  // namespace trainyard
