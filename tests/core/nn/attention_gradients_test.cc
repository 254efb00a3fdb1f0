// Attention and positions: gradients by central differences, values by products and softmax.
#include <cmath>
#include <vector>

#include "core/nn/ops/arithmetic.h"
#include "core/nn/ops/attention.h"
#include "core/nn/ops/matmul.h"
#include "core/nn/ops/positions.h"
#include "core/nn/ops/shapes.h"
#include "core/nn/ops/softmax.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/nn/nn_test_support.h"

namespace trainyard::nn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Inputs = std::span<const Variable>;

Tensor Mask(const Shape& shape, std::initializer_list<uint8_t> values) {
  return Tensor::FromValues(TestDevice(), shape,
                            std::span<const uint8_t>(values.begin(), values.size()));
}

TEST(AttentionTest, Gradients) {
  const auto check = [](const AttentionOptions& options, int64_t n, int64_t m) {
    ExpectGradients(
        [&](Inputs in) { return Attention(in[0], in[1], in[2], options); },
        {RandomTensor({2, n, 4}, 1), RandomTensor({2, m, 4}, 2), RandomTensor({2, m, 6}, 3)});
  };
  check({.heads = 1}, 3, 3);
  check({.heads = 2}, 3, 5);
  check({.heads = 2, .scale = 0.3, .causal = true}, 4, 4);
  check({.heads = 2, .causal = true}, 3, 5);
  check({.heads = 2, .key_mask = Mask({2, 4}, {1, 0, 1, 1, 0, 0, 0, 0})}, 3, 4);
  check({.heads = 1,
         .query_segments = IntTensor({2, 3}, {0, 0, 1, 0, 1, 1}),
         .key_segments = IntTensor({2, 3}, {0, 1, 1, 1, 1, 2})},
        3, 3);
}

TEST(AttentionTest, OneTensorAsQueriesKeysAndValues) {
  ExpectGradients([](Inputs in) { return Attention(in[0], in[0], in[0], {.heads = 2}); },
                  {RandomTensor({2, 3, 4}, 1)});
}

TEST(AttentionTest, IsSoftmaxOfProducts) {
  const Variable q = RandomTensor({2, 3, 4}, 1);
  const Variable k = RandomTensor({2, 5, 4}, 2);
  const Variable v = RandomTensor({2, 5, 6}, 3);
  const std::vector<double> y = Doubles(Attention(q, k, v, {.heads = 1}).value());
  const Variable scores = Matmul(q, k, {.transpose_b = true, .scale = 0.5});
  const std::vector<double> expected = Doubles(Matmul(Softmax(scores), v).value());
  for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], expected[i], 1e-12);
}

TEST(AttentionTest, RefusesWhatDoesNotFit) {
  if (!TestDevice().is_host())
    GTEST_SKIP() << "refusals are the same on all devices, and indices read on the host";
  const Variable x = RandomTensor({2, 3, 4}, 1);
  EXPECT_THAT(ErrorOf([&] { Attention(x, x, x, {.heads = 3}); }),
              HasSubstr("attention: 3 heads do not divide"));
  EXPECT_THAT(ErrorOf([&] {
                Attention(x, RandomTensor({2, 3, 5}, 2), x, {.heads = 1});
              }),
              HasSubstr("attention: k is"));
  EXPECT_THAT(ErrorOf([&] {
                Attention(x, x, x, {.heads = 1, .key_mask = IntTensor({2, 3}, {1, 1, 1, 1, 1, 1})});
              }),
              HasSubstr("expected uint8"));
  EXPECT_THAT(
      ErrorOf([&] {
        Attention(x, x, x, {.heads = 1, .key_segments = IntTensor({2, 3}, {1, 1, 1, 1, 1, 1})});
      }),
      HasSubstr("go together"));
}

void ExpectMixedChunkGradients(const MixedChunkOptions& options, int64_t n, bool gate, bool bias) {
  std::vector<Tensor> inputs;
  for (uint64_t i = 0; i < 4; ++i) inputs.push_back(RandomTensor({2, n, 4}, i + 1));
  inputs.push_back(RandomTensor({2, n, 3}, 5));
  inputs.push_back(RandomTensor({2, n, 3}, 6));
  inputs.push_back(RandomTensor({options.chunk, options.chunk}, 7));
  ExpectGradients(
      [&](Inputs in) {
        return MixedChunkAttention({in[0], in[1], in[2], in[3]}, in[4], gate ? in[5] : Variable(),
                                   bias ? in[6] : Variable(), options);
      },
      inputs);
}

