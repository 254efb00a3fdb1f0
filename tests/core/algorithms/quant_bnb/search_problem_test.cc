#include "core/algorithms/quant_bnb/search_problem.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/algorithms/quant_bnb/brute_force.h"
#include "tests/core/algorithms/quant_bnb/random_case.h"

namespace trainyard::quant_bnb {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;
using testing::HasSubstr;
using Kind = SearchFeature::Kind;

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

// A table with a target, whose arrays the input views.
class Table {
 public:
  static Table OfClasses(std::vector<int32_t> classes) { return {std::move(classes), {}}; }
  static Table OfValues(std::vector<double> values) { return {{}, std::move(values)}; }

  Table Numbers(std::vector<double> column) && {
    numbers_.push_back(std::make_unique<std::vector<double>>(std::move(column)));
    features_.push_back(FeatureColumn::Numeric(*numbers_.back()));
    return std::move(*this);
  }
  Table Levels(std::vector<int32_t> codes, int32_t level_count) && {
    codes_.push_back(std::make_unique<std::vector<int32_t>>(std::move(codes)));
    features_.push_back(FeatureColumn::Categorical(*codes_.back(), level_count));
    return std::move(*this);
  }
  Table Weights(std::vector<double> weights) && {
    weights_ = std::move(weights);
    return std::move(*this);
  }
  OptimalTreeInput input() const {
    OptimalTreeInput input;
    input.features = features_;
    input.rows = rows_;
    input.classes = classes_;
    input.values = values_;
    input.outputs = classes_.empty() ? 1 : 1 + *std::max_element(classes_.begin(), classes_.end());
    input.weights = weights_;
    return input;
  }

 private:
  Table(std::vector<int32_t> classes, std::vector<double> values)
      : classes_(std::move(classes)), values_(std::move(values)) {
    rows_.resize(std::max(classes_.size(), values_.size()));
    std::iota(rows_.begin(), rows_.end(), int64_t{0});
  }

