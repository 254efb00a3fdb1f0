#include "core/tensor/cuda/launch.h"
#include "core/tensor/cuda/optimizer.h"
#include "core/tensor/cuda/row_threads.h"
#include "core/tensor/cuda/scalar_functions.h"

namespace trainyard::cuda {
namespace {

constexpr int kBlockThreads = 256;
constexpr int64_t kPiece = 4096;  // elements of a slot that a block takes

TRAINYARD_PORTABLE int64_t PiecesOf(int64_t elements) { return (elements + kPiece - 1) / kPiece; }

// The numbers of one element.
template <typename T>
struct Element {
  T value;
  T gradient;
  T first;
  T second;
};

template <typename T>
TRAINYARD_DEVICE void StepSgd(const StepArguments& step, const StepSlot& slot, Element<T>& e) {
  e.gradient += static_cast<T>(slot.decay) * e.value;
  if (slot.first != nullptr) {
    e.first = static_cast<T>(step.momentum) * e.first + e.gradient;
    e.gradient = step.nesterov ? e.gradient + static_cast<T>(step.momentum) * e.first : e.first;
  }
  e.value -= static_cast<T>(slot.rate) * e.gradient;
}

template <typename T>
TRAINYARD_DEVICE void StepAdam(const StepArguments& step, const StepSlot& slot, Element<T>& e) {
  const T rate = static_cast<T>(slot.rate);
  if (step.decoupled) {
    e.value -= static_cast<T>(slot.rate * slot.decay) * e.value;
  } else {
    e.gradient += static_cast<T>(slot.decay) * e.value;
  }
  const T beta1 = static_cast<T>(step.beta1);
  const T beta2 = static_cast<T>(step.beta2);
  e.first = beta1 * e.first + (T(1) - beta1) * e.gradient;
  e.second = beta2 * e.second + (T(1) - beta2) * e.gradient * e.gradient;
  const T root = Sqrt(e.second * static_cast<T>(1 / step.correction2));
  e.value -= rate * (e.first * static_cast<T>(1 / step.correction1)) /
             (root + static_cast<T>(step.epsilon));
}

template <typename T>
TRAINYARD_DEVICE void StepLion(const StepArguments& step, const StepSlot& slot, Element<T>& e) {
  const T beta1 = static_cast<T>(step.beta1);
  const T beta2 = static_cast<T>(step.beta2);
  const T direction = beta1 * e.first + (T(1) - beta1) * e.gradient;
  const T sign = direction > T(0) ? T(1) : direction < T(0) ? T(-1) : T(0);
  e.value -= static_cast<T>(slot.rate) * (sign + static_cast<T>(slot.decay) * e.value);
  e.first = beta2 * e.first + (T(1) - beta2) * e.gradient;
}

// first = decay * first + (1 - decay) * value.
template <typename T>
TRAINYARD_DEVICE void StepAverage(const StepArguments& step, Element<T>& e) {
  const T decay = static_cast<T>(step.beta1);
  e.first = decay * e.first + (T(1) - decay) * e.value;
}

template <typename T>
struct StepKernel {
  static constexpr const char* kName = "optimizer_step";
  static constexpr int kThreads = kBlockThreads;
  static constexpr bool kSynchronizes = false;
  StepArguments arguments;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    T scale = T(1);
    if (arguments.scale != nullptr) {
      const double given = *arguments.scale;
      // False for NaN too.
      if (!(Abs(given) > 0 && Abs(given) <= 1.7976931348623157e308)) return;
      scale = static_cast<T>(given);
    }
    int64_t piece = context.block();
    int index = 0;
    while (piece >= PiecesOf(arguments.slot[index].elements)) {
      piece -= PiecesOf(arguments.slot[index].elements);
      ++index;
    }
    const StepSlot& slot = arguments.slot[index];
    const int64_t end = Min((piece + 1) * kPiece, slot.elements);
    for (int64_t i = piece * kPiece + context.thread(); i < end; i += kThreads) {
      StepElement(slot, scale, i);
    }
  }

