// Time that a part of a training takes.
#pragma once

#include "absl/time/time.h"
#include "core/base/clock.h"

namespace trainyard {

// Time since construction, in s.
class Stopwatch {
 public:
  double Seconds() const { return absl::ToDoubleSeconds(Clock::Real().Monotonic() - start_); }

 private:
  const absl::Duration start_ = Clock::Real().Monotonic();
};

}  // namespace trainyard
