#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cpu/cpu_kernels.h"
#include "core/tensor/cpu/parallel_ranges.h"
#include "core/tensor/kernels/optimizer_kernels.h"

namespace trainyard {
namespace {

// Elements that one task works on.
constexpr int64_t kChunk = 16384;

struct Piece {
  size_t tensor;
  int64_t begin;
  int64_t end;
};

// All elements of all tensors, in pieces that many threads can share.
template <typename Items, typename ElementsOf>
std::vector<Piece> PiecesOf(const Items& items, const ElementsOf& elements_of) {
  std::vector<Piece> pieces;
  for (size_t i = 0; i < items.size(); ++i) {
    const int64_t elements = elements_of(items[i]);
    for (int64_t begin = 0; begin < elements; begin += kChunk) {
      pieces.push_back({i, begin, std::min(elements, begin + kChunk)});
    }
  }
  return pieces;
}

template <typename T>
struct Slot {
  T* value;
  const T* gradient;
  T* first;
  T* second;
  T rate;
  T decay;
};

template <typename T>
T* DataOrNull(const Tensor& tensor) {
  return tensor.defined() ? tensor.data<T>() : nullptr;
}

template <typename T>
void SgdPiece(const Slot<T>& slot, const SgdStep& step, T scale, int64_t begin, int64_t end) {
  const T momentum = static_cast<T>(step.momentum);
  for (int64_t i = begin; i < end; ++i) {
    T gradient = scale * slot.gradient[i] + slot.decay * slot.value[i];
    if (slot.first != nullptr) {
      slot.first[i] = momentum * slot.first[i] + gradient;
      gradient = step.nesterov ? gradient + momentum * slot.first[i] : slot.first[i];
    }
    slot.value[i] -= slot.rate * gradient;
  }
}

template <typename T>
void AdamPiece(const Slot<T>& slot, const AdamStep& step, T scale, int64_t begin, int64_t end) {
  const T beta1 = static_cast<T>(step.beta1);
  const T beta2 = static_cast<T>(step.beta2);
  const T rest1 = static_cast<T>(1 - step.beta1);
  const T rest2 = static_cast<T>(1 - step.beta2);
  const double count = static_cast<double>(step.step);
  const T correction1 = static_cast<T>(1 / (1 - std::pow(step.beta1, count)));
  const T correction2 = static_cast<T>(1 / std::sqrt(1 - std::pow(step.beta2, count)));
  const T epsilon = static_cast<T>(step.epsilon);
  const T shrink = step.decoupled ? 1 - slot.rate * slot.decay : T(1);
  const T decay = step.decoupled ? T(0) : slot.decay;
  for (int64_t i = begin; i < end; ++i) {
    const T gradient = scale * slot.gradient[i] + decay * slot.value[i];
    const T first = beta1 * slot.first[i] + rest1 * gradient;
    const T second = beta2 * slot.second[i] + rest2 * gradient * gradient;
    slot.first[i] = first;
    slot.second[i] = second;
    slot.value[i] = shrink * slot.value[i] -
                    slot.rate * correction1 * first / (std::sqrt(second) * correction2 + epsilon);
  }
}

template <typename T>
void LionPiece(const Slot<T>& slot, const LionStep& step, T scale, int64_t begin, int64_t end) {
  const T beta1 = static_cast<T>(step.beta1);
  const T beta2 = static_cast<T>(step.beta2);
  const T rest1 = static_cast<T>(1 - step.beta1);
  const T rest2 = static_cast<T>(1 - step.beta2);
  const T shrink = 1 - slot.rate * slot.decay;
  for (int64_t i = begin; i < end; ++i) {
    const T gradient = scale * slot.gradient[i];
    const T direction = beta1 * slot.first[i] + rest1 * gradient;
    const T sign = direction > 0 ? T(1) : direction < 0 ? T(-1) : T(0);
    slot.value[i] = shrink * slot.value[i] - slot.rate * sign;
    slot.first[i] = beta2 * slot.first[i] + rest2 * gradient;
  }
}

template <typename T>
double SquaresOf(const T* values, int64_t begin, int64_t end) {
  double sum = 0;
  for (int64_t i = begin; i < end; ++i) {
    sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  }
  return sum;
}

class CpuOptimizerKernels : public OptimizerKernels {
 public:
  explicit CpuOptimizerKernels(CpuDevice& device) : device_(device) {}

