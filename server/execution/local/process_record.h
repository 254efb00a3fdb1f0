// What is needed to find the processes of an attempt again after a restart of the server.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/execution/local/control_group.h"

namespace trainyard {

// Identifies one worker and what belongs to it. Written as one line of `name=value` pairs.
struct LocalProcessRecord {
  std::string boot_id;      // of the kernel that runs it
  pid_t pid = 0;            // of the worker
  uint64_t start_time = 0;  // of the worker, in clock ticks since boot
  int64_t memory_limit_bytes = 0;
  ControlGroup group;

  std::string ToString() const;
  // INVALID_ARGUMENT when `text` was not made by ToString.
  static absl::StatusOr<LocalProcessRecord> Parse(std::string_view text);

  // Whether the worker lives: same boot, same id, same start time, and not a zombie.
  bool Alive() const;
};

// Name of an attempt's folder and control group: `project.job.attempt`, from which no two attempts
// get the same. INVALID_ARGUMENT when `attempt` is no name of an attempt.
absl::StatusOr<std::string> AttemptFolderName(std::string_view attempt);

}  // namespace trainyard
