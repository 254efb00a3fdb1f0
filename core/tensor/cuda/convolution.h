// Launches of what surrounds the products of convolutions. T is float or double.
#pragma once

#include <cstdint>

namespace trainyard::cuda {

class Platform;

// x [batch, length, channels] and its windows [batch, length, width, channels], both contiguous:
// windows[b, t, k, c] = x[b, t + k - pad_left, c], 0 outside of the sequence.
struct WindowArguments {
  int64_t batch = 0;
  int64_t length = 0;
  int64_t channels = 0;
  int64_t width = 0;
  int64_t pad_left = 0;
  void* x = nullptr;
  void* windows = nullptr;
};
template <typename T>
void LaunchUnfold(Platform& platform, const WindowArguments& arguments);

// x (+)= for each element the sum over the windows it is in: the adjoint of LaunchUnfold.
template <typename T>
void LaunchFold(Platform& platform, const WindowArguments& arguments, bool accumulate);

}  // namespace trainyard::cuda
