// How much of the machine a project has used lately.
#pragma once

#include "absl/time/time.h"
#include "server/scheduler/queue.h"

namespace trainyard {

// Share of `capacity` that `slots` take: the largest of the shares of CPU threads, GPUs and memory
// (the dominant resource), 0 to 1.
double DominantShare(const Slots& slots, const Slots& capacity);

// Usage of one project: the integral of its dominant share over time, each instant weighted by
// 2^(-age / half_life), in seconds of the whole machine. With a constant rate r the usage u obeys
// u(t + d) = u(t) 2^(-d/h) + r (h / ln 2) (1 - 2^(-d/h)), which is what this class steps by.
class ProjectUsage {
 public:
  // A job with this share started at `time`, which may lie in the past.
  void Start(double share, absl::Time time, absl::Duration half_life);
  // It ended at `time`.
  void Stop(double share, absl::Time time, absl::Duration half_life);
  // Usage at `time`; times before the last change count as the last change.
  double At(absl::Time time, absl::Duration half_life) const;
  // Sum of the shares of what runs.
  double rate() const { return rate_; }

 private:
  void AdvanceTo(absl::Time time, absl::Duration half_life);

  double usage_ = 0;
  double rate_ = 0;
  absl::Time time_ = absl::InfinitePast();
};

}  // namespace trainyard
