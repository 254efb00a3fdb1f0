#include "server/execution/local/attempt_monitor.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "server/execution/local/process_info.h"
#include "server/execution/local/small_files.h"
#include "server/execution/local/spawn.h"

namespace trainyard {
namespace {

constexpr uint64_t kWakeId = 0;
constexpr absl::Duration kHousekeepingInterval = absl::Seconds(1);
constexpr absl::Duration kMaxKillPause = absl::Milliseconds(50);
constexpr int64_t kTailBytes = 8 << 10;
constexpr int64_t kStderrLimitBytes = 1 << 20;
constexpr int64_t kStderrKeptBytes = 64 << 10;

absl::Time SteadyNow() { return absl::UnixEpoch() + Clock::Real().Monotonic(); }

absl::Status Watch(const UniqueFd& poll, const UniqueFd& fd, uint64_t id) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = id;
  if (epoll_ctl(poll.get(), EPOLL_CTL_ADD, fd.get(), &event) == 0) return absl::OkStatus();
  return SystemError(errno, "epoll_ctl");
}

}  // namespace

absl::StatusOr<std::unique_ptr<AttemptMonitor>> AttemptMonitor::Start(const Options& options) {
  UniqueFd poll(epoll_create1(EPOLL_CLOEXEC));
  if (!poll.valid()) return SystemError(errno, "epoll_create1");
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return SystemError(errno, "eventfd");
  absl::Status watched = Watch(poll, wake, kWakeId);
  if (!watched.ok()) return watched;
  return std::unique_ptr<AttemptMonitor>(
      new AttemptMonitor(options, std::move(poll), std::move(wake)));
}

AttemptMonitor::AttemptMonitor(const Options& options, UniqueFd poll, UniqueFd wake)
    : options_(options), poll_(std::move(poll)), wake_(std::move(wake)) {
  thread_ = std::thread([this] { Run(); });
}

AttemptMonitor::~AttemptMonitor() {
  stop_ = true;
  Wake();
  thread_.join();
}

absl::Status AttemptMonitor::Add(std::shared_ptr<RunningAttempt> attempt) {
  {
    MutexLock lock(&mutex_);
    const uint64_t id = next_id_;
    if (!ids_.emplace(attempt->name, id).second) {
      return absl::AlreadyExistsError(absl::StrCat(attempt->name, " is running"));
    }
    absl::Status watched = Watch(poll_, attempt->pidfd, id);
    if (!watched.ok()) {
      ids_.erase(attempt->name);
      return watched;
    }
    ++next_id_;
    attempts_.emplace(id, std::move(attempt));
  }
  // The thread may sleep for ever; it has to look at its periodic tasks again.
  Wake();
  return absl::OkStatus();
}

std::shared_ptr<RunningAttempt> AttemptMonitor::Find(const std::string& name) const {
  MutexLock lock(&mutex_);
  const auto id = ids_.find(name);
  return id == ids_.end() ? nullptr : attempts_.at(id->second);
}

std::vector<std::shared_ptr<RunningAttempt>> AttemptMonitor::All() const {
  MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<RunningAttempt>> all;
  all.reserve(attempts_.size());
  for (const auto& [id, attempt] : attempts_) all.push_back(attempt);
  return all;
}

bool AttemptMonitor::Contains(const std::string& name) const { return Find(name) != nullptr; }

void AttemptMonitor::Terminate(const std::string& name) {
  if (const auto attempt = Find(name)) SignalProcess(attempt->pidfd, SIGTERM);
}

void AttemptMonitor::Kill(const std::string& name) {
  const auto attempt = Find(name);
  if (attempt == nullptr) return;
  if (attempt->processes.group().exists()) {
    attempt->processes.group().Kill();
    // It may not have entered its group yet.
    SignalProcess(attempt->pidfd, SIGKILL);
  }
  // Without a group the processes are found by descent: the worker must not end before them.
  attempt->kill_requested = true;
  Wake();
}

pid_t AttemptMonitor::ProcessId(const std::string& name) const {
  const auto attempt = Find(name);
  return attempt == nullptr ? 0 : attempt->processes.worker();
}

void AttemptMonitor::Wake() const {
  const uint64_t one = 1;
  // Fails only when the counter is full, and then the thread wakes anyway.
  [[maybe_unused]] const ssize_t ignored = write(wake_.get(), &one, sizeof(one));
}

void AttemptMonitor::Run() {
  std::array<epoll_event, 64> events;
  while (!stop_) {
    const absl::Duration wait = TimeToNextTask();
    const int timeout = wait == absl::InfiniteDuration()
                            ? -1
                            : static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(
                                  std::max(wait, absl::ZeroDuration()), absl::Milliseconds(1))));
    const int count = epoll_wait(poll_.get(), events.data(), events.size(), timeout);
    for (int i = 0; i < count; ++i) {
      const uint64_t id = events[static_cast<size_t>(i)].data.u64;
      if (id == kWakeId) {
        uint64_t value = 0;
        [[maybe_unused]] const ssize_t ignored = read(wake_.get(), &value, sizeof(value));
      } else {
        OnWorkerGone(id);
      }
    }
    if (stop_) return;
    KillRepeatedly();
    WatchMemory();
    Housekeep();
  }
}

