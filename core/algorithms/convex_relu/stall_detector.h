// Tells when a gap has stopped to shrink because the arithmetic is at its end.
#pragma once

#include <cstdint>
#include <limits>

namespace trainyard::convex_relu {

// Gaps of accelerated methods oscillate, the longer the harder the problem is: a run has stalled
// when its least gap is older than half of its iterations and a thousand more.
class StallDetector {
 public:
  // Iterations are those of one run, ascending.
  bool Stalled(int64_t iteration, double gap) {
    if (gap < least_gap_) {
      least_gap_ = gap;
      best_iteration_ = iteration;
    }
    return iteration - best_iteration_ > 1000 + iteration / 2;
  }

 private:
  double least_gap_ = std::numeric_limits<double>::infinity();
  int64_t best_iteration_ = 0;
};

}  // namespace trainyard::convex_relu