  std::vector<std::unique_ptr<std::vector<double>>> numbers_;
  std::vector<std::unique_ptr<std::vector<int32_t>>> codes_;
  std::vector<FeatureColumn> features_;
  std::vector<int64_t> rows_;
  std::vector<int32_t> classes_;
  std::vector<double> values_;
  std::vector<double> weights_;
};

v1::QuantBnbSpec Spec() {
  v1::QuantBnbSpec spec;
  spec.set_min_samples_leaf(1);
  spec.set_missing_values(v1::QuantBnbSpec::MISSING_VALUES_LEARNED);
  return spec;
}

SearchProblem MakeProblem(const OptimalTreeInput& input, const v1::QuantBnbSpec& spec = Spec()) {
  ThreadPool pool(1);
  return SearchProblem::Build(input, spec, pool, nullptr).value();
}

SearchTree Stump(int feature, uint32_t rank) {
  return SearchTree::Join(feature, rank, SearchTree::Leaf(), SearchTree::Leaf());
}

std::vector<uint32_t> RowsInOrder(const SearchProblem& problem, int feature) {
  std::vector<uint32_t> rows;
  for (const uint32_t entry : problem.order(feature)) rows.push_back(entry & kRowMask);
  return rows;
}

TEST(SearchProblemTest, RanksCountSmallerDistinctValuesAndZeroHasNoSign) {
  const Table table = Table::OfClasses({0, 1, 1, 1, 0}).Numbers({0.0, 3, -0.0, -1, 3});
  const SearchProblem problem = MakeProblem(table.input());
  EXPECT_THAT(problem.ranks(0), ElementsAre(1, 2, 1, 0, 2));
  ASSERT_EQ(problem.order(0).size(), 5u);
  std::vector<bool> last;
  for (const uint32_t entry : problem.order(0)) last.push_back((entry & kLastOfValue) != 0);
  EXPECT_THAT(last, ElementsAre(true, false, true, false, true));
}

TEST(SearchProblemTest, EqualRowsOfAClassAreOneRow) {
  const Table table =
      Table::OfClasses({0, 0, 1, 0, 1, 1}).Numbers({1, 1, 1, 1, 2, 2}).Weights({1, 2, 4, 0, 1, 1});
  const SearchProblem problem = MakeProblem(table.input());
  ASSERT_EQ(problem.row_count(), 3);
  EXPECT_THAT(problem.classes(), ElementsAre(0, 1, 1));
  EXPECT_THAT(problem.weights(), ElementsAre(3, 4, 2));
  EXPECT_THAT(problem.counts(), ElementsAre(2, 1, 2));
  EXPECT_TRUE(problem.whole_losses());
  EXPECT_FALSE(problem.unit_weights());
}

TEST(SearchProblemTest, EqualRowsOfARegressionKeepTheirSums) {
  const Table table = Table::OfValues({1.0, 3.0, 8.0}).Numbers({5, 5, 6});
  const SearchProblem problem = MakeProblem(table.input());
  ASSERT_EQ(problem.row_count(), 2);
  EXPECT_THAT(problem.weights(), ElementsAre(2, 1));
  EXPECT_THAT(problem.sums(), ElementsAre(DoubleNear(-4, 1e-12), DoubleNear(4, 1e-12)));
  EXPECT_THAT(problem.squares(), ElementsAre(DoubleNear(10, 1e-12), DoubleNear(16, 1e-12)));
  EXPECT_NEAR(problem.Loss(Stump(0, 0)), 2, 1e-12);
  EXPECT_FALSE(problem.whole_losses());
}

TEST(SearchProblemTest, ConstantAndEqualFeaturesAreLeftOut) {
  const Table table = Table::OfClasses({0, 1, 0})
                          .Numbers({7, 7, 7})
                          .Numbers({1, 2, 3})
                          .Numbers({10, 200, 3000})
                          .Numbers({3, 2, 1});
  const SearchProblem problem = MakeProblem(table.input());
  ASSERT_EQ(problem.feature_count(), 2);
  EXPECT_EQ(problem.feature(0).column, 1);
  EXPECT_EQ(problem.feature(1).column, 3);
}

TEST(SearchProblemTest, MissingNumbersComeLastInOneOrderAndFirstInAnother) {
  const Table table = Table::OfClasses({0, 1, 0, 1}).Numbers({2, kMissing, 1, 3});
  const SearchProblem problem = MakeProblem(table.input());
  ASSERT_EQ(problem.feature_count(), 2);
  EXPECT_EQ(problem.feature(0).kind, Kind::kNumber);
  EXPECT_THAT(problem.ranks(0), ElementsAre(1, 3, 0, 2));
  EXPECT_EQ(problem.feature(1).kind, Kind::kMissingFirst);
  EXPECT_THAT(problem.ranks(1), ElementsAre(1, 0, 0, 2));
  EXPECT_THAT(RowsInOrder(problem, 0), ElementsAre(2, 0, 3, 1));
}

TEST(SearchProblemTest, LevelsAreOneAgainstTheRest) {
  const Table table = Table::OfClasses({0, 1, 2, 3, 4}).Levels({0, 1, 2, 1, -1}, 3);
  const SearchProblem problem = MakeProblem(table.input());
  // Three levels, each without and with the missing row, and all levels against the missing row.
  ASSERT_EQ(problem.feature_count(), 7);
  std::set<std::vector<uint32_t>> sides;
  for (int f = 0; f < 7; ++f) {
    sides.insert({problem.ranks(f).begin(), problem.ranks(f).end()});
  }
  const std::set<std::vector<uint32_t>> expected = {
      {0, 1, 1, 1, 1}, {1, 0, 1, 0, 1}, {1, 1, 0, 1, 1}, {0, 1, 1, 1, 0},
      {1, 0, 1, 0, 0}, {1, 1, 0, 1, 0}, {0, 0, 0, 0, 1}};
  EXPECT_EQ(sides, expected);
}

TEST(SearchProblemTest, MissingValuesAreRefusedWhereAsked) {
  const Table table = Table::OfClasses({0, 1}).Numbers({1, kMissing});
  v1::QuantBnbSpec spec = Spec();
  spec.set_missing_values(v1::QuantBnbSpec::MISSING_VALUES_REJECT);
  ThreadPool pool(1);
  const absl::Status status = SearchProblem::Build(table.input(), spec, pool, nullptr).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("row 2"));
}

