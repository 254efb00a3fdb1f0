// Trees of two levels with little room for what screening needs, against a search that screens
// nothing.
#include "core/algorithms/quant_bnb/pair_solver.h"

#include <limits>
#include <numeric>
#include <vector>

#include "core/base/random.h"
#include "gtest/gtest.h"

namespace trainyard::quant_bnb {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Features that tell equally little of the target, one like the other: hard to search.
class NoiseTest : public testing::TestWithParam<uint64_t> {
 protected:
  NoiseTest() : numbers_(kFeatures) {
    Rng rng(GetParam());
    for (int row = 0; row < kRows; ++row) {
      rows_.push_back(row);
      classes_.push_back(static_cast<int32_t>(rng.UniformInt(2)));
      const double shift = 0.01 * static_cast<double>(GetParam() % 5) * classes_.back();
      for (std::vector<double>& column : numbers_) column.push_back(rng.NextDouble() + shift);
    }
    for (const std::vector<double>& column : numbers_) {
      features_.push_back(FeatureColumn::Numeric(column));
    }
    OptimalTreeInput input;
    input.features = features_;
    input.rows = rows_;
    input.classes = classes_;
    input.outputs = 2;
    v1::QuantBnbSpec spec;
    spec.set_min_samples_leaf(1);
    ThreadPool pool(1);
    problem_ = SearchProblem::Build(input, spec, pool, nullptr).value();
    node_.AssignRoot(problem_);
  }

  static constexpr int kRows = 1500;
  static constexpr size_t kFeatures = 12;

  std::vector<std::vector<double>> numbers_;
  std::vector<FeatureColumn> features_;
  std::vector<int64_t> rows_;
  std::vector<int32_t> classes_;
  SearchProblem problem_;
  SearchNode node_;
  StopToken stop_{nullptr};
};

TEST_P(NoiseTest, LittleRoomChangesNoAnswer) {
  SearchRules plain;
  plain.screening = false;
  PairSolver reference(plain, 0, stop_);
  const SubtreeSolution expected = reference.Solve(node_, kInfinity, {}, nullptr);
  // Room for none but the ends of the orders, for some anchors, and for all.
  for (const size_t few : {size_t{1}, size_t{100}, size_t{1} << 20}) {
    PairSolver solver(SearchRules(), 0, stop_, few);
    const SubtreeSolution found = solver.Solve(node_, kInfinity, {}, nullptr);
    EXPECT_EQ(found.loss, expected.loss) << few;
    EXPECT_EQ(found.bound, expected.bound) << few;
  }
}

TEST_P(NoiseTest, WhatIsForgottenIsOfNoMoreUse) {
  PairSolver all(SearchRules(), 0, stop_);
  all.Solve(node_, kInfinity, {}, nullptr);
  // A profile has 2 * kFeatures numbers: there are many times as many as are kept at first.
  constexpr size_t kFew = 64 * 2 * kFeatures;
  EXPECT_GT(all.counters().thresholds, 128);
  PairSolver few(SearchRules(), 0, stop_, kFew);
  few.Solve(node_, kInfinity, {}, nullptr);
  EXPECT_EQ(few.counters().thresholds, all.counters().thresholds);
  EXPECT_EQ(few.counters().batches, all.counters().batches);
  EXPECT_EQ(few.counters().pruned, all.counters().pruned);
  EXPECT_EQ(few.counters().screened_features, all.counters().screened_features);
}

INSTANTIATE_TEST_SUITE_P(Seeds, NoiseTest, testing::Range(uint64_t{1}, uint64_t{41}));

}  // namespace
}  // namespace trainyard::quant_bnb