  void Sgd(std::span<const OptimizerSlot> slots, const SgdStep& step,
           const Tensor& scale) override {
    Step(slots, step.rate, scale,
         [&]<typename T>(const Slot<T>& slot, T factor, int64_t begin, int64_t end) {
           SgdPiece(slot, step, factor, begin, end);
         });
  }
  void Adam(std::span<const OptimizerSlot> slots, const AdamStep& step,
            const Tensor& scale) override {
    Step(slots, step.rate, scale,
         [&]<typename T>(const Slot<T>& slot, T factor, int64_t begin, int64_t end) {
           AdamPiece(slot, step, factor, begin, end);
         });
  }
  void Lion(std::span<const OptimizerSlot> slots, const LionStep& step,
            const Tensor& scale) override {
    Step(slots, step.rate, scale,
         [&]<typename T>(const Slot<T>& slot, T factor, int64_t begin, int64_t end) {
           LionPiece(slot, step, factor, begin, end);
         });
  }

  void GlobalNorm(std::span<const Tensor> tensors, const Tensor& norm) override {
    const std::vector<Piece> pieces =
        PiecesOf(tensors, [](const Tensor& tensor) { return tensor.elements(); });
    std::vector<double> sums(pieces.size());
    ParallelRanges(
        device_.threads(), static_cast<int64_t>(pieces.size()), 1,
        [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const auto& [tensor, first, last] = pieces[i];
            DispatchFloating(tensors[tensor].dtype(), "norm", [&]<typename T>() {
              sums[i] = SquaresOf(tensors[tensor].data<T>(), first, last);
            });
          }
        },
        1);
    double sum = 0;
    for (const double part : sums) sum += part;
    norm.data<double>()[0] = std::sqrt(sum);
  }

  void ClipScale(const Tensor& norm, double limit, const Tensor& scale) override {
    const double value = norm.data<double>()[0];
    double factor = limit > 0 && value > limit ? limit / value : 1;
    if (!std::isfinite(value)) factor = 0;
    scale.data<double>()[0] = factor;
  }

  void MovingAverage(std::span<const Tensor> values, std::span<const Tensor> averages,
                     double decay) override {
    const std::vector<Piece> pieces =
        PiecesOf(values, [](const Tensor& tensor) { return tensor.elements(); });
    ParallelRanges(
        device_.threads(), static_cast<int64_t>(pieces.size()), 1,
        [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const auto& [tensor, first, last] = pieces[i];
            DispatchFloating(values[tensor].dtype(), "average", [&]<typename T>() {
              Average(values[tensor].data<T>(), averages[tensor].data<T>(), decay, first, last);
            });
          }
        },
        1);
  }

 private:
  template <typename T>
  static void Average(const T* values, T* averages, double decay, int64_t begin, int64_t end) {
    const T old = static_cast<T>(decay);
    const T rest = static_cast<T>(1 - decay);
    for (int64_t i = begin; i < end; ++i) averages[i] = old * averages[i] + rest * values[i];
  }

  template <typename Function>
  void Step(std::span<const OptimizerSlot> slots, double rate, const Tensor& scale,
            const Function& function) {
    const double factor = scale.defined() ? scale.data<double>()[0] : 1;
    if (factor == 0 || !std::isfinite(factor)) return;
    const std::vector<Piece> pieces =
        PiecesOf(slots, [](const OptimizerSlot& slot) { return slot.value.elements(); });
    ParallelRanges(
        device_.threads(), static_cast<int64_t>(pieces.size()), 1,
        [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const auto& [index, first, last] = pieces[i];
            const OptimizerSlot& slot = slots[index];
            DispatchFloating(slot.value.dtype(), "optimizer", [&]<typename T>() {
              function(
                  Slot<T>{slot.value.data<T>(), slot.gradient.data<T>(), DataOrNull<T>(slot.first),
                          DataOrNull<T>(slot.second), static_cast<T>(rate * slot.rate_factor),
                          static_cast<T>(slot.weight_decay)},
                  static_cast<T>(factor), first, last);
            });
          }
        },
        1);
  }

  CpuDevice& device_;
};

}  // namespace

std::unique_ptr<OptimizerKernels> MakeCpuOptimizerKernels(CpuDevice& device) {
  return std::make_unique<CpuOptimizerKernels>(device);
}

}  // namespace trainyard
