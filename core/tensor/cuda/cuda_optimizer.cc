#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <vector>

#include "core/tensor/cuda/cuda_device.h"
#include "core/tensor/cuda/cuda_kernels.h"
#include "core/tensor/cuda/layouts.h"
#include "core/tensor/cuda/optimizer.h"
#include "core/tensor/kernels/optimizer_kernels.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {
namespace {

class CudaOptimizerKernels : public OptimizerKernels {
 public:
  explicit CudaOptimizerKernels(CudaDevice& device) : device_(device) {}

  void Sgd(std::span<const OptimizerSlot> slots, const SgdStep& step,
           const Tensor& scale) override {
    Step({.kind = StepKind::kSgd, .momentum = step.momentum, .nesterov = step.nesterov}, slots,
         step.rate, scale);
  }

  void Adam(std::span<const OptimizerSlot> slots, const AdamStep& step,
            const Tensor& scale) override {
    const auto number = static_cast<double>(step.step);
    Step({.kind = StepKind::kAdam,
          .beta1 = step.beta1,
          .beta2 = step.beta2,
          .epsilon = step.epsilon,
          .correction1 = 1 - std::pow(step.beta1, number),
          .correction2 = 1 - std::pow(step.beta2, number),
          .decoupled = step.decoupled},
         slots, step.rate, scale);
  }

  void Lion(std::span<const OptimizerSlot> slots, const LionStep& step,
            const Tensor& scale) override {
    Step({.kind = StepKind::kLion, .beta1 = step.beta1, .beta2 = step.beta2}, slots, step.rate,
         scale);
  }

  void GlobalNorm(std::span<const Tensor> tensors, const Tensor& norm) override {
    // Launches of one type each; their parts lie one behind the other.
    std::vector<SquaresArguments> launches;
    std::vector<DType> types;
    for (const Tensor& tensor : tensors) {
      if (tensor.elements() == 0) continue;
      if (launches.empty() || types.back() != tensor.dtype() ||
          launches.back().slots == kMostSlots) {
        launches.emplace_back();
        types.push_back(tensor.dtype());
      }
      SquaresArguments& launch = launches.back();
      launch.data[launch.slots] = tensor.raw_data();
      launch.elements[launch.slots++] = tensor.elements();
    }
    int64_t parts = 0;
    for (const SquaresArguments& launch : launches) parts += SquaresPartsOf(launch);
    const Tensor sums = Tensor::Empty(device_, {parts}, DType::kFloat64);
    auto* next = static_cast<double*>(sums.raw_data());
    for (size_t i = 0; i < launches.size(); ++i) {
      launches[i].parts = next;
      next += SquaresPartsOf(launches[i]);
      DispatchFloating(types[i], "norm",
                       [&]<typename T>() { LaunchSquares<T>(device_.platform(), launches[i]); });
    }
    LaunchNorm(device_.platform(), static_cast<const double*>(sums.raw_data()), parts,
               norm.data<double>());
  }

  void ClipScale(const Tensor& norm, double limit, const Tensor& scale) override {
    LaunchClipScale(device_.platform(), norm.data<double>(), limit, scale.data<double>());
  }

  void MovingAverage(std::span<const Tensor> values, std::span<const Tensor> averages,
                     double decay) override {
    std::vector<OptimizerSlot> slots(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
      slots[i].value = values[i];
      slots[i].first = averages[i];
    }
    Step({.kind = StepKind::kAverage, .beta1 = decay}, slots, 0, Tensor());
  }

 private:
  void Step(StepArguments arguments, std::span<const OptimizerSlot> slots, double rate,
            const Tensor& scale) {
    arguments.scale = scale.defined() ? scale.data<double>() : nullptr;
    for (size_t next = 0; next < slots.size();) {
      arguments.slots = 0;
      const DType type = slots[next].value.dtype();
      while (next < slots.size() && arguments.slots < kMostSlots &&
             slots[next].value.dtype() == type) {
        const OptimizerSlot& slot = slots[next++];
        if (slot.value.elements() == 0) continue;
        arguments.slot[arguments.slots++] = {.value = slot.value.raw_data(),
                                             .gradient = DataOf(slot.gradient),
                                             .first = DataOf(slot.first),
                                             .second = DataOf(slot.second),
                                             .elements = slot.value.elements(),
                                             .rate = rate * slot.rate_factor,
                                             .decay = slot.weight_decay};
      }
      DispatchFloating(type, "optimizer",
                       [&]<typename T>() { LaunchStep<T>(device_.platform(), arguments); });
    }
  }

  CudaDevice& device_;
};

}  // namespace

std::unique_ptr<OptimizerKernels> MakeOptimizerKernels(CudaDevice& device) {
  return std::make_unique<CudaOptimizerKernels>(device);
}

}  // namespace trainyard::cuda
