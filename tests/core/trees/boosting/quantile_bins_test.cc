#include "core/trees/boosting/quantile_bins.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "core/trees/boosting/residual_quantile.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<double> Thresholds(const std::vector<double>& values, int max_bins,
                               const std::vector<double>& weights = {}) {
  StopToken stop({});
  return QuantileThresholds(values, weights, max_bins, stop);
}

TEST(QuantileBinsTest, FewDistinctValuesAreCutAtTheirMidpoints) {
  EXPECT_THAT(Thresholds({3, kNan, 1, 1, 7, 3}, 3), ElementsAre(2, 5));
  EXPECT_THAT(Thresholds({-0.0, 0.0}, 4), IsEmpty());
  EXPECT_THAT(Thresholds({kNan, kNan}, 4), IsEmpty());
  EXPECT_THAT(Thresholds({-kInfinity, 0, kInfinity}, 4), ElementsAre(-kInfinity, 0));
}

TEST(QuantileBinsTest, RowsWithoutWeightDecideNothing) {
  EXPECT_THAT(Thresholds({1, 2, 3, 4}, 4, {1, 0, 0, 1}), ElementsAre(2.5));
}

TEST(QuantileBinsTest, ManyValuesMakeBinsOfEqualWeight) {
  std::mt19937_64 random(3);
  for (const size_t count : {size_t{500}, size_t{50'000}}) {  // both ways of sorting
    std::vector<double> values(count);
    for (double& value : values) value = std::normal_distribution<double>()(random);
    const std::vector<double> thresholds = Thresholds(values, 100);
    ASSERT_EQ(thresholds.size(), 99u);
    EXPECT_TRUE(std::is_sorted(thresholds.begin(), thresholds.end()));
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    double below = 0;
    for (const double threshold : thresholds) {
      const double rows = static_cast<double>(
          std::upper_bound(sorted.begin(), sorted.end(), threshold) - sorted.begin());
      EXPECT_NEAR(rows - below, static_cast<double>(count) / 100, 1.0);
      below = rows;
    }
  }
}

TEST(QuantileBinsTest, AFrequentValueHasItsOwnBin) {
  std::vector<double> values(5000, 0.0);
  for (int i = 1; i <= 5000; ++i) values.push_back(i % 2 == 0 ? i : -i);
  const std::vector<double> thresholds = Thresholds(values, 10);
  EXPECT_LE(thresholds.size(), 9u);
  const auto above = std::lower_bound(thresholds.begin(), thresholds.end(), 0.0);
  ASSERT_TRUE(above != thresholds.begin() && above != thresholds.end());
  // 5000 other values in 9 bins: at most half a bin of them goes with the 0.
  EXPECT_LE(std::count_if(values.begin(), values.end(),
                          [&](double v) { return v > *(above - 1) && v <= *above; }),
            5000 + 5000 / 9 / 2);
}

TEST(QuantileBinsTest, WeightsActLikeRepeatedRows) {
  std::mt19937_64 random(5);
  std::vector<double> values;
  std::vector<double> weights;
  std::vector<double> repeated;
  for (int i = 0; i < 3000; ++i) {
    values.push_back(static_cast<double>(random() % 1000));
    weights.push_back(static_cast<double>(random() % 4));
    for (int k = 0; k < static_cast<int>(weights.back()); ++k) repeated.push_back(values.back());
  }
  EXPECT_EQ(Thresholds(values, 50, weights), Thresholds(repeated, 50));
}

TEST(ResidualQuantileTest, IsTheLeastValueThatReachesTheLevel) {
  std::mt19937_64 random(7);
  for (int trial = 0; trial < 200; ++trial) {
    const size_t count = 1 + random() % 20;
    const double level = static_cast<double>(1 + random() % 19) / 20;
    std::vector<double> values;
    std::vector<WeightedValue> weighted;
    for (size_t i = 0; i < count; ++i) {
      const WeightedValue own = {static_cast<double>(random() % 10),
                                 static_cast<double>(1 + random() % 3)};
      weighted.push_back(own);
      for (int k = 0; k < static_cast<int>(own.weight); ++k) values.push_back(own.value);
    }
    // Counting in twentieths: exact.
    const size_t level20 = static_cast<size_t>(level * 20 + 0.5);
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    size_t index = 0;
    while ((index + 1) * 20 < level20 * sorted.size()) ++index;
    EXPECT_EQ(LowerQuantile(std::span(values), level), sorted[index]);
    EXPECT_EQ(LowerQuantile(std::span(weighted), level), sorted[index]);
  }
}

// Large enough for the selection by a sample; sorted values and few distinct ones too.
TEST(ResidualQuantileTest, SelectsAmongMany) {
  std::mt19937_64 random(11);
  for (int kind = 0; kind < 3; ++kind) {
    std::vector<double> values(10'000);
    for (double& value : values) {
      value = kind == 1 ? static_cast<double>(random() % 3)
                        : std::normal_distribution<double>()(random);
    }
    // A period that the sample's stride meets: all sampled values are the least ones.
    if (kind == 2) {
      for (size_t i = 0; i < 512; ++i) values[i * values.size() / 512] = -100;
    }
    std::vector<double> sorted = values;
    std::sort(sorted.begin(), sorted.end());
    for (const double level : {1e-9, 0.01, 0.1, 0.5, 0.77, 0.999, 1.0}) {
      std::vector<double> own = values;
      const size_t index = static_cast<size_t>(std::max(std::ceil(level * 10'000 - 1e-6) - 1, 0.0));
      EXPECT_EQ(LowerQuantile(std::span(own), level), sorted[index]) << kind << " " << level;
    }
  }
}

}  // namespace
}  // namespace trainyard
