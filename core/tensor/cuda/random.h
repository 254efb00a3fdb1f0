// Launches of the random kernels. T is float or double.
#pragma once

#include <cstdint>

namespace trainyard::cuda {

class Platform;

struct RandomArguments {
  uint64_t seed = 0;
  uint64_t stream = 0;
  // On the device; added to `stream`.
  const uint64_t* stream_offset = nullptr;
  int64_t elements = 0;
  void* out = nullptr;
};

template <typename T>
void LaunchUniform(Platform& platform, const RandomArguments& arguments, double low, double high);

template <typename T>
void LaunchNormal(Platform& platform, const RandomArguments& arguments, double mean,
                  double deviation);

template <typename T>
void LaunchDropout(Platform& platform, const RandomArguments& arguments, double rate, const void* x,
                   bool accumulate);

// *word = value.
void SetWord(Platform& platform, uint64_t value, uint64_t* word);

}  // namespace trainyard::cuda
