#include "core/algorithms/convex_relu/gate_sampling.h"

#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "tests/core/algorithms/convex_relu/random_products.h"

namespace trainyard::convex_relu {
namespace {

std::vector<double> Sample(const GateSource& source, int64_t index, int columns) {
  std::vector<double> gate(static_cast<size_t>(columns));
  source.Sample(index, gate);
  return gate;
}

std::set<int> NonZeros(const std::vector<double>& gate) {
  std::set<int> columns;
  for (size_t i = 0; i < gate.size(); ++i) {
    if (gate[i] != 0) columns.insert(static_cast<int>(i));
  }
  return columns;
}

TEST(GateSamplingTest, GaussianGatesHaveNormalCoordinatesAndNoBias) {
  const auto source = GaussianGates({.features = 50, .count = 400, .seed = 3}).value();
  ASSERT_EQ(source->count(), 400);
  double sum = 0;
  double squares = 0;
  for (int64_t i = 0; i < 400; ++i) {
    const std::vector<double> gate = Sample(*source, i, 51);
    EXPECT_EQ(gate.back(), 0);
    for (const double g : gate) {
      sum += g;
      squares += g * g;
    }
  }
  EXPECT_NEAR(sum / 20000, 0, 5 / std::sqrt(20000.0));
  EXPECT_NEAR(squares / 20000, 1, 5 * std::sqrt(2 / 20000.0));
}

TEST(GateSamplingTest, GatesDependOnSeedAndIndexAlone) {
  const auto few = GaussianGates({.features = 5, .count = 10, .seed = 3}).value();
  const auto many = GaussianGates({.features = 5, .count = 20, .seed = 3}).value();
  const auto others = GaussianGates({.features = 5, .count = 20, .seed = 4}).value();
  EXPECT_EQ(Sample(*few, 7, 5), Sample(*many, 7, 5));
  EXPECT_NE(Sample(*few, 7, 5), Sample(*others, 7, 5));
  EXPECT_NE(Sample(*few, 7, 5), Sample(*few, 6, 5));
}

TEST(GateSamplingTest, SparseGatesCoverEverySubsetEquallyOften) {
  // 6 + 15 + 20 subsets: 3 gates each for a count of 100.
  const auto source = FeatureSparseGates({.features = 6, .count = 100, .seed = 1}, 3).value();
  ASSERT_EQ(source->count(), 123);
  std::map<std::set<int>, int> times;
  for (int64_t i = 0; i < source->count(); ++i) ++times[NonZeros(Sample(*source, i, 7))];
  ASSERT_EQ(times.size(), 41u);
  for (const auto& [subset, count] : times) {
    EXPECT_EQ(count, 3);
    EXPECT_LE(subset.size(), 3u);
    EXPECT_FALSE(subset.contains(6));
  }
}

TEST(GateSamplingTest, SparseGatesOfTooManySubsetsAreRandomOnes) {
  const auto source = FeatureSparseGates({.features = 784, .count = 2000, .seed = 1}, 2).value();
  ASSERT_EQ(source->count(), 2000);
  std::set<std::set<int>> subsets;
  int single = 0;
  for (int64_t i = 0; i < 2000; ++i) {
    const std::set<int> subset = NonZeros(Sample(*source, i, 784));
    ASSERT_TRUE(subset.size() == 1 || subset.size() == 2);
    single += subset.size() == 1 ? 1 : 0;
    subsets.insert(subset);
  }
  EXPECT_LT(single, 30);  // 5 of 2000 on average
  EXPECT_GT(subsets.size(), 1950u);
}

TEST(GateSamplingTest, ConvolutionalGatesAreWindows) {
  const ImageShape image = {5, 7, 2};
  const auto source =
      ConvolutionalGates({.features = 70, .count = 500, .seed = 9}, image, 3).value();
  std::set<std::pair<int, int>> corners;
  for (int64_t i = 0; i < 500; ++i) {
    const std::set<int> columns = NonZeros(Sample(*source, i, 71));
    const int top = *columns.begin() / 14;
    const int left = *columns.begin() / 2 % 7;
    corners.emplace(top, left);
    std::set<int> expected;
    for (int y = top; y < top + 3; ++y) {
      for (int x = left; x < left + 3; ++x) {
        for (int c = 0; c < 2; ++c) expected.insert((y * 7 + x) * 2 + c);
      }
    }
    ASSERT_EQ(columns, expected);
  }
  EXPECT_EQ(corners.size(), 15u);  // 3 x 5 places
}

TEST(GateSamplingTest, DataGatesPassMidwayBetweenTwoRows) {
  Rng rng(5);
  PaddedMatrix<double> data = RandomMatrix<double>(40, 4, rng);
  for (int64_t row = 0; row < 40; ++row) data.row(row)[3] = 0.25;
  const auto source = DataGates({.features = 3, .count = 50, .seed = 2}, data).value();
  for (int64_t i = 0; i < 50; ++i) {
    const std::vector<double> gate = Sample(*source, i, 4);
    const auto value = [&](int64_t row) {
      double sum = 0;
      for (int k = 0; k < 4; ++k) sum += gate[static_cast<size_t>(k)] * data.row(row)[k];
      return sum;
    };
    // Its rows: the pair whose difference it is, with opposite values.
    bool found = false;
    for (int64_t a = 0; a < 40; ++a) {
      for (int64_t b = 0; b < 40; ++b) {
        bool same = a != b;
        for (int k = 0; k < 3; ++k) {
          same = same && gate[static_cast<size_t>(k)] == data.row(a)[k] - data.row(b)[k];
        }
        if (!same) continue;
        found = true;
        EXPECT_GT(value(a), 0);
        EXPECT_NEAR(value(a), -value(b), 1e-12);
      }
    }
    EXPECT_TRUE(found);
  }
}

TEST(GateSamplingTest, RefusesWhatCannotBeSampled) {
  EXPECT_FALSE(GaussianGates({.features = 0, .count = 1}).ok());
  EXPECT_FALSE(GaussianGates({.features = 1, .count = 0}).ok());
  EXPECT_FALSE(FeatureSparseGates({.features = 3, .count = 1}, 4).ok());
  EXPECT_FALSE(FeatureSparseGates({.features = 3, .count = 1}, 0).ok());
  EXPECT_FALSE(FeatureSparseGates({.features = 10000, .count = 1}, 300).ok());
  EXPECT_FALSE(ConvolutionalGates({.features = 12, .count = 1}, {3, 3, 1}, 3).ok());
  EXPECT_FALSE(ConvolutionalGates({.features = 9, .count = 1}, {3, 3, 1}, 4).ok());
  EXPECT_FALSE(DataGates({.features = 2, .count = 1}, PaddedMatrix<double>(1, 2)).ok());
  // The column behind the features is not constant, or zero.
  EXPECT_FALSE(DataGates({.features = 1, .count = 1}, PaddedMatrix<double>(2, 2)).ok());
  EXPECT_FALSE(DataGates({.features = 3, .count = 1}, PaddedMatrix<double>(2, 2)).ok());
}

}  // namespace
}  // namespace trainyard::convex_relu
