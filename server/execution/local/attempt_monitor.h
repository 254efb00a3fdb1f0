// Watches running attempts: one thread that learns of every worker's end at once, ends what a
// worker left behind, and enforces memory limits where no control group does.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/mutex.h"
#include "server/execution/executor.h"
#include "server/execution/local/attempt_folder.h"
#include "server/execution/local/attempt_processes.h"
#include "server/execution/local/unique_fd.h"

namespace trainyard {

// An attempt whose worker was started.
struct RunningAttempt {
  std::string name;
  AttemptFolder folder;
  UniqueFd pidfd;  // of the worker
  Executor::OnExit on_exit;
  // Limit that the monitor enforces by looking; 0: a control group does, or there is none.
  int64_t watched_memory_bytes = 0;

  std::atomic<bool> kill_requested = false;

  // Used by the monitor's thread alone once the attempt is added.
  AttemptProcesses processes;
  WorkerExit exit;
  bool worker_gone = false;
  absl::Time next_kill = absl::InfinitePast();
  absl::Duration kill_pause = absl::Milliseconds(1);
};

// Thread-safe.
class AttemptMonitor {
 public:
  struct Options {
    absl::Duration memory_sample_interval = absl::Milliseconds(100);
    // Whether this process inherits orphans and has to wait for them.
    bool inherits_orphans = false;
  };
  static absl::StatusOr<std::unique_ptr<AttemptMonitor>> Start(const Options& options);
  // Stops watching. Workers go on; `on_exit` of those that still run is never called.
  ~AttemptMonitor();

  // Watches the attempt until all of its processes are gone; then its `on_exit` is called and its
  // folder and control group are removed, on the monitor's thread. ALREADY_EXISTS.
  absl::Status Add(std::shared_ptr<RunningAttempt> attempt);

  bool Contains(const std::string& name) const;
  void Terminate(const std::string& name);
  void Kill(const std::string& name);
  pid_t ProcessId(const std::string& name) const;

 private:
  AttemptMonitor(const Options& options, UniqueFd poll, UniqueFd wake);

  std::shared_ptr<RunningAttempt> Find(const std::string& name) const;
  std::vector<std::shared_ptr<RunningAttempt>> All() const;
  void Wake() const;
  void Run();
  absl::Duration TimeToNextTask() const;
  void OnWorkerGone(uint64_t id);
  void CollectExit(RunningAttempt& attempt);
  void KillRepeatedly();
  void WatchMemory();
  void Housekeep();
  // Ends the attempt if no process of it is left, else kills what is left.
  void EndOrKill(const std::shared_ptr<RunningAttempt>& attempt);
  void End(const std::shared_ptr<RunningAttempt>& attempt);

  const Options options_;
  const UniqueFd poll_;  // epoll
  const UniqueFd wake_;  // eventfd
  std::atomic<bool> stop_ = false;
  MarkerCache markers_;  // monitor's thread
  absl::Time next_sample_ = absl::InfinitePast();
  absl::Time next_housekeeping_ = absl::InfinitePast();

  mutable Mutex mutex_;
  std::map<uint64_t, std::shared_ptr<RunningAttempt>> attempts_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, uint64_t> ids_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;

  std::thread thread_;
};

}  // namespace trainyard
