// Learning rates over a training.
#pragma once

#include <cstdint>

namespace trainyard::nn {

// A linear rise from 0 to `peak` over the first steps, then a decay. With T steps in all, W of them
// warm-up, and t = (step - W) / (T - W), steps counted from 0:
struct RateSchedule {
  enum class Decay : uint8_t {
    kConstant,
    kLinear,  // peak * (1 - t) + last * t
    kCosine,  // last + (peak - last) * (1 + cos(pi t)) / 2
    kSteps,   // peak * step_factor^floor((step - W) / steps_per_drop)
  };
  Decay decay = Decay::kConstant;
  double peak = 1e-3;
  double last = 0;  // the rate at t = 1
  // Warm-up: so many steps, or where that is 0 this share of all; the rate of step i is
  // peak * (i + 1) / W.
  int64_t warmup_steps = 0;
  double warmup_share = 0;
  int64_t steps_per_drop = 1000;
  double step_factor = 0.1;

  // Of step `step` (from 0) of about `total_steps`; steps behind the end keep the last rate.
  double RateAt(int64_t step, double total_steps) const;
};

}  // namespace trainyard::nn
