#include "server/scheduler/fair_share.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace trainyard {
namespace {

double Share(double part, double whole) { return whole > 0 ? part / whole : 0.0; }

// Usage that a rate of 1 gathers in `span`, decay included.
double Gathered(absl::Duration span, absl::Duration half_life) {
  if (half_life == absl::InfiniteDuration()) return absl::ToDoubleSeconds(span);
  const double half_life_seconds = absl::ToDoubleSeconds(half_life);
  const double half_lives = absl::FDivDuration(span, half_life);
  return half_life_seconds / std::numbers::ln2 * -std::expm1(-half_lives * std::numbers::ln2);
}

double Decay(absl::Duration span, absl::Duration half_life) {
  return std::exp2(-absl::FDivDuration(span, half_life));
}

}  // namespace

double DominantShare(const Slots& slots, const Slots& capacity) {
  return std::max(
      {Share(slots.cpu_threads, capacity.cpu_threads), Share(slots.gpus, capacity.gpus),
       Share(static_cast<double>(slots.memory_bytes), static_cast<double>(capacity.memory_bytes))});
}

void ProjectUsage::AdvanceTo(absl::Time time, absl::Duration half_life) {
  if (time <= time_) return;
  usage_ = At(time, half_life);
  time_ = time;
}

void ProjectUsage::Start(double share, absl::Time time, absl::Duration half_life) {
  if (time < time_) {
    usage_ += share * Gathered(time_ - time, half_life);
  } else {
    AdvanceTo(time, half_life);
  }
  rate_ += share;
}

void ProjectUsage::Stop(double share, absl::Time time, absl::Duration half_life) {
  AdvanceTo(time, half_life);
  // What remains of rounding must not count as something that runs.
  rate_ = rate_ - share < 1e-12 ? 0 : rate_ - share;
}

double ProjectUsage::At(absl::Time time, absl::Duration half_life) const {
  if (time_ == absl::InfinitePast() || time <= time_) return usage_;
  const absl::Duration span = time - time_;
  return usage_ * Decay(span, half_life) + rate_ * Gathered(span, half_life);
}

}  // namespace trainyard
