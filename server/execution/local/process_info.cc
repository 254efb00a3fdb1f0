#include "server/execution/local/process_info.h"

#include <dirent.h>

#include <charconv>
#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/execution/local/small_files.h"

namespace trainyard {
namespace {

constexpr int64_t kMaxEnvironmentBytes = 4 << 20;

// Value in bytes of a line `Name:   123 kB`.
int64_t KibibytesField(std::string_view text, std::string_view name) {
  const size_t at = text.find(name);
  if (at == std::string_view::npos) return 0;
  const size_t digits = text.find_first_of("0123456789", at + name.size());
  int64_t value = 0;
  if (digits == std::string_view::npos) return 0;
  std::from_chars(text.data() + digits, text.data() + text.size(), value);
  return value * 1024;
}

}  // namespace

std::optional<ProcessStat> ParseProcessStat(std::string_view text) {
  // `pid (name) state parent group session …`, start time is field 22.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos || name_end + 2 > text.size()) return std::nullopt;
  ProcessStat stat;
  if (std::from_chars(text.data(), text.data() + text.size(), stat.pid).ec != std::errc()) {
    return std::nullopt;
  }
  const std::vector<absl::string_view> fields = absl::StrSplit(
      absl::string_view(text.data() + name_end + 2, text.size() - name_end - 2), ' ');
  constexpr size_t kState = 0;
  constexpr size_t kParent = 1;
  constexpr size_t kSession = 3;
  constexpr size_t kStartTime = 19;
  if (fields.size() <= kStartTime || fields[kState].empty()) return std::nullopt;
  stat.state = fields[kState][0];
  if (!absl::SimpleAtoi(fields[kParent], &stat.parent) ||
      !absl::SimpleAtoi(fields[kSession], &stat.session) ||
      !absl::SimpleAtoi(fields[kStartTime], &stat.start_time)) {
    return std::nullopt;
  }
  return stat;
}

std::optional<ProcessStat> ReadProcessStat(pid_t pid) {
  const auto text = ReadSmallFile(absl::StrCat("/proc/", pid, "/stat"));
  if (!text.has_value()) return std::nullopt;
  return ParseProcessStat(*text);
}

std::vector<ProcessStat> ListProcesses() {
  std::vector<ProcessStat> processes;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc"), closedir);
  if (folder == nullptr) return processes;
  while (const dirent* entry = readdir(folder.get())) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry->d_name, &pid)) continue;
    if (const auto stat = ReadProcessStat(pid)) processes.push_back(*stat);
  }
  return processes;
}

std::optional<std::string> ReadEnvironment(pid_t pid, std::string_view variable) {
  const auto text = ReadSmallFile(absl::StrCat("/proc/", pid, "/environ"), kMaxEnvironmentBytes);
  if (!text.has_value()) return std::nullopt;
  const std::string prefix = std::string(variable) + "=";
  for (absl::string_view entry : absl::StrSplit(*text, '\0')) {
    if (absl::ConsumePrefix(&entry, prefix)) return std::string(entry);
  }
  return std::nullopt;
}

int64_t UnreclaimableBytes(pid_t pid) {
  const auto text = ReadSmallFile(absl::StrCat("/proc/", pid, "/status"));
  if (!text.has_value()) return 0;
  return KibibytesField(*text, "RssAnon:") + KibibytesField(*text, "RssShmem:");
}

int64_t PeakResidentBytes(pid_t pid) {
  const auto text = ReadSmallFile(absl::StrCat("/proc/", pid, "/status"));
  return text.has_value() ? KibibytesField(*text, "VmHWM:") : 0;
}

std::string BootId() {
  const auto text = ReadSmallFile("/proc/sys/kernel/random/boot_id");
  return text.has_value() ? std::string(absl::StripSuffix(*text, "\n")) : "";
}

}  // namespace trainyard
