// Products: gradients by central differences, values by loops.
#include <vector>

#include "core/nn/ops/arithmetic.h"
#include "core/nn/ops/convolution.h"
#include "core/nn/ops/embedding.h"
#include "core/nn/ops/matmul.h"
#include "core/nn/ops/monarch.h"
#include "core/nn/ops/norms.h"
#include "core/nn/ops/reductions.h"
#include "core/nn/ops/shapes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/nn/nn_test_support.h"

namespace trainyard::nn {
namespace {

using testing::HasSubstr;
using Inputs = std::span<const Variable>;

TEST(MatmulTest, Gradients) {
  const auto check = [](const Shape& a, const Shape& b, const MatmulOptions& options) {
    SCOPED_TRACE(a.ToString() + b.ToString());
    ExpectGradients([&](Inputs in) { return Matmul(in[0], in[1], options); },
                    {RandomTensor(a, 1), RandomTensor(b, 2)});
  };
  check({3, 4}, {4, 2}, {});
  check({3, 4}, {2, 4}, {.transpose_b = true, .scale = 0.5});
  check({4, 3}, {4, 2}, {.transpose_a = true});
  check({4, 3}, {2, 4}, {.transpose_a = true, .transpose_b = true, .scale = -2});
  check({2, 3, 4}, {2, 4, 2}, {});
  check({2, 3, 4}, {4, 2}, {});
  check({3, 4}, {2, 4, 2}, {});
  check({2, 1, 3, 4}, {3, 4, 2}, {.scale = 3});
  check({2, 1, 4, 3}, {3, 2, 4}, {.transpose_a = true, .transpose_b = true});
  check({1, 4}, {4, 1}, {});
}

TEST(MatmulTest, AMatrixByItself) {
  ExpectGradients([](Inputs in) { return Matmul(in[0], in[0], {.transpose_b = true}); },
                  {RandomTensor({3, 4}, 1)});
}

TEST(MatmulTest, RefusesSizesThatDiffer) {
  if (!TestDevice().is_host())
    GTEST_SKIP() << "refusals are the same on all devices, and indices read on the host";
  EXPECT_THAT(ErrorOf([] {
                Matmul(RandomTensor({2, 3}, 1), RandomTensor({2, 3}, 2));
              }),
              HasSubstr("matmul: inner sizes of [2, 3] and [2, 3] differ"));
  EXPECT_THAT(ErrorOf([] {
                Matmul(RandomTensor({3}, 1), RandomTensor({3, 2}, 2));
              }),
              HasSubstr("matmul: float64 [3] on cpu has fewer than 2 dimensions"));
  EXPECT_THAT(ErrorOf([] {
                Matmul(RandomTensor({2, 2, 3}, 1), RandomTensor({3, 3, 2}, 2));
              }),
              HasSubstr("matmul"));
}

TEST(LinearProductTest, Gradients) {
  for (const Activation activation :
       {Activation::kNone, Activation::kRelu, Activation::kSquaredRelu, Activation::kSilu,
        Activation::kGelu, Activation::kSigmoid, Activation::kTanh}) {
    SCOPED_TRACE(static_cast<int>(activation));
    const std::vector<Tensor> inputs = {RandomTensor({2, 3, 4}, 1), RandomTensor({4, 5}, 2),
                                        RandomTensor({5}, 3)};
    ExpectGradients([&](Inputs in) { return LinearProduct(in[0], in[1], in[2], activation); },
                    inputs);
    ExpectGradients([&](Inputs in) { return LinearProduct(in[0], in[1], Variable(), activation); },
                    {inputs[0], inputs[1]});
  }
  ExpectGradients([](Inputs in) { return LinearProduct(in[0], in[1], in[2]); },
                  {RandomTensor({4}, 1), RandomTensor({4, 3}, 2), RandomTensor({3}, 3)});
}

TEST(LinearProductTest, IsTheProductPlusTheBias) {
  const Tensor x = RandomTensor({3, 4}, 1);
  const Tensor w = RandomTensor({4, 2}, 2);
  const Tensor b = RandomTensor({2}, 3);
  const std::vector<double> y = Doubles(LinearProduct(x, w, b, Activation::kRelu).value());
  const std::vector<double> xs = Doubles(x);
  const std::vector<double> ws = Doubles(w);
  const std::vector<double> bs = Doubles(b);
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = 0; j < 2; ++j) {
      double sum = bs[j];
      for (size_t k = 0; k < 4; ++k) sum += xs[i * 4 + k] * ws[k * 2 + j];
      EXPECT_NEAR(y[i * 2 + j], std::max(sum, 0.0), 1e-13);
    }
  }
}

