// Which job starts next, and whether it fits. No threads, no clock, no input or output.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace trainyard {

// Slots, by kind.
struct Slots {
  int32_t cpu_threads = 0;
  int32_t gpus = 0;
  int64_t memory_bytes = 0;

  friend bool operator==(const Slots&, const Slots&) = default;
};

// A job as the queue sees it.
struct QueuedJob {
  std::string name;        // `projects/{p}/jobs/{j}`
  std::string project;     // unit of fair share
  int32_t priority = 0;    // higher first
  absl::Time create_time;  // age counts from here, also after a failed attempt
  absl::Time not_before;   // back-off: not started earlier
  Slots slots;             // what it takes while it runs
};

// The queue and the free slots. Not thread-safe.
//
// Order: effective priority (priority plus one per whole `ageing_interval` waited), then the
// project with the least decayed usage (slot-seconds of the dominant resource, half-life
// `usage_half_life`, what runs included; of equal ones the project that runs less), then age. Jobs
// in their back-off have no place in the order.
//
// A job that does not fit now lets later ones pass. Its turn is when it is first in the order; once
// it has waited `reservation_after` past its turn it holds a reservation (the first such job in the
// order does): a job behind it starts only if it and all jobs started since the reservation fit on
// the machine together with the reserved job. So the reserved job starts at the latest when all
// jobs that ran at the reservation have ended. Jobs ahead of it in the order are not held back.
//
// PickNext takes O(b log n) for b distinct (project, priority, CPU threads, GPUs) among the queued
// jobs, whatever their memory demands are.
class SchedulingQueue {
 public:
  struct Options {
    Slots capacity;
    absl::Duration ageing_interval = absl::Minutes(5);
    absl::Duration usage_half_life = absl::Hours(1);
    absl::Duration reservation_after = absl::Seconds(30);
  };
  static std::unique_ptr<SchedulingQueue> Create(const Options& options);
  virtual ~SchedulingQueue() = default;

  // Whether a job with these slots could ever start.
  virtual bool CouldEverFit(const Slots& slots) const = 0;
  // Adds a job; a job of that name must be neither queued nor running.
  virtual void Add(QueuedJob job) = 0;
  // Removes a queued job. False when it is not queued.
  virtual bool Remove(std::string_view name) = 0;
  // The next job that may start now; its slots are taken until Release. Nullopt when none can.
  virtual std::optional<QueuedJob> PickNext(absl::Time now) = 0;
  // Marks a job as running without having been queued (adopted after a restart).
  virtual void AddRunning(QueuedJob job, absl::Time started) = 0;
  // Frees a running job's slots and charges its project.
  virtual void Release(std::string_view name, absl::Time now) = 0;
  // When PickNext may give something that it does not give at `now`, without any other call (it may
  // still give nothing then); InfiniteFuture when never.
  virtual absl::Time NextChange(absl::Time now) const = 0;

  virtual int64_t queued_count() const = 0;
  virtual int64_t running_count() const = 0;
  virtual Slots in_use() const = 0;
  virtual const Slots& capacity() const = 0;
  // Number of queued jobs ahead of this one, -1 when it is not queued. Takes time linear in the
  // number of projects and priorities, not of jobs.
  virtual int64_t Position(std::string_view name, absl::Time now) const = 0;
  // The first `count` jobs in the order in which they would start, regardless of slots. Here and
  // below, an empty `project` stands for all.
  virtual std::vector<std::string> Front(int count, absl::Time now,
                                         std::string_view project = {}) const = 0;
  virtual std::optional<absl::Time> OldestCreateTime(std::string_view project = {}) const = 0;
  struct Counts {
    int64_t queued = 0;
    int64_t running = 0;
  };
  virtual Counts CountsOf(std::string_view project) const = 0;
};

}  // namespace trainyard
