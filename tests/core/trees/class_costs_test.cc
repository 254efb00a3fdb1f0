#include "core/trees/class_costs.h"

#include <algorithm>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace trainyard {
namespace {

TEST(LeastCostClassTest, WithoutCostsIsTheMostProbableClassTheFirstOfEquals) {
  EXPECT_EQ(LeastCostClass(std::vector<double>{0.2, 0.5, 0.3}, {}), 1);
  EXPECT_EQ(LeastCostClass(std::vector<double>{0.4, 0.2, 0.4}, {}), 0);
}

TEST(LeastCostClassTest, AGraveErrorMovesTheLine) {
  // Missing class 1 costs 9: it is predicted from a probability above 1 / 10.
  const std::vector<double> costs = {0, 1, 9, 0};
  EXPECT_EQ(LeastCostClass(std::vector<double>{0.91, 0.09}, costs), 0);
  EXPECT_EQ(LeastCostClass(std::vector<double>{0.9, 0.1}, costs), 0);  // a tie
  EXPECT_EQ(LeastCostClass(std::vector<double>{0.89, 0.11}, costs), 1);
}

// A class that nothing is lost by may win without any probability.
TEST(LeastCostClassTest, MayPredictAClassThatIsAbsent) {
  const std::vector<double> costs = {0, 9, 1, 9, 0, 1, 9, 9, 0};
  EXPECT_EQ(LeastCostClass(std::vector<double>{0.5, 0.5, 0}, costs), 2);
}

// Ties in whole counts are ties of the shares, whatever the division rounds to.
TEST(LeastCostClassTest, AgreesWithWholeNumbers) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 5000; ++round) {
    const size_t classes = 2 + random() % 4;
    std::vector<int64_t> counts(classes);
    int64_t total = 0;
    for (int64_t& count : counts) total += count = static_cast<int64_t>(random() % 50);
    if (total == 0) continue;
    std::vector<double> costs(classes * classes);
    std::vector<double> shares(classes);
    for (size_t c = 0; c < classes; ++c) {
      shares[c] = static_cast<double>(counts[c]) / static_cast<double>(total);
      for (size_t k = 0; k < classes; ++k) {
        costs[c * classes + k] = c == k ? 0 : static_cast<double>(random() % 6);
      }
    }
    std::vector<int64_t> expected(classes, 0);
    for (size_t k = 0; k < classes; ++k) {
      for (size_t c = 0; c < classes; ++c) {
        expected[k] += counts[c] * static_cast<int64_t>(costs[c * classes + k]);
      }
    }
    EXPECT_EQ(LeastCostClass(shares, costs),
              std::min_element(expected.begin(), expected.end()) - expected.begin());
  }
}

}  // namespace
}  // namespace trainyard
