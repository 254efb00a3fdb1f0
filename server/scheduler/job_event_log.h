// The shared event log of one job, and the bound on the memory of all of them.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/mutex.h"
#include "proto/schema/resource_names.h"
#include "server/scheduler/event_log.h"
#include "server/storage/catalogue.h"
#include "trainyard/v1/job.pb.h"

namespace trainyard {

class EventLogs;

// The newest events of one job as serialised v1::WatchJobResponse messages, each at most about
// `Options::batch_bytes`, at most `Options::job_bytes` together. Older events are read from the
// catalogue. Thread-safe.
class JobEventLog : public std::enable_shared_from_this<JobEventLog> {
 public:
  // Made by EventLogs::Open.
  JobEventLog(JobName job, int64_t newest_sequence, bool ended, std::shared_ptr<EventLogs> logs);
  ~JobEventLog();

  // Adds durable events, which must follow the newest one without gaps. They are shown to readers
  // at once when nothing was shown within the packing interval, when a batch is full, and when a
  // state changes; otherwise by Flush. `now` is monotonic time. Returns when Flush is due,
  // InfiniteDuration for never.
  absl::Duration Publish(std::span<const v1::JobEvent> events, absl::Duration now);
  // Shows what Publish kept back.
  void Flush(absl::Duration now);
  // Ends every reader with this status.
  void Close(absl::Status status);

  // A reader that begins with `from_sequence` (at least 1).
  std::unique_ptr<EventReader> NewReader(int64_t from_sequence);
  // The newest durable sequence number.
  int64_t newest_sequence() const;
  // Bytes of events held.
  int64_t memory_bytes() const;
  // Forgets what can be read from the catalogue. Returns the bytes freed.
  int64_t DropMemory();

 private:
  friend class JobEventReader;

  // Wakes one reader. Guarded by its own mutex, so that a callback runs without the log's.
  struct Waiter {
    Mutex mutex;
    std::function<void()> ready ABSL_GUARDED_BY(mutex);
    // Threads that run a callback now.
    std::vector<std::thread::id> running ABSL_GUARDED_BY(mutex);
    void Fire();
    // Returns when no other thread runs a callback.
    void CancelAndWait();
  };
  struct Batch {
    int64_t first_sequence = 0;
    int64_t last_sequence = 0;
    std::shared_ptr<const std::string> response;
  };

  void Seal(absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WakeReaders() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool ReadyAt(int64_t sequence) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The batch that holds `sequence`; null when it is not in memory.
  const Batch* Find(int64_t sequence) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const JobName job_;
  const std::shared_ptr<EventLogs> logs_;

  mutable Mutex mutex_;
  std::deque<Batch> batches_ ABSL_GUARDED_BY(mutex_);
  int64_t batch_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string open_ ABSL_GUARDED_BY(mutex_);  // serialised events that are not shown yet
  int64_t open_first_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t newest_ ABSL_GUARDED_BY(mutex_);
  int64_t shown_ ABSL_GUARDED_BY(mutex_);  // newest sequence that readers may see
  bool ended_ ABSL_GUARDED_BY(mutex_);
  absl::Duration last_shown_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
  absl::Status closed_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Waiter>> waiters_ ABSL_GUARDED_BY(mutex_);
};

// All event logs that are open. Thread-safe.
class EventLogs : public std::enable_shared_from_this<EventLogs> {
 public:
  struct Options {
    int64_t batch_bytes = 64 << 10;
    int64_t job_bytes = 1 << 20;
    int64_t total_bytes = 64 << 20;
    absl::Duration packing_interval = absl::Milliseconds(50);
  };
  // `notify` runs a short function soon, on a thread where it may call back into readers.
  EventLogs(const Options& options, Catalogue* catalogue,
            std::function<void(std::function<void()>)> notify)
      : options_(options), catalogue_(catalogue), notify_(std::move(notify)) {}

  // The log of a job, made with this newest sequence if none is open.
  std::shared_ptr<JobEventLog> Open(const JobName& job, int64_t newest_sequence, bool ended);
  // The log of a job if one is open, else null.
  std::shared_ptr<JobEventLog> Find(const JobName& job);
  // Ends the readers of one job, and forgets its log.
  void Close(const JobName& job, const absl::Status& status);
  // Ends all readers, also those opened later.
  void CloseAll(const absl::Status& status);
  int64_t memory_bytes() const;

 private:
  friend class JobEventLog;
  friend class JobEventReader;
  struct Slot {
    std::weak_ptr<JobEventLog> log;
    JobEventLog* key = nullptr;
  };

  // Notes what a log holds now; the logs that were idle longest give way when all together are
  // above the bound.
  void Account(JobEventLog* log);
  void Forget(const std::string& name, JobEventLog* log);

  const Options options_;
  Catalogue* const catalogue_;
  const std::function<void(std::function<void()>)> notify_;

  struct Usage {
    int64_t bytes = 0;
    std::list<JobEventLog*>::iterator position;
  };
  mutable Mutex mutex_;  // taken before a log's, never after it
  absl::flat_hash_map<std::string, Slot> logs_ ABSL_GUARDED_BY(mutex_);
  std::list<JobEventLog*> idle_order_ ABSL_GUARDED_BY(mutex_);  // longest idle first
  absl::flat_hash_map<JobEventLog*, Usage> usage_ ABSL_GUARDED_BY(mutex_);
  int64_t total_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status closed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trainyard