TEST(SearchProblemTest, BuildingCanBeCancelled) {
  const Table table = Table::OfClasses({0, 1}).Numbers({1, 2});
  ThreadPool pool(1);
  const auto check = [] { return absl::CancelledError("enough"); };
  EXPECT_EQ(SearchProblem::Build(table.input(), Spec(), pool, check).status().code(),
            absl::StatusCode::kCancelled);
}

TEST(SearchProblemTest, ThresholdsAreMidwayBetweenValuesPresentAtTheNode) {
  const Table table = Table::OfClasses({0, 1, 0, 1}).Numbers({1, 2, 4, 8}).Numbers({1, 1, 2, 2});
  const OptimalTreeInput input = table.input();
  const SearchProblem problem = MakeProblem(input);
  // Right of the root are 4 and 8 alone: candidates 0 to 2 of feature 0 are all between them there.
  const SearchTree tree = SearchTree::Join(1, 0, Stump(0, 0), Stump(0, 2));
  const Tree plain = problem.ToTree(tree, input);
  EXPECT_THAT(plain.threshold, ElementsAre(1.5, 1.5, 0, 0, 6, 0, 0));
  EXPECT_THAT(plain.row_count, ElementsAre(4, 2, 1, 1, 2, 1, 1));
}

TEST(SearchProblemTest, AMidpointThatRoundsUpGivesWayToTheLowerValue) {
  const double lower = std::nextafter(1.0, 2.0);
  const double upper = std::nextafter(lower, 2.0);
  ASSERT_EQ(lower / 2 + upper / 2, upper);
  const Table table = Table::OfClasses({0, 1}).Numbers({lower, upper});
  const OptimalTreeInput input = table.input();
  const Tree plain = MakeProblem(input).ToTree(Stump(0, 0), input);
  EXPECT_EQ(plain.threshold[0], lower);
  EXPECT_EQ(FindLeaf(plain, input.features, 0), 1);
  EXPECT_EQ(FindLeaf(plain, input.features, 1), 2);
}

TEST(SearchProblemTest, MidpointsOfHugeValuesAreFinite) {
  const double huge = std::numeric_limits<double>::max();
  const Table table = Table::OfClasses({0, 1}).Numbers({huge / 2, huge});
  const OptimalTreeInput input = table.input();
  const Tree plain = MakeProblem(input).ToTree(Stump(0, 0), input);
  EXPECT_GT(plain.threshold[0], huge / 2);
  EXPECT_LT(plain.threshold[0], huge);
}

TEST(SearchProblemTest, LeavesHoldSharesOfClasses) {
  const Table table = Table::OfClasses({0, 1, 1, 1}).Numbers({1, 1, 1, 2}).Weights({1, 2, 1, 5});
  const OptimalTreeInput input = table.input();
  const Tree plain = MakeProblem(input).ToTree(Stump(0, 0), input);
  EXPECT_THAT(plain.weight, ElementsAre(9, 4, 5));
  EXPECT_THAT(plain.row_count, ElementsAre(4, 3, 1));
  EXPECT_THAT(plain.MeanOf(1), ElementsAre(0.25, 0.75));
  EXPECT_DOUBLE_EQ(plain.impurity[1], 0.375);
  EXPECT_EQ(plain.value, plain.mean);
}

TEST(SearchProblemTest, LeavesHoldMeansOfTargets) {
  const Table table = Table::OfValues({1.0, 3.0, 8.0}).Numbers({1, 1, 2});
  const OptimalTreeInput input = table.input();
  const Tree plain = MakeProblem(input).ToTree(Stump(0, 0), input);
  EXPECT_THAT(plain.mean, ElementsAre(4, 2, 8));
  EXPECT_THAT(plain.impurity, ElementsAre(DoubleNear(26.0 / 3, 1e-12), 1, 0));
}

// A random tree that splits every node into two parts where it can.
SearchTree RandomTree(const SearchProblem& problem, std::vector<uint32_t> rows, int depth,
                      Rng& rng) {
  if (depth == 0 || problem.feature_count() == 0) return SearchTree::Leaf();
  const int f = static_cast<int>(rng.UniformInt(static_cast<uint64_t>(problem.feature_count())));
  const uint32_t rank = problem.ranks(f)[rows[rng.UniformInt(rows.size())]];
  std::vector<uint32_t> sides[2];
  for (const uint32_t row : rows) sides[problem.ranks(f)[row] <= rank ? 0 : 1].push_back(row);
  if (sides[1].empty()) return SearchTree::Leaf();
  return SearchTree::Join(f, rank, RandomTree(problem, sides[0], depth - 1, rng),
                          RandomTree(problem, sides[1], depth - 1, rng));
}

