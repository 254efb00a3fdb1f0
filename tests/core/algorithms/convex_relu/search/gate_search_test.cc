// The search, against fine grids of all directions and against all patterns there are.
#include "core/algorithms/convex_relu/gate_search.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>

#include "core/algorithms/convex_relu/gates.h"
#include "tests/core/algorithms/convex_relu/search/search_problem.h"

namespace trainyard::convex_relu {
namespace {

class GateSearchTest : public testing::TestWithParam<AscentKind> {
 protected:
  FoundGates Search(const SearchProblem& problem, const BitMatrix& known,
                    const GateSearchOptions& options, int threads = 2) {
    ThreadPool pool(threads);
    const PaddedMatrix<double> gates(0, problem.data.columns());
    auto found =
        SearchGates(problem.rows, known, gates, {}, problem.slopes, options, pool, nullptr);
    EXPECT_TRUE(found.ok()) << found.status();
    return *std::move(found);
  }
  static GateSearchOptions Options(double lambda) {
    GateSearchOptions options;
    options.kind = GetParam();
    options.lambda = lambda;
    return options;
  }
  static double Value(const SearchProblem& problem, const Eigen::VectorXd& g, int output = 0) {
    return GetParam() == AscentKind::kGated
               ? problem.Gated(g, output)
               : std::max(problem.Relu(g, 1, output), problem.Relu(g, -1, output));
  }
  BitMatrix None(const SearchProblem& problem) {
    ThreadPool pool(1);
    return {problem.rows.rows(), {}, pool};
  }
};

TEST_P(GateSearchTest, FindsTheWorstViolationOfAllPatterns) {
  for (const int dimensions : {2, 3}) {
    for (uint64_t seed = 0; seed < 8; ++seed) {
      const SearchProblem problem(12, dimensions, seed);
      double greatest = 0;
      for (const Eigen::VectorXd& g : AllDirections(dimensions, dimensions == 2 ? 20000 : 500)) {
        greatest = std::max(greatest, Value(problem, g));
      }
      const FoundGates found = Search(problem, None(problem), Options(0.5 * greatest));
      EXPECT_GE(found.largest_norm, greatest * (1 - 1e-12)) << dimensions << " " << seed;
      EXPECT_LE(found.largest_norm, greatest * (1 + 5e-3)) << dimensions << " " << seed;
      ASSERT_FALSE(found.violators.empty());
      EXPECT_EQ(found.violators[0].norm, found.largest_norm);
    }
  }
}

TEST_P(GateSearchTest, ViolatorsAreNewDistinctAndWhatTheySay) {
  const SearchProblem problem(60, 6, 3, 2);
  GateSearchOptions options = Options(1);
  const FoundGates all = Search(problem, None(problem), options);
  ASSERT_GT(all.violators.size(), 20u);
  std::set<std::vector<uint64_t>> patterns;
  for (size_t i = 0; i < all.violators.size(); ++i) {
    const FoundGate& found = all.violators[i];
    EXPECT_TRUE(patterns.insert(found.pattern).second);
    EXPECT_GT(found.norm, 1.0001);
    EXPECT_TRUE(i == 0 || found.norm <= all.violators[i - 1].norm);
    const Eigen::VectorXd gate = problem.Head(found.gate);
    EXPECT_NEAR(gate.norm(), 1, 1e-12);
    const double value = GetParam() == AscentKind::kGated
                             ? problem.Gated(gate, found.output)
                             : problem.Relu(gate, found.sign, found.output);
    EXPECT_NEAR(value, found.norm, 1e-10);
  }
  // Those that are known are not violators, but count for the greatest norm.
  ThreadPool pool(1);
  const BitMatrix known(60, all.violators[0].pattern, pool);
  const FoundGates others = Search(problem, known, options);
  EXPECT_EQ(others.largest_norm, all.largest_norm);
  for (const FoundGate& found : others.violators) {
    EXPECT_NE(found.pattern, all.violators[0].pattern);
  }
  options.most = 5;
  EXPECT_EQ(Search(problem, None(problem), options).violators.size(), 5u);
  options.lambda = 2 * all.largest_norm;
  EXPECT_TRUE(Search(problem, None(problem), options).violators.empty());
}

TEST_P(GateSearchTest, TheSameForEveryNumberOfThreads) {
  const SearchProblem problem(120, 8, 4);
  const FoundGates one = Search(problem, None(problem), Options(1), 1);
  const FoundGates three = Search(problem, None(problem), Options(1), 3);
  ASSERT_EQ(one.violators.size(), three.violators.size());
  for (size_t i = 0; i < one.violators.size(); ++i) {
    EXPECT_EQ(one.violators[i].gate, three.violators[i].gate);
    EXPECT_EQ(one.violators[i].pattern, three.violators[i].pattern);
    EXPECT_EQ(one.violators[i].norm, three.violators[i].norm);
  }
}

TEST_P(GateSearchTest, AChecksErrorEndsIt) {
  const SearchProblem problem(60, 6, 5);
  ThreadPool pool(2);
  std::atomic<int> asked = 0;
  const WorkCheck check = [&] {
    return ++asked > 30 ? absl::CancelledError("no more") : absl::OkStatus();
  };
  const PaddedMatrix<double> gates(0, 6);
  EXPECT_EQ(
      SearchGates(problem.rows, None(problem), gates, {}, problem.slopes, Options(1), pool, check)
          .status(),
      absl::CancelledError("no more"));
}

INSTANTIATE_TEST_SUITE_P(Kinds, GateSearchTest,
                         testing::Values(AscentKind::kRelu, AscentKind::kGated));

}  // namespace
}  // namespace trainyard::convex_relu
