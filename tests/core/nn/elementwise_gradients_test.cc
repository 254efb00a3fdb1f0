// Operations on elements: gradients by central differences, values by the standard library.
#include <cmath>
#include <functional>
#include <vector>

#include "core/nn/ops/arithmetic.h"
#include "core/nn/ops/gradient_flow.h"
#include "core/nn/ops/unary.h"
#include "core/tensor/kernels/elementwise_kernels.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/nn/nn_test_support.h"

namespace trainyard::nn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Inputs = std::span<const Variable>;

// Pairs of shapes that broadcast.
std::vector<std::vector<Tensor>> Pairs(double shift) {
  const auto pair = [shift](const Shape& a, const Shape& b) {
    return std::vector{RandomTensor(a, 1), RandomTensor(b, 2, DType::kFloat64, shift)};
  };
  return {pair({3, 4}, {3, 4}), pair({2, 3, 4}, {4}),    pair({4}, {2, 3, 4}),
          pair({3, 1}, {1, 4}), pair({2, 1, 3}, {5, 1}), pair({3, 4}, {1})};
}

void ExpectPairGradients(Variable (*operation)(const Variable&, const Variable&),
                         double shift = 0) {
  for (const std::vector<Tensor>& pair : Pairs(shift)) {
    SCOPED_TRACE(pair[0].Description() + " and " + pair[1].Description());
    ExpectGradients([operation](Inputs x) { return operation(x[0], x[1]); }, pair);
  }
}

TEST(ArithmeticGradientTest, Add) { ExpectPairGradients(Add); }
TEST(ArithmeticGradientTest, Subtract) { ExpectPairGradients(Subtract); }
TEST(ArithmeticGradientTest, Multiply) { ExpectPairGradients(Multiply); }
TEST(ArithmeticGradientTest, Divide) { ExpectPairGradients(Divide, /*shift=*/6); }
TEST(ArithmeticGradientTest, Maximum) { ExpectPairGradients(Maximum); }
TEST(ArithmeticGradientTest, Minimum) { ExpectPairGradients(Minimum); }

TEST(ArithmeticGradientTest, ScalarsBroadcast) {
  ExpectGradients([](Inputs x) { return x[0] * x[1]; },
                  {RandomTensor({3, 2}, 1), RandomTensor(Shape{}, 2)});
}

TEST(ArithmeticGradientTest, NumbersAndSigns) {
  ExpectGradients([](Inputs x) { return 2 - (3 * x[0] - 1) / 4 + (-x[0]) * x[0]; },
                  {RandomTensor({3, 2}, 1)});
}

TEST(ArithmeticGradientTest, TheFirstInputHasTheGradientOfATie) {
  const Variable a = Variable::Leaf(DoubleTensor({2}, {1, 2}));
  const Variable b = Variable::Leaf(DoubleTensor({2}, {1, 3}));
  Backward(Maximum(a, b), DoubleTensor({2}, {5, 7}));
  EXPECT_THAT(Doubles(a.grad()), ElementsAre(5, 0));
  EXPECT_THAT(Doubles(b.grad()), ElementsAre(0, 7));
}

TEST(ArithmeticTest, RefusesShapesThatDoNotBroadcast) {
  if (!TestDevice().is_host())
    GTEST_SKIP() << "refusals are the same on all devices, and indices read on the host";
  EXPECT_THAT(ErrorOf([] {
                Add(RandomTensor({2, 3}, 1), RandomTensor({2}, 2));
              }),
              testing::AllOf(HasSubstr("add"), HasSubstr("[2, 3]"), HasSubstr("[2]")));
  EXPECT_THAT(
      ErrorOf([] { Multiply(RandomTensor({2}, 1), RandomTensor({2}, 2, DType::kFloat32)); }),
      HasSubstr("multiply: float64 [2] on cpu and float32 [2] on cpu"));
  EXPECT_THAT(ErrorOf([] { Add(Variable(), RandomTensor({2}, 2)); }), HasSubstr("add: no tensor"));
}

struct UnaryCase {
  UnaryOp op;
  std::function<double(double)> reference;
  bool positive = false;
};

