// Against the rules of the optimisers in double, over several steps and many small parameters.
#include "core/tensor/kernels/optimizer_kernels.h"

#include <functional>

#include "tests/core/tensor/kernel_test.h"

namespace trainyard {
namespace {

struct State {
  double value = 0;
  double first = 0;
  double second = 0;
};

// One step of one number with its gradient; rate and decay are those of its parameter.
using Rule = std::function<void(State&, double gradient, double rate, double decay, int64_t step)>;

class OptimizerKernelTest : public KernelTest {
 protected:
  using Take = std::function<void(std::span<const OptimizerSlot>, int64_t step, const Tensor&)>;

  // Takes steps with a factor of all gradients and compares with the rule.
  void ExpectRule(const Take& take, const Rule& rule, bool with_first, bool with_second) {
    std::vector<OptimizerSlot> slots;
    std::vector<std::vector<State>> states;
    for (const int64_t size : {1, 3, 16, 1000, 20'000, 0, 70'001}) {
      OptimizerSlot slot;
      slot.value = Random({size}, size + 1);
      slot.gradient = Tensor::Zeros(device_, {size}, type_);
      if (with_first) slot.first = Tensor::Zeros(device_, {size}, type_);
      if (with_second) slot.second = Tensor::Zeros(device_, {size}, type_);
      slot.rate_factor = size == 3 ? 0.5 : 1;
      slot.weight_decay = size % 2 == 0 ? 0.1 : 0;
      std::vector<State> numbers;
      for (const double value : Doubles(slot.value)) numbers.push_back({.value = value});
      states.push_back(std::move(numbers));
      slots.push_back(std::move(slot));
    }
    const double factor = 0.25;
    const Tensor scale = Tensor::Full(device_, {1}, factor, DType::kFloat64);
    for (int64_t step = 1; step <= 4; ++step) {
      for (size_t p = 0; p < slots.size(); ++p) {
        slots[p].gradient = Random(slots[p].value.shape(), 100 * step + p);
        const std::vector<double> gradients = Doubles(slots[p].gradient);
        for (size_t i = 0; i < gradients.size(); ++i) {
          rule(states[p][i], factor * gradients[i], 0.01 * slots[p].rate_factor,
               slots[p].weight_decay, step);
        }
      }
      take(slots, step, scale);
      for (size_t p = 0; p < slots.size(); ++p) {
        std::vector<double> expected;
        for (const State& state : states[p]) expected.push_back(state.value);
        ExpectNear(slots[p].value, expected, 4 * tolerance());
      }
    }
    ExpectSkips(take, slots);
  }