TEST(LinearProductTest, RefusesSizesThatDoNotFit) {
  if (!TestDevice().is_host())
    GTEST_SKIP() << "refusals are the same on all devices, and indices read on the host";
  EXPECT_THAT(ErrorOf([] {
                LinearProduct(RandomTensor({2, 3}, 1), RandomTensor({4, 5}, 2), Variable());
              }),
              HasSubstr("linear: weight is float64 [4, 5] on cpu; expected [3, any]"));
  EXPECT_THAT(
      ErrorOf([] {
        LinearProduct(RandomTensor({2, 3}, 1), RandomTensor({3, 5}, 2), RandomTensor({4}, 3));
      }),
      HasSubstr("linear: bias is"));
}

TEST(NormalizeTest, Gradients) {
  for (const NormKind kind : {NormKind::kLayer, NormKind::kRms, NormKind::kScale}) {
    SCOPED_TRACE(static_cast<int>(kind));
    const Tensor gain = RandomTensor({kind == NormKind::kScale ? 1 : 5}, 2);
    const std::vector<Tensor> inputs = {RandomTensor({2, 3, 5}, 1), gain};
    ExpectGradients([&](Inputs in) { return Normalize(kind, in[0], in[1], Variable(), 1e-3); },
                    inputs);
  }
  ExpectGradients([](Inputs in) { return Normalize(NormKind::kLayer, in[0], in[1], in[2], 1e-3); },
                  {RandomTensor({2, 3, 5}, 1), RandomTensor({5}, 2), RandomTensor({5}, 3)});
}

TEST(NormalizeTest, IsMadeOfMeansAndRoots) {
  const Variable x = RandomTensor({3, 6}, 1);
  const Variable gain = RandomTensor({6}, 2);
  const Variable bias = RandomTensor({6}, 3);
  const std::vector<double> y = Doubles(Normalize(NormKind::kLayer, x, gain, bias, 1e-5).value());
  const std::vector<double> xs = Doubles(x.value());
  const std::vector<double> gains = Doubles(gain.value());
  const std::vector<double> biases = Doubles(bias.value());
  for (size_t row = 0; row < 3; ++row) {
    double mean = 0;
    double square = 0;
    for (size_t j = 0; j < 6; ++j) mean += xs[row * 6 + j] / 6;
    for (size_t j = 0; j < 6; ++j) square += std::pow(xs[row * 6 + j] - mean, 2) / 6;
    for (size_t j = 0; j < 6; ++j) {
      const double z = (xs[row * 6 + j] - mean) / std::sqrt(square + 1e-5);
      EXPECT_NEAR(y[row * 6 + j], z * gains[j] + biases[j], 1e-12);
    }
  }
}

TEST(NormalizeTest, RefusesWhatDoesNotFit) {
  if (!TestDevice().is_host())
    GTEST_SKIP() << "refusals are the same on all devices, and indices read on the host";
  const Variable x = RandomTensor({2, 3}, 1);
  EXPECT_THAT(
      ErrorOf([&] { Normalize(NormKind::kRms, x, RandomTensor({2}, 2), Variable(), 1e-5); }),
      HasSubstr("normalize: gain is float64 [2] on cpu; expected [3]"));
  EXPECT_THAT(ErrorOf([&] {
                Normalize(NormKind::kRms, x, RandomTensor({3}, 2), RandomTensor({3}, 2), 1e-5);
              }),
              HasSubstr("only layer norms have a bias"));
  EXPECT_THAT(ErrorOf([&] { Normalize(NormKind::kRms, x, RandomTensor({3}, 2), Variable(), 0); }),
              HasSubstr("epsilon 0 is not above 0"));
}

TEST(EmbedTest, Gradients) {
  const Tensor indices = IntTensor({2, 3}, {0, 4, 1, 1, -1, 4});
  ExpectGradients([&](Inputs in) { return Embed(in[0], indices, 1.5); }, {RandomTensor({5, 3}, 1)});
}

TEST(EmbedTest, RefusesIndicesOutside) {
  if (!TestDevice().is_host())
    GTEST_SKIP() << "refusals are the same on all devices, and indices read on the host";
  EXPECT_THAT(ErrorOf([] {
                Embed(RandomTensor({5, 3}, 1), IntTensor({2}, {0, 5}));
              }),
              HasSubstr("embed: token 5 of row 1 is not in -1 to 4"));
  EXPECT_THAT(ErrorOf([] {
                Embed(RandomTensor({5, 3}, 1), RandomTensor({2}, 2));
              }),
              HasSubstr("expected 2 of int32"));
}

