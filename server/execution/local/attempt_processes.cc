#include "server/execution/local/attempt_processes.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/execution/local/spawn.h"

namespace trainyard {
namespace {

std::pair<pid_t, uint64_t> KeyOf(const ProcessStat& process) {
  return {process.pid, process.start_time};
}

// Kills this process and no later one of the same id.
void KillExactly(const ProcessStat& process) {
  const UniqueFd pidfd = OpenPidfd(process.pid);
  if (!pidfd.valid()) return;
  const auto now = ReadProcessStat(process.pid);
  if (now.has_value() && now->start_time == process.start_time) SignalProcess(pidfd, SIGKILL);
}

// Whether this process inherited it from a worker, and nothing tells from which. What this process
// starts by other means than Spawn is in its session.
bool IsUnmarkedOrphan(const ProcessStat& process, const ProcessSnapshot& snapshot) {
  return process.parent == getpid() && process.session != getsid(0) && !IsOwnedChild(process.pid) &&
         snapshot.MarkerOf(process).empty();
}

}  // namespace

ProcessSnapshot::ProcessSnapshot(MarkerCache& cache) : processes_(ListProcesses()), cache_(&cache) {
  std::set<std::pair<pid_t, uint64_t>> living;
  for (const ProcessStat& process : processes_) living.insert(KeyOf(process));
  std::erase_if(cache, [&](const auto& entry) { return !living.contains(entry.first); });
}

const std::string& ProcessSnapshot::MarkerOf(const ProcessStat& process) const {
  const auto [entry, added] = cache_->try_emplace(KeyOf(process));
  if (added) entry->second = ReadEnvironment(process.pid, kAttemptVariable).value_or("");
  return entry->second;
}

std::vector<ProcessStat> AttemptProcesses::FindIn(const ProcessSnapshot& snapshot) {
  std::vector<ProcessStat> found;
  std::set<pid_t> members;
  const bool worker_lives = std::any_of(
      snapshot.processes().begin(), snapshot.processes().end(),
      [&](const auto& p) { return p.pid == worker_ && p.start_time == start_time_ && !p.dead(); });
  const bool takes_orphans = worker_ != 0 && !worker_lives;
  const auto belongs = [&](const ProcessStat& process) {
    if (process.pid == worker_) return process.start_time == start_time_;
    if (process.start_time < start_time_) return false;
    return members.contains(process.parent) || (worker_ != 0 && process.session == worker_) ||
           known_.contains(KeyOf(process)) ||
           (!marker_.empty() && snapshot.MarkerOf(process) == marker_) ||
           (takes_orphans && IsUnmarkedOrphan(process, snapshot));
  };
  // Children may have smaller ids than their parents: repeat until nothing is added.
  for (bool added = true; added;) {
    added = false;
    for (const ProcessStat& process : snapshot.processes()) {
      if (process.dead() || members.contains(process.pid) || !belongs(process)) continue;
      members.insert(process.pid);
      found.push_back(process);
      added = true;
    }
  }
  for (const ProcessStat& process : found) known_.insert(KeyOf(process));
  return found;
}

bool AttemptProcesses::KillOnce(MarkerCache& cache) {
  if (group_.exists()) {
    if (group_.Empty()) return true;
    group_.Kill();
    return false;
  }
  const ProcessSnapshot snapshot(cache);
  const std::vector<ProcessStat> left = FindIn(snapshot);
  for (const ProcessStat& process : left) KillExactly(process);
  ReapOrphans(snapshot);
  return left.empty();
}

bool AttemptProcesses::KillAndWait(int timeout_ms) {
  const absl::Time deadline = absl::Now() + absl::Milliseconds(timeout_ms);
  absl::Duration pause = absl::Milliseconds(1);
  MarkerCache cache;
  while (!KillOnce(cache)) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(pause);
    pause = std::min(2 * pause, absl::Milliseconds(50));
  }
  return true;
}

void ReapOrphans(const ProcessSnapshot& snapshot) {
  for (const ProcessStat& process : snapshot.processes()) {
    if (process.state == 'Z' && process.parent == getpid() && !IsOwnedChild(process.pid)) {
      waitpid(process.pid, nullptr, WNOHANG);
    }
  }
}

}  // namespace trainyard
