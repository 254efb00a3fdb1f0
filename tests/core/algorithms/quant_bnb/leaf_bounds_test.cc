// Bounds from the number of leaves against every division of a few rows into groups.
#include "core/algorithms/quant_bnb/leaf_bounds.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "core/base/random.h"
#include "gtest/gtest.h"

namespace trainyard::quant_bnb {
namespace {

// The least loss over all ways to put the problem's rows into at most `groups` groups.
double BestDivision(const SearchProblem& problem, int groups) {
  std::vector<std::vector<uint32_t>> parts(static_cast<size_t>(groups));
  double best = std::numeric_limits<double>::infinity();
  const std::function<void(int)> place = [&](int row) {
    if (row == problem.row_count()) {
      double loss = 0;
      for (const std::vector<uint32_t>& part : parts) {
        if (!part.empty()) loss += problem.LeafLoss(part);
      }
      best = std::min(best, loss);
      return;
    }
    for (std::vector<uint32_t>& part : parts) {
      const bool first_empty = part.empty();
      part.push_back(static_cast<uint32_t>(row));
      place(row + 1);
      part.pop_back();
      if (first_empty) break;  // empty groups are alike
    }
  };
  place(0);
  return best;
}

class LeafBoundsTest : public testing::Test {
 protected:
  void Check(bool regression, bool weighted, uint64_t seed) {
    Rng rng(seed, 3);
    const int rows = 2 + static_cast<int>(rng.UniformInt(8));
    std::vector<double> x;
    std::vector<double> values;
    std::vector<double> weights;
    std::vector<int32_t> classes;
    std::vector<int64_t> table_rows;
    for (int row = 0; row < rows; ++row) {
      table_rows.push_back(row);
      x.push_back(static_cast<double>(rng.UniformInt(6)));  // equal rows stand for several
      if (regression) values.push_back(50 + static_cast<double>(rng.UniformInt(9)));
      if (!regression) classes.push_back(static_cast<int32_t>(rng.UniformInt(7)));
      if (weighted) weights.push_back(0.1 + rng.NextDouble());
    }
    const std::vector<FeatureColumn> features = {FeatureColumn::Numeric(x)};
    OptimalTreeInput input;
    input.features = features;
    input.rows = table_rows;
    input.classes = classes;
    input.values = values;
    input.weights = weights;
    input.outputs = regression ? 1 : 7;
    v1::QuantBnbSpec spec;
    spec.set_min_samples_leaf(1);
    ThreadPool pool(1);
    const SearchProblem problem = SearchProblem::Build(input, spec, pool, nullptr).value();
    SearchNode node;
    node.AssignRoot(problem);
    for (const int leaves : {1, 2, 4, 8}) {
      const double expected = BestDivision(problem, leaves);
      EXPECT_NEAR(bounds_.Bound(node, leaves), expected, 1e-10 * (1 + node.leaf_loss()))
          << "seed " << seed << ", " << leaves << " leaves";
    }
  }

  LeafBounds bounds_;
};

TEST_F(LeafBoundsTest, OneTargetHasTheErrorOfItsBestGrouping) {
  for (uint64_t seed = 0; seed < 60; ++seed) Check(true, seed % 2 == 1, seed);
}

TEST_F(LeafBoundsTest, ClassesBeyondTheLargestAreErrors) {
  for (uint64_t seed = 0; seed < 60; ++seed) Check(false, seed % 2 == 1, seed);
}

TEST_F(LeafBoundsTest, NothingIsKnownOfSeveralTargets) {
  const std::vector<double> x = {1, 2, 3};
  const std::vector<FeatureColumn> features = {FeatureColumn::Numeric(x)};
  const std::vector<int64_t> rows = {0, 1, 2};
  const std::vector<double> values = {1, 5, 2, 6, 9, 0};
  OptimalTreeInput input;
  input.features = features;
  input.rows = rows;
  input.values = values;
  input.outputs = 2;
  v1::QuantBnbSpec spec;
  spec.set_min_samples_leaf(1);
  ThreadPool pool(1);
  const SearchProblem problem = SearchProblem::Build(input, spec, pool, nullptr).value();
  SearchNode node;
  node.AssignRoot(problem);
  EXPECT_EQ(bounds_.Bound(node, 2), 0);
}

}  // namespace
}  // namespace trainyard::quant_bnb
