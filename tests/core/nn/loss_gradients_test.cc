// Losses: gradients by central differences, values by their definitions.
#include <cmath>
#include <vector>

#include "core/nn/ops/arithmetic.h"
#include "core/nn/ops/cross_entropy.h"
#include "core/nn/ops/losses.h"
#include "core/nn/ops/matmul.h"
#include "core/tensor/cpu/cpu_device.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/nn/nn_test_support.h"

namespace trainyard::nn {
namespace {

using testing::HasSubstr;
using Inputs = std::span<const Variable>;

double NegativeLogLikelihood(std::span<const double> logits, int target) {
  double sum = 0;
  for (const double logit : logits) sum += std::exp(logit);
  return std::log(sum) - logits[static_cast<size_t>(target)];
}

TEST(CrossEntropyTest, IsTheNegativeLogLikelihood) {
  const Tensor logits = RandomTensor({3, 4}, 1);
  const std::vector<double> values = Doubles(logits);
  const double loss = CrossEntropy(logits, IntTensor({3}, {2, -1, 0}),
                                   {.weights = DoubleTensor({3}, {1, 5, 2}), .divisor = 3})
                          .value()
                          .Item();
  const std::span<const double> all(values);
  EXPECT_NEAR(loss,
              (NegativeLogLikelihood(all.subspan(0, 4), 2) +
               2 * NegativeLogLikelihood(all.subspan(8, 4), 0)) /
                  3,
              1e-13);
}

TEST(CrossEntropyTest, Gradients) {
  const Tensor targets = IntTensor({2, 3}, {2, -1, 0, 3, 3, 1});
  const Tensor weights = RandomTensor({2, 3}, 9, DType::kFloat64, 3);
  ExpectGradients([&](Inputs in) { return CrossEntropy(in[0], targets, {.divisor = 5}); },
                  {RandomTensor({2, 3, 4}, 1)});
  ExpectGradients([&](Inputs in) { return CrossEntropy(in[0], targets, {.weights = weights}) * 2; },
                  {RandomTensor({2, 3, 4}, 1)});
}

TEST(CrossEntropyTest, LeavesTheLogitsAlone) {
  const Tensor logits = RandomTensor({3, 4}, 1);
  const std::vector<double> before = Doubles(logits);
  CrossEntropy(Variable::Leaf(logits), IntTensor({3}, {2, 1, 0}));
  EXPECT_EQ(Doubles(logits), before);
}

TEST(CrossEntropyTest, RefusesTargetsOutsideAndWrongWeights) {
  if (!TestDevice().is_host())
    GTEST_SKIP() << "refusals are the same on all devices, and indices read on the host";
  const Tensor logits = RandomTensor({2, 4}, 1);
  EXPECT_THAT(ErrorOf([&] {
                CrossEntropy(logits, IntTensor({2}, {0, 4}));
              }),
              HasSubstr("cross_entropy: target 4 of row 1 is not in -1 to 3"));
  EXPECT_THAT(ErrorOf([&] {
                CrossEntropy(logits, IntTensor({3}, {0, 1, 2}));
              }),
              HasSubstr("expected 2 of int32"));
  EXPECT_THAT(ErrorOf([&] {
                CrossEntropy(logits, IntTensor({2}, {0, 1}), {.weights = DoubleTensor({1}, {1})});
              }),
              HasSubstr("cross_entropy: weights are"));
  EXPECT_THAT(ErrorOf([&] {
                CrossEntropy(logits, IntTensor({2}, {0, 1}), {.divisor = 0});
              }),
              HasSubstr("the divisor 0 is not above 0"));
}

TEST(LinearCrossEntropyTest, IsCrossEntropyOfTheProduct) {
  const Variable x = RandomTensor({2, 4, 3}, 1);
  const Variable table = RandomTensor({6, 3}, 2);
  const Variable bias = RandomTensor({6}, 3);
  const Tensor targets = IntTensor({8}, {0, 5, -1, 2, 2, 1, 4, 3});
  const double expected =
      CrossEntropy(Matmul(x, table, {.transpose_b = true}) + bias, targets, {.divisor = 7})
          .value()
          .Item();
  for (const int64_t slice : {1, 12, 18, 1000}) {
    EXPECT_NEAR(LinearCrossEntropy(x, table, bias, targets, {.divisor = 7}, slice).value().Item(),
                expected, 1e-13);
  }
}

TEST(LinearCrossEntropyTest, Gradients) {
  const Tensor targets = IntTensor({5}, {0, 3, -1, 2, 2});
  const Tensor weights = RandomTensor({5}, 9, DType::kFloat64, 3);
  for (const int64_t slice : {4, 8, 100}) {
    ExpectGradients(
        [&](Inputs in) {
          return LinearCrossEntropy(in[0], in[1], in[2], targets,
                                    {.weights = weights, .divisor = 4}, slice) *
                 3;
        },
        {RandomTensor({5, 3}, 1), RandomTensor({4, 3}, 2), RandomTensor({4}, 3)});
  }
  ExpectGradients(
      [&](Inputs in) { return LinearCrossEntropy(in[0], in[1], Variable(), targets, {}, 8); },
      {RandomTensor({5, 3}, 1), RandomTensor({4, 3}, 2)});
}

TEST(LinearCrossEntropyTest, HoldsLogitsOfASliceOnly) {
  CpuDevice device(1);
  const Variable x = Variable::Leaf(RandomTensor({2048, 8}, 1, DType::kFloat32, 0, device));
  const Variable table = Variable::Leaf(RandomTensor({4096, 8}, 2, DType::kFloat32, 0, device));
  const Tensor targets = Tensor::Zeros(device, {2048}, DType::kInt32);
  device.memory().ResetPeak();
  const size_t before = device.memory().statistics().live_bytes;
  Backward(LinearCrossEntropy(x, table, Variable(), targets, {.divisor = 2048}, 64 * 4096));
  // Logits of all rows would be 32 MiB; those of a slice are 1 MiB.
  EXPECT_LT(device.memory().statistics().peak_live_bytes - before, size_t{4} << 20);
}

TEST(LossTest, Gradients) {
  const std::vector<Tensor> pair = {RandomTensor({2, 3}, 1), RandomTensor({2, 3}, 2)};
  const Tensor weights = RandomTensor({3}, 3, DType::kFloat64, 3);
  ExpectGradients([](Inputs in) { return SquaredError(in[0], in[1]); }, pair);
  ExpectGradients(
      [&](Inputs in) { return SquaredError(in[0], in[1], {.weights = weights, .divisor = 4}); },
      pair);
  ExpectGradients([](Inputs in) { return AbsoluteError(in[0], in[1]); }, pair);
  ExpectGradients([](Inputs in) { return BinaryCrossEntropy(in[0], in[1]); }, pair);
  const std::vector<double> levels = {0.1, 0.5, 0.9};
  ExpectGradients([&](Inputs in) { return PinballLoss(in[0], in[1], levels); },
                  {RandomTensor({2, 4, 3}, 1), RandomTensor({2, 4}, 2)});
  ExpectGradients([&](Inputs in) { return PinballLoss(in[0], in[1], levels); },
                  {RandomTensor({4, 3}, 1), RandomTensor({4, 1}, 2)});
}

TEST(LossTest, Values) {
  const Variable x = DoubleTensor({2}, {1, -2});
  const Variable t = DoubleTensor({2}, {3, -3});
  EXPECT_NEAR(SquaredError(x, t).value().Item(), (4 + 1) / 2.0, 1e-15);
  EXPECT_NEAR(AbsoluteError(x, t, {.divisor = 1}).value().Item(), 3, 1e-15);
  const std::vector<double> levels = {0.2, 0.7};
  const Variable quantiles = DoubleTensor({1, 2}, {1, 5});
  const Variable target = DoubleTensor({1}, {3});
  EXPECT_NEAR(PinballLoss(quantiles, target, levels).value().Item(), (0.2 * 2 + 0.3 * 2) / 2,
              1e-15);
}

TEST(LossTest, BinaryCrossEntropyIsAccurateForLargeLogits) {
  const Variable logits = DoubleTensor({4}, {50, -50, 800, -800});
  const Variable targets = DoubleTensor({4}, {1, 0, 0, 1});
  const double loss = BinaryCrossEntropy(logits, targets, {.divisor = 1}).value().Item();
  EXPECT_NEAR(loss, 1600 + 2 * std::log1p(std::exp(-50.0)), 1e-10);
  const Variable easy = DoubleTensor({1}, {40});
  const Variable one = DoubleTensor({1}, {1});
  EXPECT_NEAR(BinaryCrossEntropy(easy, one).value().Item() / std::exp(-40.0), 1, 1e-12);
}

TEST(LossTest, RefusesWhatDoesNotFit) {
  if (!TestDevice().is_host())
    GTEST_SKIP() << "refusals are the same on all devices, and indices read on the host";
  EXPECT_THAT(ErrorOf([] {
                SquaredError(RandomTensor({2}, 1), RandomTensor({2}, 2),
                             {.weights = RandomTensor({3, 2}, 3)});
              }),
              HasSubstr("loss: weights of shape [3, 2] for predictions of shape [2]"));
  EXPECT_THAT(ErrorOf([] {
                SquaredError(RandomTensor({2}, 1), RandomTensor({3, 2}, 2));
              }),
              HasSubstr("squared_error: targets of shape [3, 2] for predictions of shape [2]"));
  const std::vector<double> levels = {0.5, 1};
  EXPECT_THAT(ErrorOf([&] {
                PinballLoss(RandomTensor({4, 2}, 1), RandomTensor({4}, 2), levels);
              }),
              HasSubstr("pinball: the level 1 is not in (0, 1)"));
  EXPECT_THAT(ErrorOf([&] {
                PinballLoss(RandomTensor({4, 3}, 1), RandomTensor({4}, 2), levels);
              }),
              HasSubstr("pinball: 2 levels"));
}

}  // namespace
}  // namespace trainyard::nn
