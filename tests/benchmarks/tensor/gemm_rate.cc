#include "tests/benchmarks/tensor/gemm_rate.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <vector>

#include "core/tensor/cpu/serial_gemm.h"

namespace trainyard {
namespace {

double ProcessorSeconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double WallSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

LeastTime Measure(int repetitions, const std::function<void()>& work) {
  LeastTime least{1e30, 1e30};
  for (int i = 0; i < repetitions; ++i) {
    const double wall = WallSeconds();
    const double processor = ProcessorSeconds();
    work();
    least.processor = std::min(least.processor, ProcessorSeconds() - processor);
    least.wall = std::min(least.wall, WallSeconds() - wall);
  }
  return least;
}

GemmRate MeasureGemmRate() {
  constexpr int64_t kRows = 256;
  constexpr int64_t kInner = 512;
  constexpr int kProducts = 20;
  const std::vector<float> a(kRows * kInner, 0.5F);
  const std::vector<float> b(kRows * kInner, 0.25F);
  std::vector<float> c(kRows * kRows);
  const LeastTime time = Measure(20, [&] {
    for (int i = 0; i < kProducts; ++i) {
      SerialGemm({kRows, kRows, kInner}, 1.0F, a.data(), kInner, b.data(), kRows, 0.0F, c.data(),
                 kRows);
    }
  });
  const double operations = 2.0 * kProducts * kRows * kRows * kInner;
  return {operations / time.wall, operations / time.processor};
}

}  // namespace trainyard