absl::Duration AttemptMonitor::TimeToNextTask() const {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& attempt : All()) {
    next = std::min(next, next_housekeeping_);
    if (attempt->watched_memory_bytes > 0) next = std::min(next, next_sample_);
    if (attempt->worker_gone || attempt->kill_requested) next = std::min(next, attempt->next_kill);
  }
  return next == absl::InfiniteFuture() ? absl::InfiniteDuration() : next - SteadyNow();
}

void AttemptMonitor::OnWorkerGone(uint64_t id) {
  std::shared_ptr<RunningAttempt> attempt;
  {
    MutexLock lock(&mutex_);
    const auto found = attempts_.find(id);
    if (found == attempts_.end()) return;
    attempt = found->second;
  }
  epoll_ctl(poll_.get(), EPOLL_CTL_DEL, attempt->pidfd.get(), nullptr);
  CollectExit(*attempt);
  EndOrKill(attempt);
}

void AttemptMonitor::CollectExit(RunningAttempt& attempt) {
  attempt.worker_gone = true;
  const pid_t pid = attempt.processes.worker();
  int status = 0;
  const pid_t waited = waitpid(pid, &status, 0);
  ForgetOwnedChild(pid);
  // An adopted worker is no child of this process: nobody can know how it ended.
  if (waited == pid) {
    if (WIFEXITED(status)) attempt.exit.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) attempt.exit.signal = WTERMSIG(status);
  }
  const bool may_be_killed = waited != pid || attempt.exit.signal == SIGKILL;
  if (may_be_killed && attempt.processes.group().OutOfMemoryKills() > 0) {
    attempt.exit.out_of_memory = true;
  }
}

void AttemptMonitor::EndOrKill(const std::shared_ptr<RunningAttempt>& attempt) {
  if (attempt->processes.KillOnce(markers_)) {
    if (attempt->worker_gone) return End(attempt);
    // Not in its group yet, or stopped being visible: the worker itself is still there.
    SignalProcess(attempt->pidfd, SIGKILL);
  }
  attempt->next_kill = SteadyNow() + attempt->kill_pause;
  attempt->kill_pause = std::min(2 * attempt->kill_pause, kMaxKillPause);
}

void AttemptMonitor::End(const std::shared_ptr<RunningAttempt>& attempt) {
  const ControlGroup& group = attempt->processes.group();
  attempt->exit.peak_memory_bytes = std::max(attempt->exit.peak_memory_bytes, group.PeakMemory());
  attempt->exit.stderr_tail = ReadTail(attempt->folder.stderr_file(), kTailBytes);
  {
    MutexLock lock(&mutex_);
    const auto id = ids_.find(attempt->name);
    attempts_.erase(id->second);
    ids_.erase(id);
  }
  // Whoever waits for the slots does not wait for the file system.
  attempt->on_exit(std::move(attempt->exit));
  attempt->folder.Remove();
  group.Remove();
}

void AttemptMonitor::KillRepeatedly() {
  for (const auto& attempt : All()) {
    if ((attempt->worker_gone || attempt->kill_requested) && attempt->next_kill <= SteadyNow()) {
      EndOrKill(attempt);
    }
  }
}

void AttemptMonitor::WatchMemory() {
  if (SteadyNow() < next_sample_) return;
  std::vector<std::shared_ptr<RunningAttempt>> watched = All();
  std::erase_if(watched, [](const auto& attempt) { return attempt->watched_memory_bytes == 0; });
  if (watched.empty()) return;
  const ProcessSnapshot snapshot(markers_);
  for (const auto& attempt : watched) {
    int64_t bytes = 0;
    for (const ProcessStat& process : attempt->processes.FindIn(snapshot)) {
      bytes += UnreclaimableBytes(process.pid);
    }
    attempt->exit.peak_memory_bytes = std::max(attempt->exit.peak_memory_bytes, bytes);
    if (bytes > attempt->watched_memory_bytes && !attempt->worker_gone) {
      attempt->exit.out_of_memory = true;
      attempt->kill_requested = true;
      EndOrKill(attempt);
    }
  }
  next_sample_ = SteadyNow() + options_.memory_sample_interval;
}

void AttemptMonitor::Housekeep() {
  if (SteadyNow() < next_housekeeping_) return;
  const auto all = All();
  for (const auto& attempt : all) {
    FreeHead(attempt->folder.stderr_file(), kStderrLimitBytes, kStderrKeptBytes);
    // The kernel may have killed another process than the worker; the limit is that of all.
    if (attempt->processes.group().OutOfMemoryKills() > 0 && !attempt->worker_gone) {
      attempt->exit.out_of_memory = true;
      attempt->kill_requested = true;
      EndOrKill(attempt);
    }
    if (!attempt->worker_gone) {
      attempt->exit.peak_memory_bytes =
          std::max(attempt->exit.peak_memory_bytes, PeakResidentBytes(attempt->processes.worker()));
    }
  }
  const bool by_descent = std::any_of(all.begin(), all.end(), [](const auto& attempt) {
    return !attempt->processes.group().exists();
  });
  if (by_descent || (options_.inherits_orphans && !all.empty())) {
    const ProcessSnapshot snapshot(markers_);
    for (const auto& attempt : all) {
      // Remembers what descends from the worker as long as that can be seen.
      if (!attempt->processes.group().exists()) attempt->processes.FindIn(snapshot);
    }
    if (options_.inherits_orphans) ReapOrphans(snapshot);
  }
  next_housekeeping_ = SteadyNow() + kHousekeepingInterval;
}

}  // namespace trainyard