std::vector<UnaryCase> UnaryCases() {
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  return {
      {UnaryOp::kNegate, [](double x) { return -x; }},
      {UnaryOp::kAbs, [](double x) { return std::abs(x); }},
      {UnaryOp::kSquare, [](double x) { return x * x; }},
      {UnaryOp::kSqrt, [](double x) { return std::sqrt(x); }, true},
      {UnaryOp::kReciprocal, [](double x) { return 1 / x; }, true},
      {UnaryOp::kExp, [](double x) { return std::exp(x); }},
      {UnaryOp::kLog, [](double x) { return std::log(x); }, true},
      {UnaryOp::kSigmoid, sigmoid},
      {UnaryOp::kTanh, [](double x) { return std::tanh(x); }},
      {UnaryOp::kSoftplus, [](double x) { return std::log1p(std::exp(x)); }},
      {UnaryOp::kRelu, [](double x) { return std::max(x, 0.0); }},
      {UnaryOp::kSquaredRelu, [](double x) { return x > 0 ? x * x : 0; }},
      {UnaryOp::kSilu, [sigmoid](double x) { return x * sigmoid(x); }},
      {UnaryOp::kGelu, [](double x) { return x * 0.5 * std::erfc(-x / std::sqrt(2.0)); }},
      {UnaryOp::kSin, [](double x) { return std::sin(x); }},
      {UnaryOp::kCos, [](double x) { return std::cos(x); }},
  };
}

TEST(UnaryTest, ValuesAreThoseOfTheStandardLibrary) {
  for (const UnaryCase& unary : UnaryCases()) {
    SCOPED_TRACE(static_cast<int>(unary.op));
    const Tensor x = RandomTensor({5, 7}, 1, DType::kFloat64, unary.positive ? 6 : 0);
    const std::vector<double> values = Doubles(x);
    const std::vector<double> y = Doubles(Apply(unary.op, x).value());
    for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], unary.reference(values[i]), 1e-13);
  }
}

TEST(UnaryTest, Gradients) {
  for (const UnaryCase& unary : UnaryCases()) {
    SCOPED_TRACE(static_cast<int>(unary.op));
    ExpectGradients([&](Inputs x) { return Apply(unary.op, x[0]); },
                    {RandomTensor({3, 4}, 3, DType::kFloat64, unary.positive ? 6 : 0)});
  }
}

constexpr Activation kActivations[] = {
    Activation::kNone, Activation::kRelu,    Activation::kSquaredRelu, Activation::kSilu,
    Activation::kGelu, Activation::kSigmoid, Activation::kTanh};

TEST(BiasActivationTest, Gradients) {
  for (const Activation activation : kActivations) {
    SCOPED_TRACE(static_cast<int>(activation));
    ExpectGradients([&](Inputs x) { return BiasActivation(x[0], x[1], activation); },
                    {RandomTensor({2, 3, 4}, 1), RandomTensor({4}, 2)});
    ExpectGradients([&](Inputs x) { return BiasActivation(x[0], Variable(), activation); },
                    {RandomTensor({3, 4}, 1)});
  }
}

TEST(BiasActivationTest, RefusesABiasOfAnotherWidth) {
  if (!TestDevice().is_host())
    GTEST_SKIP() << "refusals are the same on all devices, and indices read on the host";
  EXPECT_THAT(ErrorOf([] {
                BiasActivation(RandomTensor({2, 3}, 1), RandomTensor({2}, 2), Activation::kRelu);
              }),
              HasSubstr("bias_activation: bias is float64 [2] on cpu; expected [3]"));
}

TEST(GateTest, Gradients) {
  for (const Activation activation : kActivations) {
    SCOPED_TRACE(static_cast<int>(activation));
    ExpectGradients([&](Inputs x) { return Gate(activation, x[0], x[1]); },
                    {RandomTensor({2, 3, 4}, 1), RandomTensor({2, 3, 4}, 2)});
    // One input as both.
    ExpectGradients([&](Inputs x) { return Gate(activation, x[0], x[0]); },
                    {RandomTensor({3, 4}, 1)});
  }
}

TEST(GradientFlowTest, AReversedGradientIsNegatedAndScaled) {
  const Variable x = Variable::Leaf(DoubleTensor({2}, {1, 2}));
  const Variable y = ReverseGradient(x, 0.5);
  EXPECT_THAT(Doubles(y.value()), ElementsAre(1, 2));
  Backward(Square(y) + x, DoubleTensor({2}, {1, 1}));
  EXPECT_THAT(Doubles(x.grad()), ElementsAre(1 - 0.5 * 2, 1 - 0.5 * 4));
}

}  // namespace
}  // namespace trainyard::nn
