// Launches of softmax and of losses. T is float or double.
#pragma once

#include <cstdint>

namespace trainyard::cuda {

class Platform;

// Rows of elements without gaps, at any distance.
struct Rows {
  void* data = nullptr;
  int64_t stride = 0;
};

struct SoftmaxArguments {
  int64_t rows = 0;
  int64_t columns = 0;
  bool logarithm = false;
  Rows x;
  Rows y;
};
template <typename T>
void LaunchSoftmax(Platform& platform, const SoftmaxArguments& arguments);

struct SoftmaxBackwardArguments {
  int64_t rows = 0;
  int64_t columns = 0;
  bool logarithm = false;
  bool accumulate = false;
  Rows y;
  Rows dy;
  Rows dx;
};
template <typename T>
void LaunchSoftmaxBackward(Platform& platform, const SoftmaxBackwardArguments& arguments);

struct CrossEntropyArguments {
  int64_t rows = 0;
  int64_t columns = 0;
  Rows logits;
  const int32_t* targets = nullptr;
  int64_t target_stride = 1;
  const void* weights = nullptr;  // or null
  int64_t weight_stride = 1;
  double gradient_scale = 0;
  void* losses = nullptr;
  int64_t loss_stride = 1;
};
template <typename T>
void LaunchCrossEntropy(Platform& platform, const CrossEntropyArguments& arguments);

}  // namespace trainyard::cuda
