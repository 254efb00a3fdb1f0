#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/kernels/convolution_kernels.h"
#include "tests/core/tensor/host_tensors.h"

namespace trainyard {
namespace {

struct Case {
  int64_t batch;
  int64_t length;
  int64_t in;
  int64_t out;
  int64_t width;
  int64_t pad;
};

// Even and odd widths, padding on one side, on both, and more than the width; sequences shorter
// than the width; few channels and many; one tile and several.
constexpr Case kCases[] = {{1, 1, 1, 1, 1, 0},    {2, 7, 3, 5, 3, 1},     {3, 2, 4, 3, 5, 2},
                           {2, 9, 2, 3, 4, 3},    {2, 9, 2, 3, 4, 0},     {2, 5, 3, 2, 2, 7},
                           {1, 300, 3, 40, 7, 3}, {3, 301, 70, 33, 3, 2}, {2, 3, 65, 17, 9, 8},
                           {5, 130, 64, 2, 2, 0}};

// Every case for one and two threads, in both types.
class ConvolutionTest : public testing::TestWithParam<std::tuple<int, DType>> {
 protected:
  Tensor Random(const Shape& shape, uint64_t seed) {
    return RandomTensor(device_, shape, type_, seed);
  }

  Convolution1dArguments Arguments(const Case& c) {
    Convolution1dArguments arguments;
    arguments.x = Random({c.batch, c.length, c.in}, 1);
    arguments.w = Random({c.width, c.in, c.out}, 2);
    arguments.bias = Random({c.out}, 3);
    // A slice of channels.
    arguments.y = Random({c.batch, c.length, c.out + 3}, 4).Slice(2, 2, c.out);
    arguments.pad_left = c.pad;
    return arguments;
  }

  void ExpectNear(const Tensor& tensor, const std::vector<double>& expected) {
    const std::vector<double> values = Doubles(tensor);
    double largest = 1;
    for (const double value : expected) largest = std::max(largest, std::abs(value));
    ASSERT_EQ(values.size(), expected.size());
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(values[i], expected[i], largest * (type_ == DType::kFloat64 ? 1e-13 : 1e-5)) << i;
    }
  }