  // A factor of zero, or one that is no number, changes nothing.
  void ExpectSkips(const Take& take, const std::vector<OptimizerSlot>& slots) {
    for (const double factor : {0.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
      std::vector<std::vector<double>> before;
      for (const OptimizerSlot& slot : slots) before.push_back(Doubles(slot.value));
      take(slots, 5, Tensor::Full(device_, {1}, factor, DType::kFloat64));
      for (size_t p = 0; p < slots.size(); ++p) EXPECT_EQ(Doubles(slots[p].value), before[p]);
    }
  }
};
TRAINYARD_INSTANTIATE_KERNEL_TEST(OptimizerKernelTest);

TEST_P(OptimizerKernelTest, Sgd) {
  ExpectRule([&](auto slots, int64_t,
                 const Tensor& scale) { device_.optimizer().Sgd(slots, {.rate = 0.01}, scale); },
             [](State& state, double gradient, double rate, double decay, int64_t) {
               state.value -= rate * (gradient + decay * state.value);
             },
             false, false);
}

TEST_P(OptimizerKernelTest, SgdWithMomentum) {
  for (const bool nesterov : {false, true}) {
    ExpectRule(
        [&](auto slots, int64_t, const Tensor& scale) {
          device_.optimizer().Sgd(slots, {.rate = 0.01, .momentum = 0.9, .nesterov = nesterov},
                                  scale);
        },
        [&](State& state, double gradient, double rate, double decay, int64_t) {
          gradient += decay * state.value;
          state.first = 0.9 * state.first + gradient;
          state.value -= rate * (nesterov ? gradient + 0.9 * state.first : state.first);
        },
        true, false);
  }
}

TEST_P(OptimizerKernelTest, Adam) {
  for (const bool decoupled : {false, true}) {
    ExpectRule(
        [&](auto slots, int64_t step, const Tensor& scale) {
          device_.optimizer().Adam(slots, {.rate = 0.01, .step = step, .decoupled = decoupled},
                                   scale);
        },
        [&](State& state, double gradient, double rate, double decay, int64_t step) {
          if (!decoupled) gradient += decay * state.value;
          state.first = 0.9 * state.first + 0.1 * gradient;
          state.second = 0.999 * state.second + 0.001 * gradient * gradient;
          const double first = state.first / (1 - std::pow(0.9, step));
          const double second = state.second / (1 - std::pow(0.999, step));
          if (decoupled) state.value -= rate * decay * state.value;
          state.value -= rate * first / (std::sqrt(second) + 1e-8);
        },
        true, true);
  }
}

TEST_P(OptimizerKernelTest, Lion) {
  ExpectRule([&](auto slots, int64_t,
                 const Tensor& scale) { device_.optimizer().Lion(slots, {.rate = 0.01}, scale); },
             [](State& state, double gradient, double rate, double decay, int64_t) {
               const double direction = 0.9 * state.first + 0.1 * gradient;
               const double sign = direction > 0 ? 1 : direction < 0 ? -1 : 0;
               state.value -= rate * (decay * state.value + sign);
               state.first = 0.99 * state.first + 0.01 * gradient;
             },
             true, false);
}

TEST_P(OptimizerKernelTest, NormOfAllTensors) {
  std::vector<Tensor> tensors;
  double squares = 0;
  for (const int64_t size : {1, 5, 0, 40'001, 33}) {
    tensors.push_back(Random({size}, size));
    for (const double value : Doubles(tensors.back())) squares += value * value;
  }
  const Tensor norm = Tensor::Zeros(device_, {1}, DType::kFloat64);
  device_.optimizer().GlobalNorm(tensors, norm);
  EXPECT_NEAR(norm.Item(), std::sqrt(squares), 1e-12 * std::sqrt(squares));
  const Tensor scale = Tensor::Zeros(device_, {1}, DType::kFloat64);
  device_.optimizer().ClipScale(norm, 2, scale);
  EXPECT_EQ(scale.Item(), 2 / norm.Item());
  device_.optimizer().ClipScale(norm, 1e6, scale);
  EXPECT_EQ(scale.Item(), 1);
  device_.optimizer().ClipScale(norm, 0, scale);
  EXPECT_EQ(scale.Item(), 1);
  Set(tensors[1], 2, std::nan(""));
  device_.optimizer().GlobalNorm(tensors, norm);
  device_.optimizer().ClipScale(norm, 0, scale);
  EXPECT_EQ(scale.Item(), 0);
}

TEST_P(OptimizerKernelTest, NormsHaveTheSameBitsForAnyThreads) {
  ExpectSameBitsForAnyThreads([&](CpuDevice& device) {
    std::vector<Tensor> tensors;
    for (int i = 0; i < 30; ++i) tensors.push_back(RandomTensor(device, {i * 997}, type_, i));
    const Tensor norm = Tensor::Zeros(device, {1}, DType::kFloat64);
    device.optimizer().GlobalNorm(tensors, norm);
    return norm;
  });
}

TEST_P(OptimizerKernelTest, MovingAverages) {
  const std::vector<Tensor> values = {Random({3}, 1), Random({40'000}, 2)};
  const std::vector<Tensor> averages = {Random({3}, 3), Random({40'000}, 4)};
  std::vector<std::vector<double>> expected;
  for (size_t p = 0; p < 2; ++p) {
    const std::vector<double> numbers = Doubles(values[p]);
    expected.push_back(Doubles(averages[p]));
    for (size_t i = 0; i < numbers.size(); ++i) {
      expected[p][i] = 0.9 * expected[p][i] + 0.1 * numbers[i];
    }
  }
  device_.optimizer().MovingAverage(values, averages, 0.9);
  for (size_t p = 0; p < 2; ++p) ExpectNear(averages[p], expected[p], tolerance());
}

}  // namespace
}  // namespace trainyard
