// The float functions of all instruction sets that this machine has, against the standard library
// in double, over all magnitudes. Errors are in units in the last place of the float result.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "core/tensor/cpu/element_blocks.h"

namespace trainyard {
namespace {

double Ulp(double value) {
  const auto nearest = static_cast<float>(std::abs(value));
  if (nearest < std::numeric_limits<float>::min()) return std::ldexp(1.0, -149);
  return std::ldexp(1.0, std::ilogb(nearest) - 23);
}

struct Range {
  float low;
  float high;
};

// Numbers of all magnitudes and evenly spaced ones.
std::vector<float> Numbers(const Range& range) {
  std::vector<float> numbers;
  for (int i = 0; i <= 60'000; ++i) {
    numbers.push_back(static_cast<float>(range.low + (double{range.high} - range.low) * i / 6e4));
  }
  for (int exponent = -140; exponent < 128; ++exponent) {
    for (int i = 0; i < 40; ++i) {
      const auto size = static_cast<float>(std::ldexp(1 + i / 40.0 + i * 1e-5, exponent));
      for (const float x : {size, -size}) {
        if (x >= range.low && x <= range.high) numbers.push_back(x);
      }
    }
  }
  return numbers;
}

std::vector<float> Apply(ElementBlocks<float>::Function function, const std::vector<float>& x) {
  std::vector<float> y(x.size());
  Block<float> block;
  block.count = static_cast<int64_t>(x.size());
  block.in[0] = x.data();
  block.out[0] = y.data();
  function(block);
  return y;
}

class LanesMathTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string_view(GetParam()) == "avx2") {
      SetAvx2Blocks(blocks_);
    } else if (__builtin_cpu_supports("avx512f")) {
      SetAvx512Blocks(blocks_);
    } else {
      GTEST_SKIP() << "no AVX-512 here";
    }
  }

  // Errors below the smallest normal number are allowed: `absolute` is 1.2e-38 for functions that
  // lose their last bits there.
  void ExpectUlps(UnaryOp op, const std::function<double(double)>& exact, const Range& range,
                  double ulps, double absolute = 0) {
    const std::vector<float> x = Numbers(range);
    const std::vector<float> y = Apply(blocks_.unary[static_cast<int>(op)], x);
    double worst = 0;
    float where = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double expected = exact(x[i]);
      if (std::abs(expected) > std::numeric_limits<float>::max()) {
        ASSERT_TRUE(std::isinf(y[i])) << x[i];
        continue;
      }
      const double error = std::max(0.0, std::abs(y[i] - expected) - absolute) / Ulp(expected);
      ASSERT_FALSE(std::isnan(error)) << x[i];
      if (error > worst) {
        worst = error;
        where = x[i];
      }
    }
    EXPECT_LE(worst, ulps) << "at " << where;
    RecordProperty("worst_ulps", std::to_string(worst));
  }

  float One(UnaryOp op, float x) { return Apply(blocks_.unary[static_cast<int>(op)], {x})[0]; }

  static constexpr float kMost = std::numeric_limits<float>::max();
  ElementBlocks<float> blocks_;
};

INSTANTIATE_TEST_SUITE_P(All, LanesMathTest, testing::Values("avx2", "avx512"),
                         [](const auto& name) { return std::string(name.param); });

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

TEST_P(LanesMathTest, Exp) {
  ExpectUlps(
      UnaryOp::kExp, [](double x) { return std::exp(x); }, {-104, 89}, 1.5);
}

TEST_P(LanesMathTest, Log) {
  ExpectUlps(
      UnaryOp::kLog, [](double x) { return std::log(x); }, {1e-42F, kMost}, 2);
  ExpectUlps(
      UnaryOp::kLog, [](double x) { return std::log(x); }, {0.5, 2}, 2);
}

TEST_P(LanesMathTest, Sigmoid) {
  ExpectUlps(UnaryOp::kSigmoid, Sigmoid, {-120, 120}, 2.5, 1.2e-38);
}

TEST_P(LanesMathTest, Tanh) {
  ExpectUlps(
      UnaryOp::kTanh, [](double x) { return std::tanh(x); }, {-kMost, kMost}, 2.5);
  ExpectUlps(
      UnaryOp::kTanh, [](double x) { return std::tanh(x); }, {-10, 10}, 2.5);
}

TEST_P(LanesMathTest, Softplus) {
  const auto exact = [](double x) { return x > 40 ? x : std::log1p(std::exp(x)); };
  ExpectUlps(UnaryOp::kSoftplus, exact, {-100, 100}, 2.5);
  ExpectUlps(UnaryOp::kSoftplus, exact, {-kMost, kMost}, 2.5);
}

TEST_P(LanesMathTest, Silu) {
  ExpectUlps(
      UnaryOp::kSilu, [](double x) { return x * Sigmoid(x); }, {-80, 120}, 3);
}

TEST_P(LanesMathTest, Gelu) {
  const auto exact = [](double x) { return x * std::erfc(-x / std::sqrt(2.0)) / 2; };
  ExpectUlps(UnaryOp::kGelu, exact, {-12.8F, 20}, 5);
  ExpectUlps(UnaryOp::kGelu, exact, {-1000, 1000}, 5, 1.2e-38);
}

TEST_P(LanesMathTest, SinAndCos) {
  // Near multiples of pi the result is small and its error that of pi / 2 in three parts.
  ExpectUlps(
      UnaryOp::kSin, [](double x) { return std::sin(x); }, {-8, 8}, 2);
  ExpectUlps(
      UnaryOp::kCos, [](double x) { return std::cos(x); }, {-8, 8}, 2);
  ExpectUlps(
      UnaryOp::kSin, [](double x) { return std::sin(x); }, {-kMost, kMost}, 2);
  ExpectUlps(
      UnaryOp::kCos, [](double x) { return std::cos(x); }, {-30000, 30000}, 2);
}

TEST_P(LanesMathTest, SpecialValues) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(One(UnaryOp::kExp, -infinity), 0);
  EXPECT_EQ(One(UnaryOp::kExp, infinity), infinity);
  EXPECT_EQ(One(UnaryOp::kExp, 0), 1);
  EXPECT_EQ(One(UnaryOp::kLog, 0), -infinity);
  EXPECT_EQ(One(UnaryOp::kLog, 1), 0);
  EXPECT_EQ(One(UnaryOp::kLog, infinity), infinity);
  EXPECT_TRUE(std::isnan(One(UnaryOp::kLog, -1)));
  EXPECT_EQ(One(UnaryOp::kTanh, infinity), 1);
  EXPECT_EQ(One(UnaryOp::kTanh, -infinity), -1);
  EXPECT_EQ(One(UnaryOp::kSigmoid, infinity), 1);
  EXPECT_EQ(One(UnaryOp::kSigmoid, -infinity), 0);
  EXPECT_EQ(One(UnaryOp::kSoftplus, infinity), infinity);
  EXPECT_EQ(One(UnaryOp::kGelu, infinity), infinity);
  EXPECT_TRUE(std::isnan(One(UnaryOp::kSin, infinity)));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (int op = 0; op < kUnaryOps; ++op) {
    EXPECT_TRUE(std::isnan(One(static_cast<UnaryOp>(op), nan))) << op;
  }
}

}  // namespace
}  // namespace trainyard
