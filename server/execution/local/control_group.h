// Control groups (cgroups): what the system grants, and one group per attempt.
//
// Version 2, version 1's memory controller, and both at once (hybrid) are handled:
// - a version 2 group kills everything in it at once (cgroup.kill, since Linux 5.14) and, where the
//   memory controller is delegated to us, limits memory;
// - a version 1 memory group limits memory; without version 2 it also tells what to kill.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace trainyard {

// Where the hierarchies are and where in them this process is.
struct ControlGroupMounts {
  std::filesystem::path unified;    // this process's version 2 folder; empty: no such hierarchy
  std::filesystem::path memory_v1;  // this process's version 1 memory folder; empty likewise
};

// Reads the texts of /proc/self/mountinfo and /proc/self/cgroup.
ControlGroupMounts FindControlGroupMounts(std::string_view mountinfo, std::string_view own_groups);

// The group of one attempt: up to two folders. Copyable; removing it is up to the user. A group
// without folders does nothing.
class ControlGroup {
 public:
  ControlGroup() = default;
  // Either path may be empty.
  ControlGroup(std::filesystem::path unified, std::filesystem::path memory_v1)
      : unified_(std::move(unified)), memory_v1_(std::move(memory_v1)) {}

  const std::filesystem::path& unified() const { return unified_; }
  const std::filesystem::path& memory_v1() const { return memory_v1_; }
  bool exists() const { return !unified_.empty() || !memory_v1_.empty(); }
  // The folders that a process enters to be in the group.
  std::vector<std::filesystem::path> folders() const;

  // Kills every process in the group. One call may miss processes that are being forked where
  // cgroup.kill is absent: repeat until Empty.
  void Kill() const;
  // Whether no process is in the group; dead ones that nobody has waited for do not count.
  bool Empty() const;
  // Largest memory of the group, in bytes; 0 when it does not count memory.
  int64_t PeakMemory() const;
  // Number of processes that the kernel killed because the limit was reached.
  int64_t OutOfMemoryKills() const;
  // Removes the folders. False when a process is still in one.
  bool Remove() const;

 private:
  std::vector<int> Processes() const;

  std::filesystem::path unified_;
  std::filesystem::path memory_v1_;
};

// Puts the calling process into the group of this folder. Used by workers before anything else, so
// it needs no library.
bool EnterControlGroup(const char* folder);

// Makes groups. Thread-safe.
class ControlGroupFactory {
 public:
  struct Options {
    std::string name;  // of the folder that all groups are made in; one per data folder
    bool use_unified = true;
    bool use_memory_v1 = true;
  };
  // Starts a process that enters these folders and ends; whether that worked.
  using TryEnter = std::function<bool(const std::vector<std::filesystem::path>& folders)>;

  // Finds out by trying what can be made here: a group is made, limited, entered and removed.
  static ControlGroupFactory Detect(const Options& options, const ControlGroupMounts& mounts,
                                    const TryEnter& try_enter);

  // Nothing at all.
  ControlGroupFactory() = default;

  bool available() const { return !unified_.empty() || !memory_v1_.empty(); }
  bool limits_memory() const { return unified_memory_ || !memory_v1_.empty(); }
  // For logs: `cgroup v2`, `cgroup v1 memory`, both, or `none`.
  std::string Describe() const;

  // Makes the group `id`; `memory_bytes` 0: no limit. A group of that name must not exist.
  absl::StatusOr<ControlGroup> Create(const std::string& id, int64_t memory_bytes) const;
  // Removes the folders that groups are made in, if there is no group.
  void RemoveIfEmpty() const;
  // The groups that are there now, by id.
  std::vector<std::pair<std::string, ControlGroup>> List() const;

 private:
  std::filesystem::path unified_;  // folders that groups are made in; empty: not granted
  std::filesystem::path memory_v1_;
  bool unified_memory_ = false;
};

}  // namespace trainyard
