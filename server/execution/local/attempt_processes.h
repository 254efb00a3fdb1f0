// The processes of one attempt, found and killed wherever they went.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server/execution/local/control_group.h"
#include "server/execution/local/process_info.h"

namespace trainyard {

// Variable in the environment of every process of an attempt; children inherit it.
inline constexpr char kAttemptVariable[] = "TRAINYARD_ATTEMPT";

// What a process's environment says, remembered between looks at the process table.
using MarkerCache = std::map<std::pair<pid_t, uint64_t>, std::string>;

// One look at the process table. Not thread-safe.
class ProcessSnapshot {
 public:
  // `cache` must outlive the snapshot; entries of processes that are gone are removed.
  explicit ProcessSnapshot(MarkerCache& cache);

  const std::vector<ProcessStat>& processes() const { return processes_; }
  // Value of kAttemptVariable; empty when there is none.
  const std::string& MarkerOf(const ProcessStat& process) const;

 private:
  std::vector<ProcessStat> processes_;
  MarkerCache* cache_;
};

// The processes that one worker and everything it started are. Where there is a control group, its
// members; else every process that descends from the worker, is in its session, carries its marker
// or was seen as one of these before.
//
// A worker is the subreaper of what it starts, so a process that clears its environment and leaves
// the session still descends from it. When the worker is dead, such a process has become a child of
// this one, which started the worker and is a subreaper too: an orphan in this process's care that
// bears no marker belongs to a dead worker, and is counted here. (What remains: the orphans, never
// seen before, of a worker that was launched by an earlier server.)
class AttemptProcesses {
 public:
  // `worker` 0 when it is not known, or dead and waited for: its id may be another's by now.
  AttemptProcesses(ControlGroup group, std::string marker, pid_t worker, uint64_t start_time)
      : group_(std::move(group)),
        marker_(std::move(marker)),
        worker_(worker),
        start_time_(start_time) {}

  const ControlGroup& group() const { return group_; }
  pid_t worker() const { return worker_; }
  uint64_t start_time() const { return start_time_; }

  // The living ones. Remembers them. Does not look at the control group.
  std::vector<ProcessStat> FindIn(const ProcessSnapshot& snapshot);

  // Sends SIGKILL to all that are left. True when none was.
  bool KillOnce(MarkerCache& cache);

  // Repeats KillOnce until none is left or `timeout_ms` has passed. True when none is left.
  bool KillAndWait(int timeout_ms);

 private:
  ControlGroup group_;
  std::string marker_;
  pid_t worker_;
  uint64_t start_time_;
  std::set<std::pair<pid_t, uint64_t>> known_;
};

// Waits for dead children that this process inherited from workers, as it does when it is process 1
// of a container or a child subreaper. Those started by Spawn are left alone.
void ReapOrphans(const ProcessSnapshot& snapshot);

}  // namespace trainyard