  const DType type_ = std::get<1>(GetParam());
  CpuDevice device_{std::get<0>(GetParam())};
};

INSTANTIATE_TEST_SUITE_P(All, ConvolutionTest,
                         testing::Combine(testing::Values(1, 2),
                                          testing::Values(DType::kFloat32, DType::kFloat64)));

// Calls visit(x's index, w's index, y's index) for every product of the definition.
template <typename Visit>
void ForEachProduct(const Case& c, Visit visit) {
  for (int64_t b = 0; b < c.batch; ++b) {
    for (int64_t t = 0; t < c.length; ++t) {
      for (int64_t k = 0; k < c.width; ++k) {
        const int64_t from = t + k - c.pad;
        if (from < 0 || from >= c.length) continue;
        for (int64_t i = 0; i < c.in; ++i) {
          for (int64_t o = 0; o < c.out; ++o) {
            visit((b * c.length + from) * c.in + i, (k * c.in + i) * c.out + o,
                  (b * c.length + t) * c.out + o);
          }
        }
      }
    }
  }
}

TEST_P(ConvolutionTest, AgreesWithItsDefinition) {
  for (const Case& c : kCases) {
    for (const bool with_bias : {true, false}) {
      SCOPED_TRACE(testing::Message() << c.length << " by " << c.width << ", " << c.pad);
      Convolution1dArguments arguments = Arguments(c);
      if (!with_bias) arguments.bias = Tensor();
      const std::vector<double> x = Doubles(arguments.x);
      const std::vector<double> w = Doubles(arguments.w);
      std::vector<double> y(arguments.y.elements());
      for (size_t i = 0; with_bias && i < y.size(); ++i)
        y[i] = At(arguments.bias, {static_cast<int64_t>(i) % c.out});
      ForEachProduct(c, [&](int64_t xi, int64_t wi, int64_t yi) { y[yi] += x[xi] * w[wi]; });
      device_.convolution().Convolve1d(arguments);
      ExpectNear(arguments.y, y);
    }
  }
}

TEST_P(ConvolutionTest, GradientsAgreeWithTheDerivativeOfTheDefinition) {
  for (const Case& c : kCases) {
    for (const bool accumulate : {true, false}) {
      SCOPED_TRACE(testing::Message() << c.length << " by " << c.width << ", " << c.pad);
      const Convolution1dArguments arguments = Arguments(c);
      const Tensor dy = Random({c.batch, c.length, c.out + 1}, 5).Slice(2, 1, c.out);
      const Tensor dx = Random(arguments.x.shape(), 6);
      const Tensor dw = Random(arguments.w.shape(), 7);
      const Tensor dbias = Random({c.out}, 8);
      const std::vector<double> x = Doubles(arguments.x);
      const std::vector<double> w = Doubles(arguments.w);
      const std::vector<double> g = Doubles(dy);
      std::vector<double> expected_dx = accumulate ? Doubles(dx) : std::vector<double>(x.size());
      std::vector<double> expected_dw = Doubles(dw);
      std::vector<double> expected_dbias = Doubles(dbias);
      ForEachProduct(c, [&](int64_t xi, int64_t wi, int64_t yi) {
        expected_dx[xi] += g[yi] * w[wi];
        expected_dw[wi] += g[yi] * x[xi];
      });
      for (size_t i = 0; i < g.size(); ++i) expected_dbias[i % c.out] += g[i];
      device_.convolution().Convolve1dBackward(arguments, dy, dx, accumulate, dw, dbias);
      ExpectNear(dx, expected_dx);
      ExpectNear(dw, expected_dw);
      ExpectNear(dbias, expected_dbias);
    }
  }
}

TEST_P(ConvolutionTest, GradientsThatNobodyWantsAreLeftOut) {
  const Convolution1dArguments arguments = Arguments(kCases[1]);
  const Tensor dy = Random({2, 7, 5}, 5);
  device_.convolution().Convolve1dBackward(arguments, dy, Tensor(), false, Tensor(), Tensor());
  const Tensor dbias = Random({5}, 6);
  std::vector<double> expected = Doubles(dbias);
  const std::vector<double> g = Doubles(dy);
  for (size_t i = 0; i < g.size(); ++i) expected[i % 5] += g[i];
  device_.convolution().Convolve1dBackward(arguments, dy, Tensor(), false, Tensor(), dbias);
  ExpectNear(dbias, expected);
}

TEST_P(ConvolutionTest, EmptyBatchesAndSequences) {
  for (const Case& c : {Case{0, 5, 3, 2, 3, 1}, Case{2, 0, 3, 2, 3, 1}}) {
    const Convolution1dArguments arguments = Arguments(c);
    device_.convolution().Convolve1d(arguments);
    const Tensor dw = Random(arguments.w.shape(), 7);
    const std::vector<double> before = Doubles(dw);
    device_.convolution().Convolve1dBackward(arguments, Random({c.batch, c.length, c.out}, 5),
                                             Random(arguments.x.shape(), 6), false, dw, Tensor());
    EXPECT_EQ(Doubles(dw), before);
  }
}

TEST_P(ConvolutionTest, RepeatsItsBits) {
  const Case c{5, 260, 9, 31, 3, 1};
  const Convolution1dArguments arguments = Arguments(c);
  const Tensor dy = Random({c.batch, c.length, c.out}, 5);
  std::vector<double> first;
  for (int repetition = 0; repetition < 10; ++repetition) {
    const Tensor dw = Random(arguments.w.shape(), 7);
    device_.convolution().Convolve1dBackward(arguments, dy, Tensor(), false, dw, Tensor());
    if (first.empty()) first = Doubles(dw);
    ASSERT_EQ(Doubles(dw), first);
  }
}

}  // namespace
}  // namespace trainyard
