// Solutions of C-ReLU against a dense interior-point method on small problems, and against their
// own certificates on tables, which hold however the solution was found.
#include "core/algorithms/convex_relu/relu_working_set.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tests/core/algorithms/convex_relu/cones/barrier_reference.h"
#include "tests/core/algorithms/convex_relu/cones/relu_solve.h"

namespace trainyard::convex_relu {
namespace {

TEST(ReluWorkingSetTest, AgreesWithAnInteriorPointMethod) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    const int d = 1 + static_cast<int>(seed % 3);
    ReluSetup setup(RandomProblem(8 + static_cast<int>(seed), d, 12, seed));
    const double largest = setup.LargestLambda();
    for (const double share : {0.5, 0.1, 0.01}) {
      ReluOptions options;
      options.lambda = share * largest;
      options.relative_gap = 1e-10;
      ReluState state;
      EXPECT_EQ(setup.Solve(options, state), SolveEnd::kGap) << seed << " " << share;
      const double reference = BarrierReference(setup.problem, options.lambda).Solve();
      EXPECT_NEAR(state.progress.objective, reference, 1e-8 * reference) << seed << " " << share;
      EXPECT_LE(state.progress.bound, reference * (1 + 1e-12));
    }
  }
}

TEST(ReluWorkingSetTest, IsZeroFromTheLargestLambdaOn) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    ReluSetup setup(RandomProblem(40, 4, 30, seed));
    ReluOptions options;
    options.lambda = setup.LargestLambda() * (1 + 1e-12);
    ReluState state;
    EXPECT_EQ(setup.Solve(options, state), SolveEnd::kGap);
    EXPECT_EQ(state.point.ActiveBlocks(), 0);
    options.lambda *= 0.999;
    options.relative_gap = 1e-9;
    state = ReluState();
    EXPECT_EQ(setup.Solve(options, state), SolveEnd::kGap);
    EXPECT_GT(state.point.ActiveBlocks(), 0);
  }
}

struct TableCase {
  const char* name;
  bool classes;
};

TEST(ReluWorkingSetTest, CertifiesTables) {
  const TableCase cases[] = {{"heart", true},     {"breast_cancer_recurrence", true},
                             {"haberman", true},  {"diabetes_pima", true},
                             {"red_wine", false}, {"iris", true},
                             {"wine", true},      {"diabetes_progression", false}};
  for (const TableCase& table : cases) {
    ReluSetup setup(TableProblem(table.name, table.classes, 100, 17));
    const double largest = setup.LargestLambda();
    for (const double share : {0.1, 0.01}) {
      ReluOptions options;
      options.lambda = share * largest;
      options.relative_gap = 1e-9;
      ReluState state;
      const SolveEnd end = setup.Solve(options, state);
      EXPECT_EQ(end, SolveEnd::kGap) << table.name << " " << share;
      EXPECT_LE(state.progress.relative_gap, 1e-9) << table.name << " " << share;
      const ConeViolation violation =
          MeasureViolation(setup.rows, setup.problem.patterns, state.point);
      EXPECT_LE(violation.largest_violation, 1e-11 * violation.largest_product);
    }
  }
}

}  // namespace
}  // namespace trainyard::convex_relu
