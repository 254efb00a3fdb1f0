#include "core/algorithms/metrics.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace trainyard {
namespace {

// Reference: the probability that a positive row scores above a negative one, over all pairs.
double PairwiseArea(const std::vector<double>& probabilities, const std::vector<int32_t>& classes,
                    const std::vector<double>& weights, size_t width, int32_t positive) {
  double won = 0;
  double pairs = 0;
  for (size_t i = 0; i < classes.size(); ++i) {
    for (size_t j = 0; j < classes.size(); ++j) {
      if (classes[i] != positive || classes[j] == positive) continue;
      const double a = probabilities[i * width + static_cast<size_t>(positive)];
      const double b = probabilities[j * width + static_cast<size_t>(positive)];
      pairs += weights[i] * weights[j];
      won += weights[i] * weights[j] * (a > b ? 1 : a == b ? 0.5 : 0);
    }
  }
  return won / pairs;
}

TEST(MetricsTest, AucIsTheShareOfPairsInOrder) {
  std::mt19937_64 random(1);
  for (const size_t width : {size_t{2}, size_t{3}}) {
    std::vector<double> probabilities;
    std::vector<int32_t> classes;
    std::vector<double> weights;
    for (int i = 0; i < 200; ++i) {
      for (size_t k = 0; k < width; ++k) {
        probabilities.push_back(static_cast<double>(random() % 12) / 12);
      }
      classes.push_back(static_cast<int32_t>(random() % width));
      weights.push_back(static_cast<double>(1 + random() % 5));
    }
    double expected = 0;
    for (size_t k = 0; k < width; ++k) {
      expected += PairwiseArea(probabilities, classes, weights, width, static_cast<int32_t>(k));
    }
    if (width == 2) expected = PairwiseArea(probabilities, classes, weights, width, 1);
    if (width == 3) expected /= 3;
    const auto metrics =
        *ClassificationMetrics(probabilities, classes, weights, static_cast<int>(width));
    EXPECT_NEAR(metrics.at("auc"), expected, 1e-12);
  }
}

TEST(MetricsTest, CountsAccuracyAndLogLossByHand) {
  const std::vector<double> probabilities = {0.8, 0.2, 0.5, 0.5, 0.0, 1.0};
  const std::vector<int32_t> classes = {0, 1, 0};
  auto metrics = *ClassificationMetrics(probabilities, classes, {}, 2);
  EXPECT_DOUBLE_EQ(metrics.at("accuracy"), 1.0 / 3);  // the first of equals is predicted
  EXPECT_DOUBLE_EQ(metrics.at("log_loss"), (-std::log(0.8) - std::log(0.5) - std::log(1e-15)) / 3);
  const std::vector<double> weights = {2, 1, 1};
  metrics = *ClassificationMetrics(probabilities, classes, weights, 2);
  EXPECT_DOUBLE_EQ(metrics.at("accuracy"), 0.5);
}

TEST(MetricsTest, CostsDecideWhatIsPredicted) {
  const std::vector<double> probabilities = {0.8, 0.2, 0.95, 0.05, 0.0, 1.0};
  const std::vector<int32_t> classes = {0, 1, 1};
  const std::vector<double> weights = {2, 1, 1};
  // Class 1 is predicted from a probability above 1 / 10: the first row costs 1, the second 9.
  const auto metrics = *ClassificationMetrics(probabilities, classes, weights, 2, {},
                                              std::vector<double>{0, 1, 9, 0});
  EXPECT_DOUBLE_EQ(metrics.at("accuracy"), 0.25);
  EXPECT_DOUBLE_EQ(metrics.at("cost"), (2 * 1 + 9) / 4.0);
  EXPECT_EQ(ClassificationMetrics(probabilities, classes, weights, 2)->count("cost"), 0u);
}

TEST(MetricsTest, LeavesOutWhatIsUndefined) {
  const std::vector<double> probabilities = {0.8, 0.2, 0.4, 0.6};
  const std::vector<int32_t> classes = {0, 0};
  EXPECT_EQ(ClassificationMetrics(probabilities, classes, {}, 2)->count("auc"), 0u);
  EXPECT_TRUE(ClassificationMetrics({}, {}, {}, 2)->empty());
  EXPECT_TRUE(RegressionMetrics({}, {}, {}, 1).empty());
  const std::vector<double> constant = {3, 3};
  const auto metrics = RegressionMetrics(std::vector<double>{3, 5}, constant, {}, 1);
  EXPECT_EQ(metrics.count("r2"), 0u);
  EXPECT_DOUBLE_EQ(metrics.at("rmse"), std::sqrt(2));
}

TEST(MetricsTest, AveragesTargets) {
  const std::vector<double> targets = {0, 10, 2, 30};      // two rows of two targets
  const std::vector<double> predictions = {1, 10, 1, 20};  // errors 1, 0, 1, 10
  const auto metrics = RegressionMetrics(predictions, targets, {}, 2);
  EXPECT_DOUBLE_EQ(metrics.at("rmse"), std::sqrt((1 + 0 + 1 + 100) / 4.0));
  EXPECT_DOUBLE_EQ(metrics.at("r2"), ((1 - 2.0 / 2) + (1 - 100.0 / 200)) / 2);
  EXPECT_DOUBLE_EQ(RegressionMetrics(targets, targets, {}, 2).at("r2"), 1);
}

}  // namespace
}  // namespace trainyard
