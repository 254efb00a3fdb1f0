#include "server/main/machine.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "core/base/file_system.h"

namespace trainyard {
namespace {

std::string TextOf(const char* file) { return ReadFile(file).value_or(""); }

std::optional<int64_t> NumberIn(const char* file) {
  int64_t number = 0;
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(TextOf(file)), &number)) return std::nullopt;
  return number;
}

// CPUs that a quota of cgroup v2 or v1 allows.
std::optional<double> CpuQuota() {
  const std::pair<std::string, std::string> v2 = absl::StrSplit(
      absl::StripAsciiWhitespace(TextOf("/sys/fs/cgroup/cpu.max")), absl::MaxSplits(' ', 1));
  double quota = 0;
  double period = 0;
  if (absl::SimpleAtod(v2.first, &quota) && absl::SimpleAtod(v2.second, &period) && period > 0) {
    return quota / period;
  }
  const auto v1_quota = NumberIn("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  const auto v1_period = NumberIn("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (v1_quota.value_or(-1) > 0 && v1_period.value_or(0) > 0) {
    return static_cast<double>(*v1_quota) / static_cast<double>(*v1_period);
  }
  return std::nullopt;
}

int CpuThreads() {
  cpu_set_t allowed;
  int count = 1;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) count = CPU_COUNT(&allowed);
  if (const auto quota = CpuQuota()) count = std::min(count, static_cast<int>(std::ceil(*quota)));
  return std::max(count, 1);
}

int64_t MemoryBytes() {
  int64_t bytes = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  for (const char* file :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    if (const auto limit = NumberIn(file); limit.has_value() && *limit > 0) {
      bytes = std::min(bytes, *limit);
    }
  }
  return bytes;
}

std::string CpuModel() {
  for (const absl::string_view line : absl::StrSplit(TextOf("/proc/cpuinfo"), '\n')) {
    if (!absl::StartsWith(line, "model name")) continue;
    const size_t colon = line.find(':');
    if (colon == absl::string_view::npos) break;
    return std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
  }
  return "";
}

}  // namespace

Machine ProbeMachine() { return {CpuThreads(), MemoryBytes(), CpuModel()}; }

}  // namespace trainyard
