#include "server/execution/local/control_group.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "server/execution/local/small_files.h"

namespace trainyard {
namespace {

namespace fs = std::filesystem;

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

// Mount points and paths in mountinfo write space, tab, newline and backslash in octal.
std::string Unescape(absl::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    int code = 0;
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 4, code, 8).ec == std::errc()) {
      result.push_back(static_cast<char>(code));
      i += 3;
    } else {
      result.push_back(text[i]);
    }
  }
  return result;
}

// Where the group `path` of a hierarchy is seen, when the part of the hierarchy below `root` is
// mounted at `mount`. A path outside of that part (another cgroup namespace) maps to the mount.
fs::path FolderOf(const std::string& mount, const std::string& root, const std::string& path) {
  absl::string_view below = path;
  if (root != "/" && !absl::ConsumePrefix(&below, root)) return mount;
  return fs::path(absl::StrCat(mount, below)).lexically_normal();
}

int64_t ReadNumber(const fs::path& file) {
  const auto text = ReadSmallFile(file);
  int64_t value = 0;
  if (text.has_value()) {
    std::from_chars(text->data(), text->data() + text->size(), value);
  }
  return value;
}

// Value of a line `name value`.
int64_t ReadKeyedNumber(const fs::path& file, absl::string_view name) {
  const auto text = ReadSmallFile(file);
  if (!text.has_value()) return 0;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    int64_t value = 0;
    if (absl::ConsumePrefix(&line, absl::StrCat(name, " ")) && absl::SimpleAtoi(line, &value)) {
      return value;
    }
  }
  return 0;
}

absl::Status MakeFolder(const fs::path& folder, bool may_exist) {
  if (mkdir(folder.c_str(), 0755) == 0 || (may_exist && errno == EEXIST)) return absl::OkStatus();
  return SystemError(errno, absl::StrCat("create control group ", folder.string()));
}

absl::Status LimitUnifiedMemory(const fs::path& folder, int64_t bytes) {
  TY_RETURN_IF_ERROR(WriteControlFile(folder / "memory.max", absl::StrCat(bytes)));
  // Not every kernel has these two.
  WriteControlFile(folder / "memory.swap.max", "0").IgnoreError();
  WriteControlFile(folder / "memory.oom.group", "1").IgnoreError();
  return absl::OkStatus();
}

absl::Status LimitMemoryV1(const fs::path& folder, int64_t bytes) {
  TY_RETURN_IF_ERROR(WriteControlFile(folder / "memory.limit_in_bytes", absl::StrCat(bytes)));
  // Memory and swap together; absent where swap is not accounted.
  WriteControlFile(folder / "memory.memsw.limit_in_bytes", absl::StrCat(bytes)).IgnoreError();
  return absl::OkStatus();
}

constexpr int64_t kTrialLimit = int64_t{1} << 30;

// Makes the memory controller available in groups below `folder`. A group with processes of its
// own cannot hand controllers down, so this process moves into a leaf if that is what it takes.
bool DelegateMemory(const fs::path& own, const fs::path& folder) {
  const auto hand_down = [](const fs::path& group) {
    return WriteControlFile(group / "cgroup.subtree_control", "+memory").ok();
  };
  if (!hand_down(own)) {
    const fs::path leaf = own / "trainyard-server";
    if (!MakeFolder(leaf, true).ok()) return false;
    if (!EnterControlGroup(leaf.c_str()) || !hand_down(own)) {
      EnterControlGroup(own.c_str());
      rmdir(leaf.c_str());
      return false;
    }
  }
  return hand_down(folder);
}

}  // namespace

ControlGroupMounts FindControlGroupMounts(std::string_view mountinfo, std::string_view own_groups) {
  std::string own_unified;
  std::string own_memory;
  for (const absl::string_view line : absl::StrSplit(View(own_groups), '\n')) {
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    if (fields[0] == "0" && fields[1].empty()) own_unified = fields[2];
    const std::set<std::string> controllers = absl::StrSplit(fields[1], ',');
    if (controllers.contains("memory")) own_memory = fields[2];
  }
  ControlGroupMounts mounts;
  for (const absl::string_view line : absl::StrSplit(View(mountinfo), '\n')) {
    // `… root mount-point options … - type source super-options`
    const std::pair<absl::string_view, absl::string_view> halves =
        absl::StrSplit(line, absl::MaxSplits(" - ", 1));
    const std::vector<absl::string_view> front = absl::StrSplit(halves.first, ' ');
    const std::vector<absl::string_view> back = absl::StrSplit(halves.second, ' ');
    if (front.size() < 5 || back.size() < 3) continue;
    const std::string root = Unescape(front[3]);
    const std::string mount = Unescape(front[4]);
    const std::set<std::string> options = absl::StrSplit(back[2], ',');
    if (back[0] == "cgroup2" && !own_unified.empty() && mounts.unified.empty()) {
      mounts.unified = FolderOf(mount, root, own_unified);
    } else if (back[0] == "cgroup" && options.contains("memory") && !own_memory.empty() &&
               mounts.memory_v1.empty()) {
      mounts.memory_v1 = FolderOf(mount, root, own_memory);
    }
  }
  return mounts;
}

bool EnterControlGroup(const char* folder) {
  char path[4096];
  const size_t length = strnlen(folder, sizeof(path));
  static constexpr char kFile[] = "/cgroup.procs";
  if (length + sizeof(kFile) > sizeof(path)) return false;
  memcpy(path, folder, length);
  memcpy(path + length, kFile, sizeof(kFile));
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool entered = write(fd, "0", 1) == 1;
  close(fd);
  return entered;
}

