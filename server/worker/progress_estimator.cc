#include "server/worker/progress_estimator.h"

#include <cmath>

namespace trainyard {
namespace {

constexpr double kHalfLifeSeconds = 3;
// Shorter intervals are joined: their speed would be noise.
constexpr absl::Duration kLeastInterval = absl::Milliseconds(10);

}  // namespace

void ProgressEstimator::Complete(absl::Duration now, v1::Progress& progress) {
  if (!has_last_ || progress.phase() != phase_ || progress.step() < last_step_) {
    phase_ = progress.phase();
    last_time_ = now;
    last_step_ = progress.step();
    speed_ = 0;
    has_last_ = true;
  } else if (now - last_time_ >= kLeastInterval) {
    const double seconds = absl::ToDoubleSeconds(now - last_time_);
    const double speed = static_cast<double>(progress.step() - last_step_) / seconds;
    const double kept = speed_ == 0 ? 0 : std::exp2(-seconds / kHalfLifeSeconds);
    speed_ = kept * speed_ + (1 - kept) * speed;
    last_time_ = now;
    last_step_ = progress.step();
  }
  if (progress.steps_per_second() == 0) progress.set_steps_per_second(speed_);
  if (progress.seconds_left() == 0) {
    const double fraction = progress.fraction();
    const double elapsed = absl::ToDoubleSeconds(now - start_);
    progress.set_seconds_left(fraction > 0 ? elapsed * (1 - fraction) / fraction : -1);
  }
}

}  // namespace trainyard
