// Events on their way to the server: numbered, batched, and kept until they are acknowledged.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "trainyard/v1/job.pb.h"
#include "trainyard/v1/worker_service.pb.h"

namespace trainyard {

// Any number of threads add, one thread takes. Thread-safe.
//
// Metric points are gathered into one event for `batch_delay` or until it holds `metric_bytes`; of
// progress only the newest within `batch_delay` is kept. Order is kept among metrics, log lines and
// checkpoints. When `max_bytes` of events are unacknowledged, adding waits: the training is slowed
// to what the server can store, and stops while the server is away.
class EventBuffer {
 public:
  struct Options {
    absl::Duration batch_delay = absl::Milliseconds(50);
    int64_t metric_bytes = 64 << 10;  // of one metric event
    int64_t batch_bytes = 256 << 10;  // of one message, above which nothing more is put in
    int64_t max_bytes = 8 << 20;      // unacknowledged, above which adding waits
    Clock* clock = &Clock::Real();
  };
  explicit EventBuffer(const Options& options) : options_(options) {}

  // --- The training's side.

  // Adds an event that has a payload; its time is set here. Waits while the buffer is full.
  void Add(v1::JobEvent event);
  void AddMetrics(int64_t step, const std::vector<std::pair<std::string, double>>& values);
  // Never waits.
  void SetProgress(const v1::Progress& progress);
  // Ends the events; what is added later is dropped. `last_sequence` is filled in.
  void Finish(v1::Finished finished);
  // From now on adding never waits: the training is to notice that it was cancelled.
  void StopWaiting();

  // --- The sender's side.

  // The next message to send, if one is due: events that were not sent yet, after the last of them
  // Finished.
  std::optional<v1::WorkerMessage> Take();
  // Waits until Take would give a message, `timeout` has passed, or Interrupt was called.
  void Wait(absl::Duration timeout);
  // Makes the Wait that is under way, or else the next one, return at once.
  void Interrupt();
  // Nothing is due until Rewind is called: there is no connection.
  void Pause();
  // Every event up to `sequence` is stored by the server and can be forgotten.
  void Acknowledge(int64_t sequence);
  // A new connection: everything after `acknowledged` is to be sent again, Finished too.
  void Rewind(int64_t acknowledged);

 private:
  struct Entry {
    v1::JobEvent event;
    int64_t bytes;
  };

  bool Accepts() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return never_wait_ || kept_bytes_ + pending_metric_bytes_ < options_.max_bytes;
  }
  // Time from now until a message is due; infinite when there is nothing to send.
  absl::Duration TimeToDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Append(v1::JobEvent event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SealMetrics() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SealProgress() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AcknowledgeLocked(int64_t sequence) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Stamp(v1::JobEvent& event) const;

  const Options options_;
  Mutex mutex_;
  CondVar changed_;                                 // something to send
  std::deque<Entry> kept_ ABSL_GUARDED_BY(mutex_);  // unacknowledged
  int64_t first_kept_ ABSL_GUARDED_BY(mutex_) = 1;  // sequence of kept_[0]
  size_t sent_ ABSL_GUARDED_BY(mutex_) = 0;         // of kept_
  int64_t kept_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t unsent_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<v1::JobEvent> pending_metrics_ ABSL_GUARDED_BY(mutex_);
  int64_t pending_metric_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<v1::JobEvent> pending_progress_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::Finished> finished_ ABSL_GUARDED_BY(mutex_);
  bool finished_sent_ ABSL_GUARDED_BY(mutex_) = false;
  bool never_wait_ ABSL_GUARDED_BY(mutex_) = false;
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool interrupted_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Duration last_taken_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
};

}  // namespace trainyard
