// Recomputation: reference is the same computation without it, bit for bit.
#include "core/nn/checkpoint.h"

#include <vector>

#include "core/nn/ops/arithmetic.h"
#include "core/nn/ops/dropout.h"
#include "core/nn/ops/matmul.h"
#include "core/nn/ops/reductions.h"
#include "core/nn/ops/unary.h"
#include "core/tensor/cpu/cpu_device.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/nn/nn_test_support.h"

namespace trainyard::nn {
namespace {

struct Network {
  Variable first = Variable::Leaf(RandomTensor({6, 6}, 1));
  Variable second = Variable::Leaf(RandomTensor({6, 6}, 2));
  RandomSource random{5};

  Variable Block(const Variable& x, const Variable& w) {
    return Dropout(Tanh(LinearProduct(x, w, Variable())), 0.3, &random) + x;
  }
  std::vector<std::vector<double>> Gradients(const Variable& x) const {
    return {Doubles(first.grad()), Doubles(second.grad()),
            x.requires_grad() ? Doubles(x.grad()) : std::vector<double>()};
  }
};

enum class Use { kPlain, kEachBlock, kNested };

std::vector<std::vector<double>> Train(Use use, bool needs_input) {
  Network net;
  const Variable x =
      needs_input ? Variable::Leaf(RandomTensor({4, 6}, 3)) : Variable(RandomTensor({4, 6}, 3));
  const auto first = [&](const Variable& in) {
    const auto block = [&](std::span<const Variable> v) { return net.Block(v[0], net.first); };
    return use == Use::kPlain ? net.Block(in, net.first) : Checkpoint(block, in, &net.random);
  };
  const auto second = [&](const Variable& in) {
    const auto block = [&](std::span<const Variable> v) { return net.Block(v[0], net.second); };
    return use == Use::kPlain ? net.Block(in, net.second) : Checkpoint(block, in, &net.random);
  };
  const auto both = [&](std::span<const Variable> v) { return second(first(v[0])); };
  const Variable y = use == Use::kNested ? Checkpoint(both, x, &net.random)
                                         : both(std::span<const Variable>(&x, 1));
  Backward(Mean(Square(Dropout(y, 0.5, &net.random))));
  std::vector<std::vector<double>> result = net.Gradients(x);
  // Numbers drawn afterwards go on as if nothing was computed twice.
  result.push_back({static_cast<double>(net.random.next_stream())});
  return result;
}

TEST(CheckpointTest, GivesTheGradientsOfThePlainComputationWithDropout) {
  for (const bool needs_input : {false, true}) {
    const auto expected = Train(Use::kPlain, needs_input);
    EXPECT_EQ(Train(Use::kEachBlock, needs_input), expected);
    EXPECT_EQ(Train(Use::kNested, needs_input), expected);
  }
}

TEST(CheckpointTest, GradientsAreThoseOfDifferences) {
  ExpectGradients(
      [](std::span<const Variable> in) {
        return Checkpoint([](std::span<const Variable> v) { return Square(v[0]) * v[1] + v[0]; },
                          in);
      },
      {RandomTensor({3, 2}, 1), RandomTensor({3, 2}, 2)});
}

TEST(CheckpointTest, AFunctionMayGiveItsInputOrAConstant) {
  const Variable x = Variable::Leaf(DoubleTensor({2}, {1, 2}));
  const auto same = [](std::span<const Variable> v) { return v[0]; };
  const auto constant = [](std::span<const Variable>) {
    return Variable(DoubleTensor({2}, {1, 1}));
  };
  Backward(Checkpoint(same, x) * 3 + Checkpoint(constant, x), DoubleTensor({2}, {1, 1}));
  EXPECT_THAT(Doubles(x.grad()), testing::ElementsAre(3, 3));
}

TEST(CheckpointTest, KeepsNoActivations) {
  CpuDevice device(1);
  const Variable w = Variable::Leaf(RandomTensor({64, 64}, 1, DType::kFloat32, 0, device));
  const Variable x = RandomTensor({512, 64}, 2, DType::kFloat32, 0, device);
  const auto block = [&](std::span<const Variable> v) {
    Variable y = v[0];
    for (int i = 0; i < 8; ++i) y = Tanh(LinearProduct(y, w, Variable()));
    return y;
  };
  const auto live_after_forward = [&](bool recomputed) {
    const Variable y = recomputed ? Checkpoint(block, x) : block(std::span<const Variable>(&x, 1));
    const size_t live = device.memory().statistics().live_bytes;
    Backward(Mean(y));
    return live;
  };
  const size_t one_activation = size_t{512} * 64 * sizeof(float);
  EXPECT_GT(live_after_forward(false), live_after_forward(true) + 6 * one_activation);
}

TEST(CheckpointTest, ChainsOfThousandsNeedNoStack) {
  const int64_t nodes = LiveNodes();
  const Variable x = Variable::Leaf(DoubleTensor({1}, {1}));
  const auto block = [](std::span<const Variable> v) { return v[0] * 1.0; };
  {
    Variable y = x;
    for (int i = 0; i < 30000; ++i) y = Checkpoint(block, y);
  }
  EXPECT_EQ(LiveNodes(), nodes + 1);
  Variable y = x;
  for (int i = 0; i < 30000; ++i) y = Checkpoint(block, y);
  Backward(y);
  EXPECT_THAT(Doubles(x.grad()), testing::ElementsAre(1));
}

TEST(CheckpointTest, WithoutGradientsItIsTheFunction) {
  const NoGradScope no_grad;
  int calls = 0;
  const auto block = [&](std::span<const Variable> v) {
    ++calls;
    return v[0];
  };
  EXPECT_FALSE(Checkpoint(block, Variable::Leaf(DoubleTensor({1}, {1}))).requires_grad() &&
               calls != 1);
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace trainyard::nn
