#include "core/nn/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace trainyard::nn {

double RateSchedule::RateAt(int64_t step, double total_steps) const {
  const double warmup =
      warmup_steps > 0 ? static_cast<double>(warmup_steps) : std::floor(warmup_share * total_steps);
  const double at = static_cast<double>(step);
  if (at < warmup) return peak * (at + 1) / warmup;
  const double t = total_steps > warmup ? std::min((at - warmup) / (total_steps - warmup), 1.0) : 1;
  switch (decay) {
    case Decay::kConstant:
      return peak;
    case Decay::kLinear:
      return peak * (1 - t) + last * t;
    case Decay::kCosine:
      return last + (peak - last) * (1 + std::cos(std::numbers::pi * t)) / 2;
    case Decay::kSteps:
      return peak *
             std::pow(step_factor, std::floor((at - warmup) / static_cast<double>(steps_per_drop)));
  }
  return peak;
}

}  // namespace trainyard::nn
