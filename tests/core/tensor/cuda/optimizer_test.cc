// Steps of optimisers beside loops in float64.
#include <cmath>
#include <limits>

#include "core/tensor/kernels/optimizer_kernels.h"
#include "tests/core/tensor/cuda/kernel_test.h"

namespace trainyard {
namespace {

class CudaOptimizerTest : public CudaKernelTest {};
INSTANTIATE_CUDA_KERNEL_TEST(CudaOptimizerTest);

// More slots than one launch takes, of sizes around a block's piece.
constexpr int kSlots = 53;

struct SlotNumbers {
  Numbers value;
  Numbers gradient;
  Numbers first;
  Numbers second;
  double rate_factor;
  double decay;
};

std::vector<SlotNumbers> MakeSlots() {
  std::vector<SlotNumbers> slots;
  for (int i = 0; i < kSlots; ++i) {
    const int64_t size = i == 7 ? 4097 : i == 8 ? 0 : 1 + 13 * i % 40;
    const auto seed = static_cast<uint64_t>(4 * i);
    SlotNumbers slot{RandomNumbers(size, seed),     RandomNumbers(size, seed + 1),
                     RandomNumbers(size, seed + 2), RandomNumbers(size, seed + 3),
                     i % 3 == 0 ? 0.5 : 1,          i % 2 == 0 ? 0.1 : 0};
    for (double& value : slot.second) value = std::abs(value);
    slots.push_back(slot);
  }
  return slots;
}

std::vector<OptimizerSlot> PutSlots(Device& on, DType type, const std::vector<SlotNumbers>& slots,
                                    int states) {
  std::vector<OptimizerSlot> result;
  for (const SlotNumbers& slot : slots) {
    const Shape shape{static_cast<int64_t>(slot.value.size())};
    result.push_back({.value = Put(on, shape, slot.value, type),
                      .gradient = Put(on, shape, slot.gradient, type),
                      .first = states >= 1 ? Put(on, shape, slot.first, type) : Tensor(),
                      .second = states >= 2 ? Put(on, shape, slot.second, type) : Tensor(),
                      .rate_factor = slot.rate_factor,
                      .weight_decay = slot.decay});
  }
  return result;
}

// All values, then all first, then all second moments.
std::vector<Tensor> States(const std::vector<OptimizerSlot>& slots) {
  std::vector<Tensor> tensors;
  for (const auto member : {&OptimizerSlot::value, &OptimizerSlot::first, &OptimizerSlot::second}) {
    for (const OptimizerSlot& slot : slots) {
      if ((slot.*member).defined()) tensors.push_back(slot.*member);
    }
  }
  return tensors;
}

template <typename Update>
std::vector<Numbers> Expected(int states, Update&& update) {
  std::vector<SlotNumbers> slots = MakeSlots();
  for (SlotNumbers& slot : slots) {
    for (size_t i = 0; i < slot.value.size(); ++i) {
      update(slot, slot.value[i], slot.gradient[i], slot.first[i], slot.second[i]);
    }
  }
  std::vector<Numbers> result;
  for (const SlotNumbers& slot : slots) result.push_back(slot.value);
  for (const SlotNumbers& slot : slots) {
    if (states >= 1) result.push_back(slot.first);
  }
  for (const SlotNumbers& slot : slots) {
    if (states >= 2) result.push_back(slot.second);
  }
  return result;
}

TEST_P(CudaOptimizerTest, GradientDescentWithMomentum) {
  for (const bool nesterov : {false, true}) {
    Check(
        [&](Device& on, DType type) {
          const std::vector<OptimizerSlot> slots = PutSlots(on, type, MakeSlots(), 1);
          on.optimizer().Sgd(slots, {.rate = 0.1, .momentum = 0.9, .nesterov = nesterov},
                             Put(on, {1}, {0.25}, DType::kFloat64));
          return States(slots);
        },
        Expected(1, [&](const SlotNumbers& slot, double& x, double g, double& m, double&) {
          g = 0.25 * g + slot.decay * x;
          m = 0.9 * m + g;
          x -= 0.1 * slot.rate_factor * (nesterov ? g + 0.9 * m : m);
        }));
  }
  Check(
      [&](Device& on, DType type) {
        const std::vector<OptimizerSlot> slots = PutSlots(on, type, MakeSlots(), 0);
        on.optimizer().Sgd(slots, {.rate = 0.1}, Tensor());
        return States(slots);
      },
      Expected(0, [](const SlotNumbers& slot, double& x, double g, double&, double&) {
        x -= 0.1 * slot.rate_factor * (g + slot.decay * x);
      }));
}

TEST_P(CudaOptimizerTest, AdamWithBothKindsOfDecay) {
  for (const bool decoupled : {false, true}) {
    Check(
        [&](Device& on, DType type) {
          const std::vector<OptimizerSlot> slots = PutSlots(on, type, MakeSlots(), 2);
          on.optimizer().Adam(slots,
                              {.rate = 0.01,
                               .beta1 = 0.8,
                               .beta2 = 0.95,
                               .epsilon = 1e-6,
                               .step = 3,
                               .decoupled = decoupled},
                              Tensor());
          return States(slots);
        },
        Expected(2, [&](const SlotNumbers& slot, double& x, double g, double& m, double& v) {
          const double rate = 0.01 * slot.rate_factor;
          if (decoupled) x -= rate * slot.decay * x;
          if (!decoupled) g += slot.decay * x;
          m = 0.8 * m + 0.2 * g;
          v = 0.95 * v + 0.05 * g * g;
          const double corrected = v / (1 - std::pow(0.95, 3));
          x -= rate * m / (1 - std::pow(0.8, 3)) / (std::sqrt(corrected) + 1e-6);
        }));
  }
}

TEST_P(CudaOptimizerTest, Lion) {
  Check(
      [&](Device& on, DType type) {
        const std::vector<OptimizerSlot> slots = PutSlots(on, type, MakeSlots(), 1);
        on.optimizer().Lion(slots, {.rate = 0.01}, Tensor());
        return States(slots);
      },
      Expected(1, [](const SlotNumbers& slot, double& x, double g, double& m, double&) {
        const double c = 0.9 * m + 0.1 * g;
        x -= 0.01 * slot.rate_factor * ((c > 0 ? 1 : c < 0 ? -1 : 0) + slot.decay * x);
        m = 0.99 * m + 0.01 * g;
      }));
}

TEST_P(CudaOptimizerTest, StepsAreSkippedForAScaleOfZeroOrNaN) {
  for (const double scale :
       {0.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    Check(
        [&](Device& on, DType type) {
          const std::vector<OptimizerSlot> slots = PutSlots(on, type, MakeSlots(), 2);
          on.optimizer().Adam(slots, {.rate = 0.01}, Put(on, {1}, {scale}, DType::kFloat64));
          return States(slots);
        },
        Expected(2, [](const SlotNumbers&, double&, double, double&, double&) {}));
  }
}

TEST_P(CudaOptimizerTest, GlobalNormAndClipping) {
  double squares = 0;
  for (const SlotNumbers& slot : MakeSlots()) {
    for (const double g : slot.gradient) squares += g * g;
  }
  const double norm = std::sqrt(squares);
  Check(
      [&](Device& on, DType type) {
        std::vector<Tensor> gradients;
        for (const OptimizerSlot& slot : PutSlots(on, type, MakeSlots(), 0)) {
          gradients.push_back(slot.gradient);
        }
        std::vector<Tensor> results = {Tensor::Empty(on, {1}, DType::kFloat64)};
        on.optimizer().GlobalNorm(gradients, results[0]);
        for (const double limit : {0.0, 0.5 * norm, 2 * norm}) {
          results.push_back(Tensor::Empty(on, {1}, DType::kFloat64));
          on.optimizer().ClipScale(results[0], limit, results.back());
        }
        results.push_back(Tensor::Empty(on, {1}, DType::kFloat64));
        on.optimizer().ClipScale(Put(on, {1}, {std::nan("")}, DType::kFloat64), 1, results.back());
        return results;
      },
      {{norm}, {1}, {0.5}, {1}, {0}}, 1e-12);
}

TEST_P(CudaOptimizerTest, MovingAverages) {
  std::vector<Numbers> expected;
  for (const SlotNumbers& slot : MakeSlots()) {
    Numbers average = slot.first;
    for (size_t i = 0; i < average.size(); ++i) average[i] = 0.9 * average[i] + 0.1 * slot.value[i];
    expected.push_back(average);
  }
  Check(
      [&](Device& on, DType type) {
        std::vector<Tensor> values;
        std::vector<Tensor> averages;
        for (const OptimizerSlot& slot : PutSlots(on, type, MakeSlots(), 1)) {
          values.push_back(slot.value);
          averages.push_back(slot.first);
        }
        on.optimizer().MovingAverage(values, averages, 0.9);
        return averages;
      },
      expected);
}

}  // namespace
}  // namespace trainyard
