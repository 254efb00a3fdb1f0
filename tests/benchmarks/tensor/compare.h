// Times something beside its floor, turn by turn, so that both see the same machine.
#pragma once

#include <benchmark/benchmark.h>
#include <time.h>

#include <algorithm>
#include <limits>

namespace trainyard {

// Shortest times of one call.
struct BestTimes {
  double wall = std::numeric_limits<double>::infinity();
  double processor = std::numeric_limits<double>::infinity();  // all threads of the process
};

inline double SecondsOf(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Returns the wall time of one of `calls` calls.
template <typename Function>
double Measure(int calls, BestTimes& best, Function&& function) {
  const double processor = SecondsOf(CLOCK_PROCESS_CPUTIME_ID);
  const double wall = SecondsOf(CLOCK_MONOTONIC);
  for (int i = 0; i < calls; ++i) function();
  const double seconds = (SecondsOf(CLOCK_MONOTONIC) - wall) / calls;
  best.wall = std::min(best.wall, seconds);
  best.processor =
      std::min(best.processor, (SecondsOf(CLOCK_PROCESS_CPUTIME_ID) - processor) / calls);
  return seconds;
}

// Counters, from the shortest times: gflops and floor by the clock on the wall and `ratio` of the
// two (above 1, ours is faster); cpu_ratio likewise by processor time, which tells on a busy
// machine what the ratio would be on an idle one if both kept all threads busy. (OpenMP's threads
// burn processor time while they wait, so that only floors of one thread may be compared so.)
// Times of less than some microseconds are taken over several calls.
template <typename Ours, typename Floor>
void Compare(benchmark::State& state, double flops, Ours&& ours, Floor&& floor) {
  BestTimes best;
  BestTimes best_floor;
  const int calls = static_cast<int>(std::clamp(2e8 / flops, 1.0, 1000.0));
  for ([[maybe_unused]] const auto _ : state) {
    state.SetIterationTime(Measure(calls, best, ours));
    Measure(calls, best_floor, floor);
  }
  state.counters["gflops"] = flops / best.wall * 1e-9;
  state.counters["floor"] = flops / best_floor.wall * 1e-9;
  state.counters["ratio"] = best_floor.wall / best.wall;
  state.counters["cpu_gflops"] = flops / best.processor * 1e-9;
  state.counters["cpu_ratio"] = best_floor.processor / best.processor;
}

}  // namespace trainyard
