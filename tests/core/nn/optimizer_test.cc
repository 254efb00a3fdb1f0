// Optimisers: reference are the published formulas in plain loops of doubles.
#include "core/nn/optim/optimizer.h"

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "core/nn/ops/arithmetic.h"
#include "core/nn/ops/reductions.h"
#include "core/nn/ops/unary.h"
#include "core/nn/optim/gradient_scaling.h"
#include "core/nn/optim/moving_average.h"
#include "core/nn/optim/schedule.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/nn/nn_test_support.h"

namespace trainyard::nn {
namespace {

using testing::HasSubstr;
using Kind = OptimizerOptions::Kind;

// Adds `gradient` to that of a parameter.
void AddGradient(const Parameter& parameter, const std::vector<double>& gradient) {
  const Tensor seed = Tensor::FromValues(TestDevice(), parameter.value().shape(),
                                         std::span<const double>(gradient));
  Backward(Affine(parameter, 1), seed);
}

std::vector<double> GradientOf(int step, size_t size) {
  std::vector<double> gradient(size);
  for (size_t i = 0; i < size; ++i) gradient[i] = std::sin(step * 1.7 + static_cast<double>(i));
  return gradient;
}

struct Slot {
  double w = 0;
  double m = 0;
  double v = 0;
};
// Changes a weight by its gradient in step `t` from 1.
using Rule = std::function<void(Slot&, double gradient, int t)>;

constexpr double kRate = 0.05;
constexpr double kDecay = 0.1;

void ExpectRule(const OptimizerOptions& options, const Rule& rule) {
  ParameterSet parameters(TestDevice(), 3, DType::kFloat64);
  Parameter& w = parameters.Add("w", {5}, Initializer::Normal(1), true);
  Optimizer optimizer(parameters, options);
  std::vector<Slot> slots;
  for (const double value : Doubles(w.value())) slots.push_back({value});
  for (int t = 1; t <= 10; ++t) {
    parameters.ClearGradients();
    const std::vector<double> gradient = GradientOf(t, slots.size());
    AddGradient(w, gradient);
    optimizer.Step(kRate);
    for (size_t i = 0; i < slots.size(); ++i) rule(slots[i], gradient[i], t);
  }
  const std::vector<double> values = Doubles(w.value());
  for (size_t i = 0; i < slots.size(); ++i) EXPECT_NEAR(values[i], slots[i].w, 1e-12) << i;
}

TEST(OptimizerTest, Sgd) {
  ExpectRule({.kind = Kind::kSgd, .weight_decay = kDecay},
             [](Slot& s, double g, int) { s.w -= kRate * (g + kDecay * s.w); });
  for (const bool nesterov : {false, true}) {
    ExpectRule({.kind = Kind::kSgd, .momentum = 0.9, .nesterov = nesterov, .weight_decay = kDecay},
               [nesterov](Slot& s, double g, int) {
                 g += kDecay * s.w;
                 s.m = 0.9 * s.m + g;
                 s.w -= kRate * (nesterov ? g + 0.9 * s.m : s.m);
               });
  }
}

TEST(OptimizerTest, Adam) {
  for (const bool decoupled : {false, true}) {
    ExpectRule({.kind = decoupled ? Kind::kAdamW : Kind::kAdam, .weight_decay = kDecay},
               [decoupled](Slot& s, double g, int t) {
                 if (decoupled) s.w -= kRate * kDecay * s.w;
                 if (!decoupled) g += kDecay * s.w;
                 s.m = 0.9 * s.m + 0.1 * g;
                 s.v = 0.999 * s.v + 0.001 * g * g;
                 const double m = s.m / (1 - std::pow(0.9, t));
                 const double v = s.v / (1 - std::pow(0.999, t));
                 s.w -= kRate * m / (std::sqrt(v) + 1e-8);
               });
  }
}

TEST(OptimizerTest, Lion) {
  ExpectRule({.kind = Kind::kLion, .beta2 = 0.99, .weight_decay = kDecay},
             [](Slot& s, double g, int) {
               const double c = 0.9 * s.m + 0.1 * g;
               s.w -= kRate * ((c > 0 ? 1 : c < 0 ? -1 : 0) + kDecay * s.w);
               s.m = 0.99 * s.m + 0.01 * g;
             });
}

TEST(OptimizerTest, ParametersHaveFactorsAndDecayOfTheirOwn) {
  ParameterSet parameters(TestDevice(), 3, DType::kFloat64);
  Parameter& plain = parameters.Add("plain", {1}, Initializer::Constant(1), false);
  Parameter& decays = parameters.Add("decays", {1}, Initializer::Constant(1), true);
  Parameter& fast = parameters.Add("fast", {1}, Initializer::Constant(1), false);
  Parameter& unused = parameters.Add("unused", {1}, Initializer::Constant(1), true);
  fast.set_rate_factor(3);
  Optimizer optimizer(parameters, {.kind = Kind::kSgd, .weight_decay = 0.5});
  for (Parameter* parameter : {&plain, &decays, &fast}) AddGradient(*parameter, {2});
  optimizer.Step(0.1);
  EXPECT_NEAR(plain.value().Item(), 1 - 0.2, 1e-15);
  EXPECT_NEAR(decays.value().Item(), 1 - 0.1 * 2.5, 1e-15);
  EXPECT_NEAR(fast.value().Item(), 1 - 0.6, 1e-15);
  EXPECT_EQ(unused.value().Item(), 1);
}

TEST(OptimizerTest, AParameterThatComesLaterHasItsOwnNumberOfSteps) {
  ParameterSet parameters(TestDevice(), 3, DType::kFloat64);
  Parameter& first = parameters.Add("first", {1}, Initializer::Constant(0), false);
  Optimizer optimizer(parameters, {.kind = Kind::kAdamW});
  for (int i = 0; i < 5; ++i) {
    parameters.ClearGradients();
    AddGradient(first, {1});
    optimizer.Step(0.1);
  }
  parameters.Remove("first");
  Parameter& second = parameters.Add("second", {1}, Initializer::Constant(0), false);
  AddGradient(second, {1});
  optimizer.Step(0.1);
  // The first step of Adam is the rate, whatever the gradient's size.
  EXPECT_NEAR(second.value().Item(), -0.1, 1e-8);
}

TEST(OptimizerTest, GoesOnFromASavedStateBitForBit) {
  for (const Kind kind : {Kind::kSgd, Kind::kAdam, Kind::kAdamW, Kind::kLion}) {
    const OptimizerOptions options{.kind = kind, .momentum = 0.9, .weight_decay = 0.01};
    ParameterSet parameters(TestDevice(), 3);
    Parameter& w = parameters.Add("w", {17}, Initializer::Normal(1), true);
    Optimizer optimizer(parameters, options);
    const auto step = [&w](Optimizer& with, int t) {
      w.variable().ClearGradient();
      const std::vector<double> gradient = GradientOf(t, 17);
      const Tensor seed =
          Tensor::FromValues(TestDevice(), {17}, std::span(gradient)).To(DType::kFloat32);
      Backward(Affine(w, 1), seed);
      with.Step(0.01);
    };
    for (int t = 0; t < 3; ++t) step(optimizer, t);
    ByteWriter writer;
    optimizer.Save(writer);
    const Tensor middle = w.value().Clone();
    for (int t = 3; t < 6; ++t) step(optimizer, t);
    const std::vector<double> expected = Doubles(w.value());
    w.value().CopyFrom(middle);
    Optimizer resumed(parameters, options);
    ByteReader reader(writer.bytes());
    ASSERT_TRUE(resumed.Load(reader).ok());
    EXPECT_TRUE(reader.done());
    for (int t = 3; t < 6; ++t) step(resumed, t);
    EXPECT_EQ(Doubles(w.value()), expected);
  }
}

TEST(OptimizerTest, RefusesAStateOfOtherParameters) {
  ParameterSet parameters(TestDevice(), 3, DType::kFloat64);
  AddGradient(parameters.Add("w", {5}, Initializer::Normal(1), true), {1, 2, 3, 4, 5});
  Optimizer optimizer(parameters, {});
  optimizer.Step(0.1);
  ByteWriter writer;
  optimizer.Save(writer);
  const auto load = [&](const char* name, int64_t size, std::string_view bytes) {
    ParameterSet others(TestDevice(), 3, DType::kFloat64);
    others.Add(name, {size}, Initializer::Normal(1), true);
    Optimizer other(others, {});
    ByteReader reader(bytes);
    return std::string(other.Load(reader).message());
  };
  EXPECT_THAT(load("x", 5, writer.bytes()), HasSubstr("names w, which is no parameter"));
  EXPECT_THAT(load("w", 4, writer.bytes()), HasSubstr("40 bytes for w of 32"));
  EXPECT_NE(load("w", 5, writer.bytes().substr(0, 30)), "");
}

TEST(GradientScalingTest, DividesAndClipsEachGroup) {
  ParameterSet parameters(TestDevice(), 3, DType::kFloat64);
  Parameter& a = parameters.Add("a", {2}, Initializer::Constant(0), false);
  Parameter& b = parameters.Add("b", {1}, Initializer::Constant(0), false);
  Parameter& c = parameters.Add("c", {1}, Initializer::Constant(0), false);
  c.set_clip_group(1);
  AddGradient(a, {6, 0});
  AddGradient(b, {8});
  AddGradient(c, {1});
  const GradientScales scales = ScaleGradients(parameters, /*divisor=*/2, /*limit=*/2.5);
  EXPECT_THAT(scales.norms, testing::ElementsAre(5, 0.5));
  EXPECT_NEAR(scales.norm(), std::sqrt(25.25), 1e-12);
  EXPECT_TRUE(scales.finite());
  Optimizer optimizer(parameters, {.kind = Kind::kSgd});
  optimizer.Step(1, scales.scales);
  EXPECT_NEAR(Doubles(a.value())[0], -1.5, 1e-12);
  EXPECT_NEAR(b.value().Item(), -2, 1e-12);
  EXPECT_NEAR(c.value().Item(), -0.5, 1e-12);
}

TEST(GradientScalingTest, AGradientThatIsNotFiniteChangesNothing) {
  ParameterSet parameters(TestDevice(), 3, DType::kFloat64);
  Parameter& a = parameters.Add("a", {2}, Initializer::Constant(1), false);
  AddGradient(a, {1, std::numeric_limits<double>::quiet_NaN()});
  for (const double limit : {0.0, 1.0}) {
    const GradientScales scales = ScaleGradients(parameters, 1, limit);
    EXPECT_FALSE(scales.finite());
    Optimizer(parameters, {}).Step(1, scales.scales);
    EXPECT_THAT(Doubles(a.value()), testing::Each(1));
  }
}

TEST(RateScheduleTest, FollowsTheFormulas) {
  RateSchedule schedule{.peak = 2, .last = 0.5, .warmup_steps = 4};
  EXPECT_EQ(schedule.RateAt(0, 100), 0.5);
  EXPECT_EQ(schedule.RateAt(3, 100), 2);
  EXPECT_EQ(schedule.RateAt(60, 100), 2);
  schedule.decay = RateSchedule::Decay::kLinear;
  EXPECT_EQ(schedule.RateAt(4, 100), 2);
  EXPECT_NEAR(schedule.RateAt(52, 100), 1.25, 1e-12);
  EXPECT_NEAR(schedule.RateAt(100, 100), 0.5, 1e-12);
  EXPECT_NEAR(schedule.RateAt(1000, 100), 0.5, 1e-12);
  schedule.decay = RateSchedule::Decay::kCosine;
  EXPECT_NEAR(schedule.RateAt(28, 100), 0.5 + 1.5 * (1 + std::sqrt(0.5)) / 2, 1e-12);
  schedule.decay = RateSchedule::Decay::kSteps;
  schedule.steps_per_drop = 10;
  EXPECT_NEAR(schedule.RateAt(13, 100), 2, 1e-12);
  EXPECT_NEAR(schedule.RateAt(24, 100), 0.02, 1e-12);
  const RateSchedule share{.peak = 1, .warmup_share = 0.1};
  EXPECT_NEAR(share.RateAt(4, 100), 0.5, 1e-12);
}

TEST(MovingAverageTest, FollowsTheFormulaAndSwaps) {
  ParameterSet parameters(TestDevice(), 3, DType::kFloat64);
  Parameter& w = parameters.Add("w", {1}, Initializer::Constant(1), false);
  MovingAverage average(parameters, 0.25);
  double expected = 1;
  for (int n = 1; n <= 5; ++n) {
    w.value().Fill(n);
    average.Update();
    const double decay = std::min(0.25, (1.0 + n) / (10.0 + n));
    expected = decay * expected + (1 - decay) * n;
  }
  {
    const AveragedScope averaged(&average);
    EXPECT_NEAR(w.value().Item(), expected, 1e-14);
  }
  EXPECT_EQ(w.value().Item(), 5);
  ByteWriter writer;
  average.Save(writer);
  MovingAverage resumed(parameters, 0.25);
  ByteReader reader(writer.bytes());
  ASSERT_TRUE(resumed.Load(reader).ok());
  resumed.Swap();
  EXPECT_NEAR(w.value().Item(), expected, 1e-14);
}

}  // namespace
}  // namespace trainyard::nn
