// Speed and remaining time of a training, from what it reports.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "trainyard/v1/job.pb.h"

namespace trainyard {

// Not thread-safe.
class ProgressEstimator {
 public:
  // `start`: when the training began, on the clock that Complete is given.
  explicit ProgressEstimator(absl::Duration start) : start_(start) {}

  // Fills `steps_per_second` and `seconds_left` where they are zero. The speed is that of the
  // current phase, averaged with weights that halve about every 3 s; 0 until it is known. The
  // remaining time assumes that the rest of the job is as fast as the job was so far: t (1 - f) / f
  // for the fraction f after the time t; -1 while f is 0.
  void Complete(absl::Duration now, v1::Progress& progress);

 private:
  const absl::Duration start_;
  std::string phase_;
  absl::Duration last_time_;
  int64_t last_step_ = 0;
  double speed_ = 0;
  bool has_last_ = false;
};

}  // namespace trainyard
