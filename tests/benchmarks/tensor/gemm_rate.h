// The floor of kernels that are made of matrix products.
#pragma once

#include <functional>

namespace trainyard {

// Least times of a repeated piece of work, in seconds.
struct LeastTime {
  double wall = 0;
  double processor = 0;  // of all threads of the process together
};

// Of `repetitions` calls.
LeastTime Measure(int repetitions, const std::function<void()>& work);

// Floating-point operations a second of SerialGemm on one thread, for 256 x 512 by 512 x 256: by
// the clock on the wall and by processor time.
struct GemmRate {
  double wall = 0;
  double processor = 0;
};
GemmRate MeasureGemmRate();

}  // namespace trainyard
