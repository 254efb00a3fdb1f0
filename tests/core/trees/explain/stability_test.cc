// Stability of SHAP values on matrices whose measures are known.
#include "core/trees/explain/stability.h"

#include <cmath>

#include "core/base/random.h"
#include "gtest/gtest.h"
#include "tests/core/trees/tree_test_data.h"

namespace trainyard {
namespace {

using Matrices = std::vector<std::vector<double>>;

TEST(ShapStabilityTest, MeasuresTheVarianceOverRefits) {
  const std::vector<double> x = {1, 2};
  const std::vector<FeatureColumn> features = {FeatureColumn::Numeric(x)};
  // Variances (divisor R - 1) of (1, 2, 3) and (4, 4, 4): 1 and 0; mean |phi| 3.
  const auto result = MeasureShapStability(Matrices{{1, -4}, {2, -4}, {3, -4}}, features, 0);
  ASSERT_TRUE(result.ok());
  EXPECT_DOUBLE_EQ(result->variance, 0.5);
  EXPECT_DOUBLE_EQ(result->mean_absolute, 3);
  EXPECT_DOUBLE_EQ(result->relative_variance, 0.5 / 9);
}

TEST(ShapStabilityTest, ScaleAloneIsNoRelativeGain) {
  const std::vector<double> x = {5, 1, 2};
  const std::vector<FeatureColumn> features = {FeatureColumn::Numeric(x)};
  const Matrices plain = {{1, 2, 4}, {3, 1, 0}, {2, 2, 7}};
  Matrices shrunk = plain;
  for (std::vector<double>& matrix : shrunk) {
    for (double& phi : matrix) phi /= 2;
  }
  const auto result = CompareShapStability(plain, shrunk, features, 0);
  ASSERT_TRUE(result.ok());
  EXPECT_DOUBLE_EQ(result->variance_ratio, 0.25);
  EXPECT_DOUBLE_EQ(result->relative_variance_ratio, 1);
  EXPECT_DOUBLE_EQ(result->unexplained_share_ratio, 1);
}

// phi = dependence on x plus noise: the share of the noise is known.
double ShareOf(const FeatureColumn& column, double noise,
               const std::function<double(double)>& dependence) {
  Rng random(7);
  const size_t rows = column.categorical ? column.codes.size() : column.numbers.size();
  Matrices refits(2, std::vector<double>(rows));
  for (std::vector<double>& matrix : refits) {
    for (size_t i = 0; i < rows; ++i) {
      const double x = column.categorical ? column.codes[i] : column.numbers[i];
      matrix[i] = dependence(x) + noise * random.NextGaussian();
    }
  }
  return MeasureShapStability(refits, {&column, 1}, 0)->unexplained_share;
}

TEST(ShapStabilityTest, FindsTheShareThatTheValueDoesNotExplain) {
  Rng random(1);
  std::vector<double> x(20'000);
  for (double& value : x) value = random.NextDouble();
  const auto numbers = FeatureColumn::Numeric(x);
  // Variance of a step of height 2 at 0.5: 1.
  const auto step = [](double v) { return v > 0.5 ? 2.0 : 0.0; };
  EXPECT_NEAR(ShareOf(numbers, 0, step), 0, 1e-3);
  EXPECT_NEAR(ShareOf(numbers, 1, step), 0.5, 0.02);
  EXPECT_NEAR(ShareOf(numbers, 0.5, step), 0.2, 0.02);
  EXPECT_NEAR(ShareOf(numbers, 1, [](double) { return 0; }), 1, 0.02);
}

TEST(ShapStabilityTest, ComparesEqualValuesAmongThemselves) {
  Rng random(1);
  std::vector<double> few(5000);
  std::vector<int32_t> codes(5000);
  for (size_t i = 0; i < 5000; ++i) {
    codes[i] = static_cast<int32_t>(i % 4);
    few[i] = codes[i] == 3 ? kMissing : codes[i];
  }
  const auto jump = [](double v) { return std::isnan(v) ? 10.0 : v * v; };
  // Missing values and levels are told apart from their neighbours altogether; numbers err by the
  // two jumps between neighbours in 5000 rows.
  EXPECT_NEAR(ShareOf(FeatureColumn::Numeric(few), 0, jump), 0, 1e-3);
  EXPECT_EQ(ShareOf(FeatureColumn::Categorical(codes, 4), 0, jump), 0);
  EXPECT_NEAR(ShareOf(FeatureColumn::Categorical(codes, 4), 1, [](double v) { return v; }),
              1 / 2.25, 0.02);
}

TEST(ShapStabilityTest, ConstantValuesGiveZeros) {
  const std::vector<double> x = {5, 1, 2};
  const std::vector<FeatureColumn> features = {FeatureColumn::Numeric(x)};
  const auto result = MeasureShapStability(Matrices(3, std::vector<double>(3, 0.0)), features, 0);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->variance, 0);
  EXPECT_EQ(result->relative_variance, 0);
  EXPECT_EQ(result->unexplained_share, 0);
}

TEST(ShapStabilityTest, RefusesWhatDoesNotFit) {
  const std::vector<double> x = {5, 1, 2};
  const std::vector<FeatureColumn> features = {FeatureColumn::Numeric(x),
                                               FeatureColumn::Numeric(x)};
  const auto code = [&](const Matrices& refits) {
    return MeasureShapStability(refits, features, 0).status().code();
  };
  const std::vector<double> good(6, 1.0);
  EXPECT_EQ(code({good, good}), absl::StatusCode::kOk);
  EXPECT_EQ(code({good}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({good, std::vector<double>(4)}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({std::vector<double>(5), std::vector<double>(5)}),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({{}, {}}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code({good, std::vector<double>(6, kMissing)}), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(
      CompareShapStability(Matrices{good, good}, Matrices{good, good, good}, features, 0).ok());
}

}  // namespace
}  // namespace trainyard