std::vector<fs::path> ControlGroup::folders() const {
  std::vector<fs::path> folders;
  if (!unified_.empty()) folders.push_back(unified_);
  if (!memory_v1_.empty()) folders.push_back(memory_v1_);
  return folders;
}

std::vector<int> ControlGroup::Processes() const {
  std::vector<int> processes;
  for (const fs::path& folder : folders()) {
    const auto text = ReadSmallFile(folder / "cgroup.procs", 16 << 20);
    if (!text.has_value()) continue;
    for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
      int pid = 0;
      if (absl::SimpleAtoi(line, &pid) && pid > 0) processes.push_back(pid);
    }
  }
  return processes;
}

void ControlGroup::Kill() const {
  if (!unified_.empty() && WriteControlFile(unified_ / "cgroup.kill", "1").ok() &&
      memory_v1_.empty()) {
    return;
  }
  for (const int pid : Processes()) kill(pid, SIGKILL);
}

bool ControlGroup::Empty() const { return Processes().empty(); }

int64_t ControlGroup::PeakMemory() const {
  if (!memory_v1_.empty()) return ReadNumber(memory_v1_ / "memory.max_usage_in_bytes");
  if (unified_.empty()) return 0;
  return ReadNumber(unified_ / "memory.peak");
}

int64_t ControlGroup::OutOfMemoryKills() const {
  if (!memory_v1_.empty()) return ReadKeyedNumber(memory_v1_ / "memory.oom_control", "oom_kill");
  if (unified_.empty()) return 0;
  return ReadKeyedNumber(unified_ / "memory.events", "oom_kill");
}

bool ControlGroup::Remove() const {
  bool removed = true;
  for (const fs::path& folder : folders()) {
    if (rmdir(folder.c_str()) != 0 && errno != ENOENT) removed = false;
  }
  return removed;
}

ControlGroupFactory ControlGroupFactory::Detect(const Options& options,
                                                const ControlGroupMounts& mounts,
                                                const TryEnter& try_enter) {
  ControlGroupFactory factory;
  const std::string trial = absl::StrCat("trial-", getpid());
  const auto works = [&](const ControlGroupFactory& candidate, int64_t memory_bytes) {
    const auto group = candidate.Create(trial, memory_bytes);
    if (!group.ok()) return false;
    const bool entered = try_enter(group->folders());
    group->Remove();
    return entered;
  };
  if (options.use_unified && !mounts.unified.empty()) {
    ControlGroupFactory candidate;
    candidate.unified_ = mounts.unified / options.name;
    if (MakeFolder(candidate.unified_, true).ok()) {
      candidate.unified_memory_ = DelegateMemory(mounts.unified, candidate.unified_);
      if (candidate.unified_memory_ && works(candidate, kTrialLimit)) return candidate;
      candidate.unified_memory_ = false;
      if (works(candidate, 0)) factory.unified_ = candidate.unified_;
    }
  }
  if (options.use_memory_v1 && !mounts.memory_v1.empty()) {
    ControlGroupFactory candidate;
    candidate.memory_v1_ = mounts.memory_v1 / options.name;
    if (MakeFolder(candidate.memory_v1_, true).ok() && works(candidate, kTrialLimit)) {
      factory.memory_v1_ = candidate.memory_v1_;
    }
  }
  return factory;
}

std::string ControlGroupFactory::Describe() const {
  std::string text;
  if (!unified_.empty()) text = unified_memory_ ? "cgroup v2 with memory limits" : "cgroup v2";
  if (!memory_v1_.empty()) absl::StrAppend(&text, text.empty() ? "" : " and ", "cgroup v1 memory");
  return text.empty() ? "none" : text;
}

absl::StatusOr<ControlGroup> ControlGroupFactory::Create(const std::string& id,
                                                         int64_t memory_bytes) const {
  // The version 1 group is left out where it would have nothing to do.
  const bool with_v1 = !memory_v1_.empty() && (memory_bytes > 0 || unified_.empty());
  const ControlGroup group(unified_.empty() ? fs::path() : unified_ / id,
                           with_v1 ? memory_v1_ / id : fs::path());
  const auto build = [&]() -> absl::Status {
    for (const fs::path& folder : group.folders()) {
      TY_RETURN_IF_ERROR(MakeFolder(folder, false));
    }
    if (memory_bytes <= 0) return absl::OkStatus();
    if (with_v1) return LimitMemoryV1(group.memory_v1(), memory_bytes);
    if (unified_memory_) return LimitUnifiedMemory(group.unified(), memory_bytes);
    return absl::OkStatus();
  };
  const absl::Status built = build();
  if (built.ok()) return group;
  group.Remove();
  return built;
}

void ControlGroupFactory::RemoveIfEmpty() const { ControlGroup(unified_, memory_v1_).Remove(); }

std::vector<std::pair<std::string, ControlGroup>> ControlGroupFactory::List() const {
  std::set<std::string> ids;
  std::error_code error;
  for (const fs::path& root : {unified_, memory_v1_}) {
    if (root.empty()) continue;
    for (const auto& entry : fs::directory_iterator(root, error)) {
      if (entry.is_directory(error)) ids.insert(entry.path().filename().string());
    }
  }
  std::vector<std::pair<std::string, ControlGroup>> groups;
  for (const std::string& id : ids) {
    const auto folder_in = [&](const fs::path& root) {
      return root.empty() || !fs::is_directory(root / id, error) ? fs::path() : root / id;
    };
    groups.emplace_back(id, ControlGroup(folder_in(unified_), folder_in(memory_v1_)));
  }
  return groups;
}

}  // namespace trainyard