TEST(MixedChunkAttentionTest, Gradients) {
  ExpectMixedChunkGradients({.chunk = 2, .causal = true, .scale_qk = 0.5, .scale_a = 0.7}, 5, true,
                            true);
  ExpectMixedChunkGradients({.chunk = 2, .causal = false, .mean_over_chunks = false}, 4, false,
                            true);
  ExpectMixedChunkGradients({.chunk = 3, .causal = true, .recompute = true}, 5, true, false);
  ExpectMixedChunkGradients({.chunk = 4, .causal = true, .global = false}, 4, true, true);
  ExpectMixedChunkGradients(
      {.chunk = 2, .causal = true, .segments = IntTensor({2, 5}, {0, 0, 1, 1, -1, 0, 1, 1, 2, 2})},
      5, true, true);
}

TEST(MixedChunkAttentionTest, RefusesWhatDoesNotFit) {
  if (!TestDevice().is_host())
    GTEST_SKIP() << "refusals are the same on all devices, and indices read on the host";
  const Variable x = RandomTensor({2, 4, 4}, 1);
  const Variable v = RandomTensor({2, 4, 3}, 2);
  EXPECT_THAT(
      ErrorOf([&] {
        MixedChunkAttention({x, x, x, x}, v, Variable(), RandomTensor({3, 3}, 3), {.chunk = 2});
      }),
      HasSubstr("mixed_chunk_attention: bias is float64 [3, 3] on cpu; expected [2, 2]"));
  EXPECT_THAT(ErrorOf([&] {
                MixedChunkAttention({x, x, x, x}, v, x, Variable(), {.chunk = 2});
              }),
              HasSubstr("mixed_chunk_attention: gate"));
  EXPECT_THAT(ErrorOf([&] {
                MixedChunkAttention({x, x, x, x}, v, v, Variable(), {.chunk = 0});
              }),
              HasSubstr("chunks of 0 rows"));
}

TEST(RotaryTest, Gradients) {
  const Tensor positions = IntTensor({2, 3}, {4, 0, 2, 7, 7, 1});
  for (const RotaryPairing pairing : {RotaryPairing::kHalves, RotaryPairing::kNeighbors}) {
    ExpectGradients([&](Inputs in) { return Rotary(in[0], {.heads = 2, .pairing = pairing}); },
                    {RandomTensor({2, 3, 8}, 1)});
    ExpectGradients(
        [&](Inputs in) {
          return Rotary(in[0], {.positions = positions, .base = 100, .pairing = pairing});
        },
        {RandomTensor({2, 3, 4}, 1)});
  }
}

TEST(RotaryTest, ProductsDependOnDistancesAlone) {
  const Variable q = RandomTensor({1, 1, 8}, 1);
  const Variable k = RandomTensor({1, 1, 8}, 2);
  const auto score = [&](int64_t query_at, int64_t key_at) {
    return Matmul(Rotary(q, {.first = query_at}), Rotary(k, {.first = key_at}),
                  {.transpose_b = true})
        .value()
        .Item();
  };
  EXPECT_NEAR(score(5, 2), score(103, 100), 1e-12);
  EXPECT_GT(std::abs(score(5, 2) - score(6, 2)), 1e-6);
}

TEST(RotaryTest, RefusesOddHeads) {
  if (!TestDevice().is_host())
    GTEST_SKIP() << "refusals are the same on all devices, and indices read on the host";
  EXPECT_THAT(ErrorOf([] {
                Rotary(RandomTensor({1, 2, 6}, 1), {.heads = 2});
              }),
              HasSubstr("rotary: 2 heads of even size do not make"));
}

TEST(SinusoidTest, IsSineAndCosineOfPositions) {
  const std::vector<double> s = Doubles(Sinusoid(TestDevice(), 3, 4, DType::kFloat64, 2, 100));
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 2; ++j) {
      const double angle = (2 + i) * std::pow(100, -j / 2.0);
      EXPECT_NEAR(s[i * 4 + j], std::sin(angle), 1e-12);
      EXPECT_NEAR(s[i * 4 + 2 + j], std::cos(angle), 1e-12);
    }
  }
  EXPECT_THAT(ErrorOf([] { Sinusoid(TestDevice(), 3, 5, DType::kFloat64); }),
              HasSubstr("the latter are even"));
}

TEST(ToeplitzBiasTest, GradientsAndValues) {
  ExpectGradients([](Inputs in) { return ToeplitzBias(in[0], 3, 4); }, {RandomTensor({6}, 1)});
  const Variable w = DoubleTensor({4}, {1, 2, 3, 4});
  EXPECT_THAT(Doubles(ToeplitzBias(w, 2, 3).value()), ElementsAre(3, 2, 1, 4, 3, 2));
}

}  // namespace
}  // namespace trainyard::nn
