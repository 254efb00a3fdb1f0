#include "core/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace trainyard {
namespace {

TEST(RngTest, SeedAndStreamDecide) {
  EXPECT_EQ(Rng(1, 2).NextUint64(), Rng(1, 2).NextUint64());
  EXPECT_NE(Rng(1, 2).NextUint64(), Rng(1, 3).NextUint64());
  EXPECT_NE(Rng(1, 2).NextUint64(), Rng(2, 2).NextUint64());
  EXPECT_NE(Rng(0, 1).NextUint64(), Rng(1, 0).NextUint64());
}

// Models of old depend on these: they must never change, on any machine.
TEST(RngTest, SequenceIsFixedForEver) {
  Rng rng(1, 2);
  EXPECT_EQ(rng.NextUint64(), 0x5f147c977b052899u);
  EXPECT_EQ(rng.NextUint64(), 0x3beb7d2db94e1f5du);
  EXPECT_EQ(rng.NextUint64(), 0x2263ee6c6d422ac7u);
  EXPECT_EQ(rng.NextGaussian(), -0x1.03a8b593082ap+0);
  EXPECT_EQ(rng.NextGaussian(), 0x1.4dd11a7e38683p+0);
  EXPECT_EQ(rng.NextGaussian(), -0x1.79fffe95074dp-1);
}

// Chi-squared with 9 degrees of freedom: 27.9 is exceeded once in a thousand.
TEST(RngTest, IntegersAreUniform) {
  Rng rng(7);
  std::vector<int> counts(10);
  for (int i = 0; i < 100'000; ++i) ++counts[rng.UniformInt(10)];
  double chi_squared = 0;
  for (const int count : counts) chi_squared += (count - 10'000.0) * (count - 10'000.0) / 10'000;
  EXPECT_LT(chi_squared, 27.9);
}

TEST(RngTest, HugeBoundsAreNotBiased) {
  Rng rng(8);
  const uint64_t bound = (uint64_t{3} << 62);  // a plain remainder would prefer the lower third
  int low = 0;
  for (int i = 0; i < 30'000; ++i) low += rng.UniformInt(bound) < bound / 3 ? 1 : 0;
  EXPECT_NEAR(low, 10'000, 400);
}

TEST(RngTest, MomentsOfUniformAndGaussian) {
  Rng rng(9);
  double sum = 0, gaussian_sum = 0, gaussian_squares = 0;
  constexpr int kCount = 200'000;
  for (int i = 0; i < kCount; ++i) {
    const double uniform = rng.NextDouble();
    ASSERT_GE(uniform, 0);
    ASSERT_LT(uniform, 1);
    sum += uniform;
    const double gaussian = rng.NextGaussian();
    gaussian_sum += gaussian;
    gaussian_squares += gaussian * gaussian;
  }
  EXPECT_NEAR(sum / kCount, 0.5, 0.003);
  EXPECT_NEAR(gaussian_sum / kCount, 0, 0.01);
  EXPECT_NEAR(gaussian_squares / kCount, 1, 0.02);
}

// Against the complementary error function of the C library: the share of draws below each bound is
// that of the normal distribution to four standard deviations.
TEST(RngTest, GaussianHasTheNormalDistributionToItsTails) {
  Rng rng(10);
  constexpr int kCount = 1'000'000;
  const std::vector<double> bounds = {-4,  -3, -2,  -1.5, -1.2, -1, -0.5, 0,
                                      0.5, 1,  1.2, 1.5,  2,    3,  4};
  std::vector<int> below(bounds.size());
  for (int i = 0; i < kCount; ++i) {
    const double value = rng.NextGaussian();
    for (size_t b = 0; b < bounds.size(); ++b) below[b] += value < bounds[b] ? 1 : 0;
  }
  for (size_t b = 0; b < bounds.size(); ++b) {
    const double expected = 0.5 * std::erfc(-bounds[b] / std::sqrt(2.0));
    const double deviation = std::sqrt(expected * (1 - expected) / kCount);
    EXPECT_NEAR(static_cast<double>(below[b]) / kCount, expected, 4 * deviation) << bounds[b];
  }
}

TEST(RngTest, ShufflePermutesAndReachesEveryOrder) {
  std::vector<int> seen(6);
  for (uint64_t seed = 0; seed < 6000; ++seed) {
    std::vector<int> values = {0, 1, 2};
    Rng(seed).Shuffle(std::span<int>(values));
    const int order = values[0] * 2 + (values[1] > values[2] ? 1 : 0);
    ++seen[order];
    std::sort(values.begin(), values.end());
    ASSERT_EQ(values, (std::vector<int>{0, 1, 2}));
  }
  for (const int count : seen) EXPECT_NEAR(count, 1000, 150);
}

}  // namespace
}  // namespace trainyard
