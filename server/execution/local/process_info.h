// What /proc tells about processes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard {

struct ProcessStat {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t session = 0;
  char state = '?';         // as in /proc/PID/stat; Z and X are dead
  uint64_t start_time = 0;  // clock ticks since boot; with `pid` it identifies a process

  bool dead() const { return state == 'Z' || state == 'X'; }
};

// Parses the text of /proc/PID/stat; the name within may hold any characters.
std::optional<ProcessStat> ParseProcessStat(std::string_view text);

// Nullopt when there is no such process.
std::optional<ProcessStat> ReadProcessStat(pid_t pid);

// Every process that this one can see, by process id.
std::vector<ProcessStat> ListProcesses();

// Value of a variable in the environment that the process was started with; nullopt when it is not
// there or may not be read.
std::optional<std::string> ReadEnvironment(pid_t pid, std::string_view variable);

// Memory that only the process's end can free: anonymous and shared-memory pages (RssAnon +
// RssShmem), in bytes. Mapped files are left out, as the kernel drops their pages when memory runs
// short. 0 when it cannot be read.
int64_t UnreclaimableBytes(pid_t pid);

// Largest resident memory that the process has had since it was started, in bytes; 0 when it cannot
// be read. (The figure of wait4 is of no use: it includes the process that called posix_spawn.)
int64_t PeakResidentBytes(pid_t pid);

// Identifies this run of the kernel.
std::string BootId();

}  // namespace trainyard