SearchTree RandomTree(const SearchProblem& problem, Rng& rng) {
  std::vector<uint32_t> rows(static_cast<size_t>(problem.row_count()));
  std::iota(rows.begin(), rows.end(), uint32_t{0});
  return RandomTree(problem, rows, 3, rng);
}

bool NearlyEqual(double a, double b) {
  return a == b || std::abs(a - b) <= 1e-9 * std::max({1.0, std::abs(a), std::abs(b)});
}

// The search's loss of a tree, and those of the tree that users get, are the loss by definition.
TEST(SearchProblemTest, LossesAgreeWithTheDefinitionOnRandomTrees) {
  int trees = 0;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    const RandomCase random = MakeRandomCase(seed);
    const OptimalTreeInput input = random.input();
    const SearchProblem problem = MakeProblem(input, random.spec);
    const BruteForce reference(input, random.spec);
    Rng rng(seed, 3);
    for (int i = 0; i < 5; ++i) {
      const SearchTree tree = RandomTree(problem, rng);
      const Tree plain = problem.ToTree(tree, input);
      const double expected = reference.LossOf(plain);
      const double loss = problem.Loss(tree) + random.spec.split_penalty() * tree.splits();
      EXPECT_TRUE(NearlyEqual(loss, expected))
          << "seed " << seed << ": " << loss << " and " << expected << "\n"
          << random.Description();
      if (std::isinf(expected)) continue;
      EXPECT_TRUE(NearlyEqual(TreeLoss(input, random.spec, plain), expected)) << "seed " << seed;
      ++trees;
    }
  }
  EXPECT_GT(trees, 1000);
}

// The rows of positive weight in each leaf.
std::set<std::vector<int64_t>> LeafRows(const Tree& tree, const OptimalTreeInput& input) {
  std::map<int, std::vector<int64_t>> rows_of;
  for (size_t i = 0; i < input.rows.size(); ++i) {
    if (!input.weights.empty() && input.weights[i] == 0) continue;
    rows_of[FindLeaf(tree, input.features, input.rows[i])].push_back(input.rows[i]);
  }
  std::set<std::vector<int64_t>> leaves;
  for (const auto& [leaf, rows] : rows_of) leaves.insert(rows);
  return leaves;
}

TEST(SearchProblemTest, TreesSurviveTheWayThroughPlainTrees) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    const RandomCase random = MakeRandomCase(seed);
    const OptimalTreeInput input = random.input();
    const SearchProblem problem = MakeProblem(input, random.spec);
    Rng rng(seed, 4);
    const SearchTree tree = RandomTree(problem, rng);
    const Tree plain = problem.ToTree(tree, input);
    const SearchTree again = problem.FromTree(plain, input);
    EXPECT_EQ(LeafRows(problem.ToTree(again, input), input), LeafRows(plain, input))
        << "seed " << seed << "\n"
        << random.Description();
  }
}

// The candidates of all features are all the splits that there are.
TEST(SearchProblemTest, TheBestCandidateIsTheBestSplitByDefinition) {
  for (uint64_t seed = 0; seed < 500; ++seed) {
    const RandomCase random = MakeRandomCase(seed);
    const OptimalTreeInput input = random.input();
    const SearchProblem problem = MakeProblem(input, random.spec);
    double best = problem.Loss(SearchTree::Leaf());
    for (int f = 0; f < problem.feature_count(); ++f) {
      const uint32_t ranks = *std::max_element(problem.ranks(f).begin(), problem.ranks(f).end());
      for (uint32_t rank = 0; rank < ranks; ++rank) {
        best = std::min(best, random.spec.split_penalty() + problem.Loss(Stump(f, rank)));
      }
    }
    const double expected = BruteForce(input, random.spec).OptimalLoss(1);
    EXPECT_TRUE(NearlyEqual(best, expected))
        << "seed " << seed << ": " << best << " and " << expected << "\n"
        << random.Description();
  }
}

}  // namespace
}  // namespace trainyard::quant_bnb