TEST(MonarchTest, Gradients) {
  const auto check = [](int64_t in, int64_t out, const Shape& w1, const Shape& w2) {
    SCOPED_TRACE(w1.ToString() + w2.ToString());
    ExpectGradients([&](Inputs x) { return MonarchProduct(x[0], x[1], x[2], x[3], out); },
                    {RandomTensor({3, in}, 1), RandomTensor(w1, 2), RandomTensor(w2, 3),
                     RandomTensor({out}, 4)});
    ExpectGradients([&](Inputs x) { return MonarchProduct(x[0], x[1], x[2], Variable(), out); },
                    {RandomTensor({2, 1, in}, 1), RandomTensor(w1, 2), RandomTensor(w2, 3)});
  };
  check(4, 4, {2, 2, 2}, {2, 2, 2});
  check(7, 5, {2, 3, 4}, {3, 2, 2});
  check(5, 7, {3, 2, 2}, {2, 4, 3});
}

TEST(MonarchTest, IsAProductOfBlocks) {
  const int64_t blocks_first = 3, q = 2, p = 2, blocks_second = 2, s = 4, r = 3;
  const Tensor x = RandomTensor({2, 5}, 1);
  const Tensor w1 = RandomTensor({blocks_first, q, p}, 2);
  const Tensor w2 = RandomTensor({blocks_second, s, r}, 3);
  const std::vector<double> y = Doubles(MonarchProduct(x, w1, w2, Variable(), 7).value());
  const std::vector<double> xs = Doubles(x), w1s = Doubles(w1), w2s = Doubles(w2);
  for (int64_t row = 0; row < 2; ++row) {
    std::vector<double> h(static_cast<size_t>(blocks_first * q));
    for (int64_t k = 0; k < blocks_first; ++k) {
      for (int64_t a = 0; a < q; ++a) {
        for (int64_t i = 0; i < p && k * p + i < 5; ++i) {
          h[k * q + a] += w1s[(k * q + a) * p + i] * xs[row * 5 + k * p + i];
        }
      }
    }
    for (int64_t column = 0; column < 7; ++column) {
      const int64_t l = column % blocks_second;
      const int64_t u = column / blocks_second;
      double sum = 0;
      for (int64_t t = 0; t < r; ++t) sum += w2s[(l * s + u) * r + t] * h[t * blocks_second + l];
      EXPECT_NEAR(y[row * 7 + column], sum, 1e-13);
    }
  }
}

TEST(MonarchTest, RefusesFactorsThatDoNotFit) {
  if (!TestDevice().is_host())
    GTEST_SKIP() << "refusals are the same on all devices, and indices read on the host";
  EXPECT_THAT(ErrorOf([] {
                MonarchProduct(RandomTensor({2, 5}, 1), RandomTensor({2, 2, 2}, 2),
                               RandomTensor({2, 2, 2}, 3), Variable(), 4);
              }),
              HasSubstr("do not map [2, 5] to 4 columns"));
}

TEST(ConvolutionTest, Gradients) {
  for (const int64_t pad_left : {0, 1, 2}) {
    ExpectGradients([&](Inputs in) { return Convolve1d(in[0], in[1], in[2], pad_left); },
                    {RandomTensor({2, 5, 3}, 1), RandomTensor({3, 3, 4}, 2), RandomTensor({4}, 3)});
  }
  ExpectGradients([](Inputs in) { return Convolve1d(in[0], in[1], Variable(), 2); },
                  {RandomTensor({1, 2, 2}, 1), RandomTensor({4, 2, 1}, 2)});
}

TEST(ConvolutionTest, IsTheSumOverTheWindow) {
  const Tensor x = RandomTensor({1, 4, 2}, 1);
  const Tensor w = RandomTensor({3, 2, 1}, 2);
  const std::vector<double> y = Doubles(Convolve1d(x, w, Variable(), 1).value());
  const std::vector<double> xs = Doubles(x), ws = Doubles(w);
  for (int t = 0; t < 4; ++t) {
    double sum = 0;
    for (int k = 0; k < 3; ++k) {
      for (int c = 0; c < 2; ++c) {
        const int at = t + k - 1;
        if (at >= 0 && at < 4) sum += ws[k * 2 + c] * xs[at * 2 + c];
      }
    }
    EXPECT_NEAR(y[t], sum, 1e-13);
  }
}

TEST(ConvolutionTest, RefusesPaddingBeyondTheWidth) {
  if (!TestDevice().is_host())
    GTEST_SKIP() << "refusals are the same on all devices, and indices read on the host";
  EXPECT_THAT(ErrorOf([] {
                Convolve1d(RandomTensor({1, 4, 2}, 1), RandomTensor({3, 2, 1}, 2), Variable(), 3);
              }),
              HasSubstr("convolve1d: 3 elements of padding for a width of 3"));
}

}  // namespace
}  // namespace trainyard::nn
