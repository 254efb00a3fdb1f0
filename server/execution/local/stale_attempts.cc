#include "server/execution/local/stale_attempts.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/execution/local/attempt_processes.h"
#include "server/execution/local/process_record.h"
#include "server/execution/local/small_files.h"

namespace trainyard {
namespace {

namespace fs = std::filesystem;

constexpr int kKillTimeoutMs = 5000;

// The attempt that AttemptFolderName made `id` from; empty when it made it from none.
std::string AttemptOfFolder(const std::string& id) {
  const std::vector<std::string> parts = absl::StrSplit(id, '.');
  if (parts.size() != 3) return "";
  return absl::StrCat("projects/", parts[0], "/jobs/", parts[1], "/attempts/", parts[2]);
}

LocalProcessRecord ReadRecord(const AttemptFolder& folder) {
  const auto text = ReadSmallFile(folder.process_file());
  if (!text.has_value()) return {};
  return LocalProcessRecord::Parse(*text).value_or(LocalProcessRecord());
}

}  // namespace

std::string AttemptMarker(const std::string& attempt, const std::string& store) {
  return absl::StrCat(attempt, "@", store);
}

void KillLeftovers(const ControlGroup& group, const std::string& marker) {
  if (group.exists()) AttemptProcesses(group, marker, 0, 0).KillAndWait(kKillTimeoutMs);
  AttemptProcesses(ControlGroup(), marker, 0, 0).KillAndWait(kKillTimeoutMs);
}

void RemoveStaleAttempt(const AttemptFolder& folder, const ControlGroupFactory& groups,
                        const std::string& store) {
  std::error_code ignored;
  if (!fs::exists(folder.path(), ignored)) return;
  const std::string id = folder.path().filename().string();
  const std::string marker = AttemptMarker(AttemptOfFolder(id), store);
  ControlGroup left;
  for (const auto& [name, group] : groups.List()) {
    if (name == id) left = group;
  }
  KillLeftovers(left, marker);
  left.Remove();
  folder.Remove();
}

void RemoveStaleAttempts(const fs::path& work_folder, const ControlGroupFactory& groups,
                         const std::string& store) {
  std::error_code error;
  std::vector<AttemptFolder> dead;
  for (const auto& entry : fs::directory_iterator(work_folder, error)) {
    const AttemptFolder folder(entry.path());
    if (AttemptOfFolder(entry.path().filename().string()).empty()) continue;
    const LocalProcessRecord record = ReadRecord(folder);
    if (record.pid == 0 || !record.Alive()) dead.push_back(folder);
  }
  for (const AttemptFolder& folder : dead) RemoveStaleAttempt(folder, groups, store);
  for (const auto& [id, group] : groups.List()) {
    if (fs::exists(work_folder / id, error)) continue;
    AttemptProcesses(group, "", 0, 0).KillAndWait(kKillTimeoutMs);
    group.Remove();
  }
}

}  // namespace trainyard
