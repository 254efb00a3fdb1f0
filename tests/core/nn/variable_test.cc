// The graph itself: reference are derivatives that are known in closed form.
#include "core/nn/variable.h"

#include <vector>

#include "core/nn/ops/arithmetic.h"
#include "core/nn/ops/matmul.h"
#include "core/nn/ops/reductions.h"
#include "core/nn/ops/shapes.h"
#include "core/nn/ops/unary.h"
#include "core/nn/recorder.h"
#include "core/tensor/cpu/cpu_device.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/nn/nn_test_support.h"

namespace trainyard::nn {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

Variable LeafOf(std::initializer_list<double> values) {
  return Variable::Leaf(DoubleTensor({static_cast<int64_t>(values.size())}, values));
}

TEST(VariableTest, AnInputThatIsUsedTwiceGetsTheSumOfBothGradients) {
  const Variable x = LeafOf({1, 2, 3});
  Backward(Sum(x + x));
  EXPECT_THAT(Doubles(x.grad()), ElementsAre(2, 2, 2));
}

TEST(VariableTest, AResidualPathDoesNotChangeTheGradientOfTheOther) {
  const Variable x = LeafOf({1, 2, 3});
  const Variable y = Affine(x, 5);
  // y's gradient is taken over by both inputs of the sum; adding to one must not change the other.
  const Variable sum = y + Square(y);
  Backward(Sum(sum + y));
  EXPECT_THAT(Doubles(x.grad()), ElementsAre(5 * (2 + 10), 5 * (2 + 20), 5 * (2 + 30)));
}

TEST(VariableTest, ASeedThatTheCallerHoldsIsNotChanged) {
  const Variable x = LeafOf({1, 2});
  const Tensor seed = DoubleTensor({2}, {1, 1});
  const Variable y = Affine(x, 1);
  Backward(y + y + y, seed);
  EXPECT_THAT(Doubles(seed), ElementsAre(1, 1));
  EXPECT_THAT(Doubles(x.grad()), ElementsAre(3, 3));
}

TEST(VariableTest, PartsOfASplitThatNobodyUsesHaveZeroGradients) {
  const Variable x = LeafOf({1, 2, 3, 4});
  const std::vector<Variable> parts = Split(x, 0, {1, 2, 1});
  Backward(Sum(Square(parts[1])));
  EXPECT_THAT(Doubles(x.grad()), ElementsAre(0, 4, 6, 0));
}

TEST(VariableTest, PartsOfASplitMayBeUsedTwice) {
  const Variable x = LeafOf({1, 2, 3});
  const std::vector<Variable> parts = Split(x, 0, {2, 1});
  Backward(Sum(Square(parts[0])) + Sum(Affine(parts[0], 3)) + Sum(parts[1]));
  EXPECT_THAT(Doubles(x.grad()), ElementsAre(2 + 3, 4 + 3, 1));
}

TEST(VariableTest, GradientsAddUpUntilTheyAreCleared) {
  const Variable x = LeafOf({1, 2});
  Backward(Sum(Square(x)));
  Backward(Sum(Square(x)));
  EXPECT_THAT(Doubles(x.grad()), ElementsAre(4, 8));
  x.ClearGradient();
  EXPECT_FALSE(x.grad().defined());
  Backward(Sum(Square(x)));
  EXPECT_THAT(Doubles(x.grad()), ElementsAre(2, 4));
  x.ReleaseGradient();
  EXPECT_THAT(Doubles(x.GradientOrZeros()), ElementsAre(0, 0));
}

TEST(VariableTest, ASecondPassThroughAComputationThrows) {
  const Variable x = LeafOf({1, 2});
  const Variable inner = Square(x);
  const Variable loss = Sum(inner);
  Backward(loss);
  EXPECT_THAT(ErrorOf([&] { Backward(loss); }), HasSubstr("differentiated before"));
  // Also where only a part was used up; nothing is added then.
  const Variable other = Sum(inner * Square(x));
  EXPECT_THAT(ErrorOf([&] { Backward(other); }), HasSubstr("the computation of unary was"));
}

TEST(VariableTest, ALossWithoutLeavesThrows) {
  const Variable x = DoubleTensor({2}, {1, 2});
  EXPECT_THAT(ErrorOf([&] { Backward(Sum(x)); }), HasSubstr("depends on no leaf"));
}

TEST(VariableTest, ASeedOfAnotherShapeThrows) {
  const Variable x = LeafOf({1, 2});
  EXPECT_THAT(ErrorOf([&] {
                Backward(Square(x), DoubleTensor({3}, {1, 1, 1}));
              }),
              HasSubstr("a seed of shape [3] for a loss of shape [2]"));
}

TEST(VariableTest, IntegersAreNoLeaves) {
  EXPECT_THAT(ErrorOf([] { Variable::Leaf(IntTensor({1}, {1})); }), HasSubstr("leaf: int32"));
}

TEST(VariableTest, NothingIsRecordedWithoutGradients) {
  const int64_t nodes = LiveNodes();
  const Variable x = LeafOf({1, 2});
  {
    const NoGradScope no_grad;
    const Variable y = Square(x) + x;
    EXPECT_FALSE(y.requires_grad());
    EXPECT_EQ(LiveNodes(), nodes + 1);
    const GradScope grad;
    EXPECT_TRUE(Square(x).requires_grad());
  }
  EXPECT_TRUE(GradientsEnabled());
}

TEST(VariableTest, ADetachedValueEndsThePass) {
  const Variable x = LeafOf({3});
  Backward(Sum(Square(x).Detached() * x));
  EXPECT_THAT(Doubles(x.grad()), ElementsAre(9));
}

TEST(VariableTest, LongChainsNeedNoStack) {
  const int64_t nodes = LiveNodes();
  const Variable x = LeafOf({1});
  {
    Variable y = x;
    for (int i = 0; i < 100000; ++i) y = Affine(y, 1, 1e-5);
    EXPECT_EQ(LiveNodes(), nodes + 100001);
    Backward(Sum(y));
    EXPECT_THAT(Doubles(x.grad()), ElementsAre(1));
  }
  {
    // Dropped without a pass.
    Variable y = x;
    for (int i = 0; i < 100000; ++i) y = y + x;
  }
  EXPECT_EQ(LiveNodes(), nodes + 1);
}

TEST(VariableTest, MemoryIsFlatOverThousandsOfSteps) {
  CpuDevice device(1);
  const int64_t nodes = LiveNodes();
  const Variable w = Variable::Leaf(RandomTensor({16, 16}, 1, DType::kFloat32, 0, device));
  const Variable x = RandomTensor({8, 16}, 2, DType::kFloat32, 0, device);
  const auto step = [&] {
    w.ClearGradient();
    const std::vector<Variable> parts = Split(LinearProduct(x, w, Variable()), -1, {8, 8});
    Backward(Mean(Square(parts[0] * parts[1]) + parts[0]));
  };
  for (int i = 0; i < 3; ++i) step();
  const MemoryStatistics before = device.memory().statistics();
  device.memory().ResetPeak();
  for (int i = 0; i < 10000; ++i) step();
  const MemoryStatistics after = device.memory().statistics();
  EXPECT_EQ(after.live_bytes, before.live_bytes);
  EXPECT_EQ(after.peak_live_bytes, before.peak_live_bytes);
  EXPECT_EQ(after.reserved_bytes, before.reserved_bytes);
  EXPECT_EQ(LiveNodes(), nodes + 1);
}

TEST(VariableTest, MemoryThatRunsOutLeavesNoLeak) {
  CpuDevice device(1, size_t{8} << 20);
  const int64_t nodes = LiveNodes();
  const Variable w = Variable::Leaf(RandomTensor({256, 256}, 1, DType::kFloat32, 0, device));
  const size_t live = device.memory().statistics().live_bytes;
  bool in_backward = false;
  const auto run = [&](int layers) {
    in_backward = false;
    Variable y = RandomTensor({256, 256}, 2, DType::kFloat32, 0, device);
    for (int i = 0; i < layers; ++i) y = Tanh(LinearProduct(y, w, Variable()));
    in_backward = true;
    Backward(Mean(y));
  };
  bool failed_forward = false;
  bool failed_backward = false;
  for (int layers = 1; layers < 40; ++layers) {
    const std::string error = ErrorOf([&] { run(layers); });
    if (!error.empty()) (in_backward ? failed_backward : failed_forward) = true;
    w.ReleaseGradient();
    EXPECT_EQ(device.memory().statistics().live_bytes, live) << layers;
    EXPECT_EQ(LiveNodes(), nodes + 1) << layers;
  }
  EXPECT_TRUE(failed_forward);
  EXPECT_TRUE(failed_backward);
  run(1);
  EXPECT_TRUE(w.grad().defined());
}

}  // namespace
}  // namespace trainyard::nn
