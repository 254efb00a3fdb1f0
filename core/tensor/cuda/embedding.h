// Launches of look-ups in tables. T is float or double.
#pragma once

#include <cstdint>

namespace trainyard::cuda {

class Platform;

// out [count, columns]: row i is scale * table[indices[i]], zeros for an index of -1.
struct GatherArguments {
  const void* table = nullptr;
  const int32_t* indices = nullptr;
  int64_t count = 0;
  int64_t columns = 0;
  double scale = 1;
  void* out = nullptr;
  int64_t out_stride = 0;  // between rows; likewise below
};
template <typename T>
void LaunchGather(Platform& platform, const GatherArguments& arguments);

// Sorts positions 0, …, count - 1 by keys[position], stably, by digits of 8 bits from the lowest
// on. Both pairs of buffers hold `count` numbers; the result is in the first pair.
struct SortArguments {
  const int32_t* keys = nullptr;  // -1 … largest_key
  int64_t count = 0;
  int32_t largest_key = 0;
  int32_t* sorted_keys = nullptr;
  int32_t* positions = nullptr;
  int32_t* other_keys = nullptr;
  int32_t* other_positions = nullptr;
  int32_t* digit_counts = nullptr;  // [DigitCountsOf(count)]
};
int64_t DigitCountsOf(int64_t count);
void LaunchSortPositions(Platform& platform, const SortArguments& arguments);

// table[keys[i]] += scale * dy[positions[i]] for all i with keys[i] >= 0, in the order of i.
struct AddRunsArguments {
  const int32_t* keys = nullptr;  // sorted
  const int32_t* positions = nullptr;
  int64_t count = 0;
  int64_t columns = 0;
  double scale = 1;
  const void* dy = nullptr;
  int64_t dy_stride = 0;
  void* table = nullptr;
};
template <typename T>
void LaunchAddRuns(Platform& platform, const AddRunsArguments& arguments);

}  // namespace trainyard::cuda
