// Launches of the optimisers' steps. Slots of one launch are all float or all double (T).
#pragma once

#include <cstdint>

namespace trainyard::cuda {

class Platform;

inline constexpr int kMostSlots = 48;  // of one launch: its arguments are 4 KiB at most

struct StepSlot {
  void* value = nullptr;
  const void* gradient = nullptr;
  void* first = nullptr;
  void* second = nullptr;
  int64_t elements = 0;
  double rate = 0;  // of the step times the slot's factor
  double decay = 0;
};

enum class StepKind : uint8_t { kSgd, kAdam, kLion, kAverage };

// The meaning of the fields is that of the steps in optimizer_kernels.h.
struct StepArguments {
  StepKind kind = StepKind::kSgd;
  double momentum = 0;
  bool nesterov = false;
  double beta1 = 0;  // kAverage: the decay
  double beta2 = 0;
  double epsilon = 0;
  double correction1 = 1;  // 1 - beta1^step
  double correction2 = 1;
  bool decoupled = true;
  const double* scale = nullptr;  // on the device, or null
  int slots = 0;
  StepSlot slot[kMostSlots];
};
template <typename T>
void LaunchStep(Platform& platform, const StepArguments& arguments);

struct SquaresArguments {
  int slots = 0;
  const void* data[kMostSlots] = {};
  int64_t elements[kMostSlots] = {};
  double* parts = nullptr;  // [SquaresPartsOf(arguments)]: sums of squares of pieces
};
int64_t SquaresPartsOf(const SquaresArguments& arguments);
template <typename T>
void LaunchSquares(Platform& platform, const SquaresArguments& arguments);

// *norm = sqrt(sum of parts).
void LaunchNorm(Platform& platform, const double* parts, int64_t count, double* norm);

// *scale as ClipScale in optimizer_kernels.h.
void LaunchClipScale(Platform& platform, const double* norm, double limit, double* scale);

}  // namespace trainyard::cuda
