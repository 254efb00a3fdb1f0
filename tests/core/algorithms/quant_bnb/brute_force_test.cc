// The reference itself, on problems whose answers are plain.
#include "tests/core/algorithms/quant_bnb/brute_force.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"
#include "tests/core/algorithms/quant_bnb/random_case.h"

namespace trainyard {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

struct Problem {
  std::vector<std::vector<double>> numbers;
  std::vector<int32_t> classes;
  std::vector<double> values;
  v1::QuantBnbSpec spec;
  std::vector<FeatureColumn> features;
  std::vector<int64_t> rows;

  OptimalTreeInput input() {
    for (const std::vector<double>& column : numbers) {
      features.push_back(FeatureColumn::Numeric(column));
    }
    for (size_t i = 0; i < numbers[0].size(); ++i) rows.push_back(static_cast<int64_t>(i));
    spec.set_min_samples_leaf(std::max<int64_t>(spec.min_samples_leaf(), 1));
    OptimalTreeInput input;
    input.features = features;
    input.rows = rows;
    input.classes = classes;
    input.values = values;
    input.outputs = classes.empty() ? 1 : 2;
    return input;
  }
};

TEST(BruteForceTest, ExclusiveOrNeedsTwoLevels) {
  Problem problem{.numbers = {{0, 0, 1, 1}, {0, 1, 0, 1}}, .classes = {0, 1, 1, 0}};
  const OptimalTreeInput input = problem.input();
  BruteForce reference(input, problem.spec);
  EXPECT_EQ(reference.OptimalLoss(0), 2);
  EXPECT_EQ(reference.OptimalLoss(1), 2);
  EXPECT_EQ(reference.OptimalLoss(2), 0);
}

TEST(BruteForceTest, PenaltyCountsEachSplit) {
  Problem problem{.numbers = {{0, 0, 1, 1}, {0, 1, 0, 1}}, .classes = {0, 1, 1, 0}};
  problem.spec.set_split_penalty(0.5);
  const OptimalTreeInput input = problem.input();
  EXPECT_EQ(BruteForce(input, problem.spec).OptimalLoss(2), 1.5);
}

TEST(BruteForceTest, SmallLeavesAreNotAllowed) {
  Problem problem{.numbers = {{1, 2, 3, 4, 5}}, .values = {0, 10, 10, 10, 10}};
  problem.spec.set_min_samples_leaf(2);
  const OptimalTreeInput input = problem.input();
  BruteForce reference(input, problem.spec);
  EXPECT_DOUBLE_EQ(reference.OptimalLoss(1), 50);  // {0, 10} and three tens
  EXPECT_DOUBLE_EQ(reference.OptimalLoss(3), 50);
}

TEST(BruteForceTest, MissingValuesMayGoToEitherSide) {
  Problem problem{.numbers = {{1, 2, 3, kMissing}}, .classes = {1, 0, 0, 1}};
  const OptimalTreeInput input = problem.input();
  EXPECT_EQ(BruteForce(input, problem.spec).OptimalLoss(1), 0);
}

TEST(BruteForceTest, LossNeverRisesWithDepth) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const RandomCase random = MakeRandomCase(seed);
    const OptimalTreeInput input = random.input();
    BruteForce reference(input, random.spec);
    double loss = reference.LeafLoss(reference.rows());
    for (int depth = 0; depth <= random.spec.depth(); ++depth) {
      const double next = reference.OptimalLoss(depth);
      EXPECT_LE(next, loss) << random.Description();
      loss = next;
    }
  }
}

}  // namespace
}  // namespace trainyard
