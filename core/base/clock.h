// Time as a dependency, so that tests step it by hand.
#pragma once

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace trainyard {

// Tells the time. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Wall-clock time; may jump.
  virtual absl::Time Now() = 0;
  // Time since an arbitrary origin that never jumps or falls; for intervals and time-outs.
  virtual absl::Duration Monotonic() = 0;

  // The clock of this machine; lives for ever.
  static Clock& Real();
};

}  // namespace trainyard
