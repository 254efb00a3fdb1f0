// Reductions and changes of shape: gradients by central differences, values by loops.
#include <vector>

#include "core/nn/ops/arithmetic.h"
#include "core/nn/ops/reductions.h"
#include "core/nn/ops/shapes.h"
#include "core/nn/ops/softmax.h"
#include "core/nn/ops/unary.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/nn/nn_test_support.h"

namespace trainyard::nn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Inputs = std::span<const Variable>;

TEST(ReductionGradientTest, SumsMeansAndMaxima) {
  const std::vector<Tensor> x = {RandomTensor({2, 3, 4}, 1)};
  for (const KeepDims keep : {KeepDims::kNo, KeepDims::kYes}) {
    for (const std::vector<int>& axes :
         {std::vector{0}, std::vector{1}, std::vector{-1}, std::vector{0, 2}, std::vector{2, 1},
          std::vector{0, 1, 2}, std::vector<int>{}}) {
      SCOPED_TRACE(testing::PrintToString(axes));
      ExpectGradients([&](Inputs in) { return Sum(in[0], axes, keep); }, x);
      ExpectGradients([&](Inputs in) { return Mean(in[0], axes, keep); }, x);
      ExpectGradients([&](Inputs in) { return Max(in[0], axes, keep); }, x);
    }
  }
}

TEST(ReductionTest, Values) {
  const Variable x = DoubleTensor({2, 3}, {1, 5, 3, 4, 2, 9});
  EXPECT_THAT(Doubles(Sum(x, {0}).value()), ElementsAre(5, 7, 12));
  EXPECT_THAT(Doubles(Mean(x, {1}).value()), ElementsAre(3, 5));
  EXPECT_THAT(Doubles(Max(x, {-1}).value()), ElementsAre(5, 9));
  EXPECT_EQ(Max(x, {1}, KeepDims::kYes).shape(), (Shape{2, 1}));
  EXPECT_EQ(Sum(x).shape(), Shape{});
  EXPECT_EQ(Sum(x).value().Item(), 24);
}

TEST(ReductionTest, ElementsThatTieForTheMaximumShareItsGradient) {
  const Variable x = Variable::Leaf(DoubleTensor({4}, {2, 1, 2, 0}));
  Backward(Max(x, {0}), DoubleTensor({}, {6}));
  EXPECT_THAT(Doubles(x.grad()), ElementsAre(3, 0, 3, 0));
}

TEST(ReductionTest, RefusesAxesTwiceAndMeansOfNothing) {
  if (!TestDevice().is_host())
    GTEST_SKIP() << "refusals are the same on all devices, and indices read on the host";
  EXPECT_THAT(ErrorOf([] {
                Sum(RandomTensor({2, 3}, 1), {0, -2});
              }),
              HasSubstr("sum: axis 0 named twice"));
  EXPECT_THAT(ErrorOf([] { Mean(RandomTensor({0, 3}, 1), {0}); }), HasSubstr("no elements"));
  EXPECT_NE(ErrorOf([] { Sum(RandomTensor({2, 3}, 1), {2}); }), "");
}

TEST(ShapeGradientTest, Views) {
  const std::vector<Tensor> x = {RandomTensor({2, 3, 4}, 1)};
  ExpectGradients([](Inputs in) { return Square(Reshape(in[0], {4, -1})); }, x);
  ExpectGradients([](Inputs in) { return Square(Reshape(Transpose(in[0]), {8, 3})); }, x);
  ExpectGradients([](Inputs in) { return Square(Transpose(in[0], 0, 2)); }, x);
  ExpectGradients([](Inputs in) { return Square(Permute(in[0], {2, 0, 1})); }, x);
  ExpectGradients([](Inputs in) { return Square(Slice(in[0], 1, 1, 2)); }, x);
  ExpectGradients([](Inputs in) { return Square(Slice(in[0], 2, 0, 2)) * Slice(in[0], -1, 1, 2); },
                  x);
  ExpectGradients(
      [](Inputs in) {
        return Square(BroadcastTo(in[0], {3, 2, 4}));
      },
      {RandomTensor({2, 1}, 1)});
}

TEST(ShapeGradientTest, SplitAndConcatenate) {
  ExpectGradients(
      [](Inputs in) {
        const std::vector<Variable> parts = Split(in[0], 1, {1, 0, 3, 2});
        return Concatenate({parts[3], Square(parts[2]), parts[0], parts[3]}, -1);
      },
      {RandomTensor({3, 6}, 1)});
  ExpectGradients(
      [](Inputs in) {
        return Concatenate({in[0], Square(in[1]), in[0]}, 0);
      },
      {RandomTensor({2, 3}, 1), RandomTensor({1, 3}, 2)});
}

TEST(ShapeTest, RefusesPartsThatDoNotFit) {
  if (!TestDevice().is_host())
    GTEST_SKIP() << "refusals are the same on all devices, and indices read on the host";
  EXPECT_THAT(
      ErrorOf([] {
        Concatenate({RandomTensor({2, 3}, 1), RandomTensor({2, 4}, 2)}, 0);
      }),
      HasSubstr("concatenate: float64 [2, 3] on cpu and float64 [2, 4] on cpu along axis 0"));
  EXPECT_THAT(ErrorOf([] {
                Split(RandomTensor({4}, 1), 0, {1, 2});
              }),
              HasSubstr("split: lengths that sum to 3"));
  EXPECT_THAT(ErrorOf([] { Reshape(RandomTensor({4}, 1), {3}); }), HasSubstr("view"));
  EXPECT_THAT(ErrorOf([] { Slice(RandomTensor({4}, 1), 0, 2, 3); }), HasSubstr("slice"));
  EXPECT_THAT(ErrorOf([] { Permute(RandomTensor({4, 2}, 1), {0, 0}); }), HasSubstr("permute"));
  EXPECT_THAT(ErrorOf([] { Concatenate(std::span<const Variable>(), 0); }),
              HasSubstr("nothing to join"));
}

TEST(SoftmaxTest, Gradients) {
  const std::vector<Tensor> x = {RandomTensor({2, 3, 5}, 1)};
  ExpectGradients([](Inputs in) { return Softmax(in[0]); }, x);
  ExpectGradients([](Inputs in) { return LogSoftmax(in[0]); }, x);
}

TEST(SoftmaxTest, RowsSumToOneAndLogsAreLogs) {
  const Variable x = RandomTensor({4, 9}, 1);
  const std::vector<double> y = Doubles(Softmax(x).value());
  const std::vector<double> logs = Doubles(LogSoftmax(x).value());
  for (size_t row = 0; row < 4; ++row) {
    double sum = 0;
    for (size_t i = row * 9; i < (row + 1) * 9; ++i) {
      sum += y[i];
      EXPECT_NEAR(std::exp(logs[i]), y[i], 1e-14);
    }
    EXPECT_NEAR(sum, 1, 1e-14);
  }
}

}  // namespace
}  // namespace trainyard::nn
