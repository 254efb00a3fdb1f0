#include "core/base/clock.h"

#include <ctime>

namespace trainyard {
namespace {

class RealClock final : public Clock {
 public:
  absl::Time Now() override { return absl::Now(); }
  absl::Duration Monotonic() override {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return absl::DurationFromTimespec(now);
  }
};

}  // namespace

Clock& Clock::Real() {
  static RealClock* const kClock = new RealClock();
  return *kClock;
}

}  // namespace trainyard