 private:
  TRAINYARD_DEVICE void StepElement(const StepSlot& slot, T scale, int64_t i) const {
    T* const value = static_cast<T*>(slot.value);
    T* const first = static_cast<T*>(slot.first);
    T* const second = static_cast<T*>(slot.second);
    Element<T> e{};
    e.value = value[i];
    if (slot.gradient != nullptr) e.gradient = static_cast<const T*>(slot.gradient)[i] * scale;
    if (first != nullptr) e.first = first[i];
    if (second != nullptr) e.second = second[i];
    switch (arguments.kind) {
      case StepKind::kSgd:
        StepSgd(arguments, slot, e);
        break;
      case StepKind::kAdam:
        StepAdam(arguments, slot, e);
        break;
      case StepKind::kLion:
        StepLion(arguments, slot, e);
        break;
      case StepKind::kAverage:
        StepAverage(arguments, e);
        break;
    }
    if (arguments.kind != StepKind::kAverage) value[i] = e.value;
    if (first != nullptr) first[i] = e.first;
    if (second != nullptr) second[i] = e.second;
  }
};

// One value of all threads of a block, for thread 0.
template <typename Context>
TRAINYARD_DEVICE double BlockSum(Context& context, double value) {
  auto sums = context.template Shared<double>(kBlockThreads / kWarp);
  value = context.WarpReduce(value, Plus{});
  if (context.thread() % kWarp == 0) sums[context.thread() / kWarp] = value;
  context.Sync();
  if (context.thread() == 0) {
    for (int i = 1; i < kBlockThreads / kWarp; ++i) value += sums[i];
  }
  return value;
}

constexpr size_t kBlockSumBytes = kBlockThreads / kWarp * sizeof(double);

template <typename T>
struct SquaresKernel {
  static constexpr const char* kName = "squares";
  static constexpr int kThreads = kBlockThreads;
  static constexpr bool kSynchronizes = true;
  SquaresArguments arguments;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    int64_t piece = context.block();
    int index = 0;
    while (piece >= PiecesOf(arguments.elements[index])) {
      piece -= PiecesOf(arguments.elements[index]);
      ++index;
    }
    const T* const data = static_cast<const T*>(arguments.data[index]);
    const int64_t end = Min((piece + 1) * kPiece, arguments.elements[index]);
    double sum = 0;
    for (int64_t i = piece * kPiece + context.thread(); i < end; i += kThreads) {
      sum += static_cast<double>(data[i]) * static_cast<double>(data[i]);
    }
    sum = BlockSum(context, sum);
    if (context.thread() == 0) arguments.parts[context.block()] = sum;
  }
};

struct NormOfPartsKernel {
  static constexpr const char* kName = "norm_of_parts";
  static constexpr int kThreads = kBlockThreads;
  static constexpr bool kSynchronizes = true;
  const double* parts;
  int64_t count;
  double* norm;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    double sum = 0;
    for (int64_t i = context.thread(); i < count; i += kThreads) sum += parts[i];
    sum = BlockSum(context, sum);
    if (context.thread() == 0) *norm = Sqrt(sum);
  }
};

struct ClipScaleKernel {
  static constexpr const char* kName = "clip_scale";
  static constexpr int kThreads = kWarp;
  static constexpr bool kSynchronizes = false;
  const double* norm;
  double limit;
  double* scale;

  template <typename Context>
  TRAINYARD_DEVICE void operator()(Context& context) const {
    if (context.thread() > 0) return;
    const double length = *norm;
    const bool finite = length <= 1.7976931348623157e308;
    *scale = !finite ? 0 : limit > 0 && length > limit ? limit / length : 1;
  }
};

}  // namespace

template <typename T>
void LaunchStep(Platform& platform, const StepArguments& arguments) {
  int64_t pieces = 0;
  for (int i = 0; i < arguments.slots; ++i) pieces += PiecesOf(arguments.slot[i].elements);
  Launch(platform, Grid{pieces}, StepKernel<T>{arguments});
}
template void LaunchStep<float>(Platform&, const StepArguments&);
template void LaunchStep<double>(Platform&, const StepArguments&);

int64_t SquaresPartsOf(const SquaresArguments& arguments) {
  int64_t pieces = 0;
  for (int i = 0; i < arguments.slots; ++i) pieces += PiecesOf(arguments.elements[i]);
  return pieces;
}

template <typename T>
void LaunchSquares(Platform& platform, const SquaresArguments& arguments) {
  Launch(platform, Grid{SquaresPartsOf(arguments)}, SquaresKernel<T>{arguments}, kBlockSumBytes);
}
template void LaunchSquares<float>(Platform&, const SquaresArguments&);
template void LaunchSquares<double>(Platform&, const SquaresArguments&);

void LaunchNorm(Platform& platform, const double* parts, int64_t count, double* norm) {
  Launch(platform, Grid{}, NormOfPartsKernel{parts, count, norm}, kBlockSumBytes);
}

void LaunchClipScale(Platform& platform, const double* norm, double limit, double* scale) {
  Launch(platform, Grid{}, ClipScaleKernel{norm, limit, scale});
}

}  // namespace trainyard::cuda
