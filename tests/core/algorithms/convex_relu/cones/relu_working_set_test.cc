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
    for (const double share : {0.1, 0.01, 0.003}) {
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

TEST(ReluWorkingSetTest, CertifiesLogisticLoss) {
  for (const char* name : {"haberman", "diabetes_pima", "iris"}) {
    ReluSetup setup(TableProblem(name, true, 60, 21), LossKind::kLogistic);
    ReluOptions options;
    options.lambda = 0.05 * setup.LargestLambda();
    options.relative_gap = 1e-8;
    ReluState state;
    EXPECT_EQ(setup.Solve(options, state), SolveEnd::kGap) << name;
    EXPECT_GT(state.point.ActiveBlocks(), 0);
    const ConeViolation violation =
        MeasureViolation(setup.rows, setup.problem.patterns, state.point);
    EXPECT_LE(violation.largest_violation, 1e-11 * violation.largest_product);
  }
}

TEST(ReluWorkingSetTest, StartsFromBlocks) {
  ReluSetup setup(TableProblem("diabetes_progression", false, 80, 3));
  ReluOptions options;
  options.lambda = 0.1 * setup.LargestLambda();
  ReluState state;
  ASSERT_EQ(setup.Solve(options, state), SolveEnd::kGap);
  state.Restart();
  ASSERT_EQ(setup.Solve(options, state), SolveEnd::kGap);
  EXPECT_EQ(state.progress.iterations, 0);
  EXPECT_EQ(state.progress.certificates, 1);
  options.lambda *= 0.8;
  state.Restart();
  ASSERT_EQ(setup.Solve(options, state), SolveEnd::kGap);
  ReluState cold;
  ASSERT_EQ(setup.Solve(options, cold), SolveEnd::kGap);
  EXPECT_NEAR(state.progress.objective, cold.progress.objective, 2e-6 * cold.progress.objective);
}

TEST(ReluWorkingSetTest, GoesOnBitForBitOnAnyNumberOfThreads) {
  std::vector<double> first;
  for (const int threads : {1, 3}) {
    ReluSetup setup(TableProblem("heart", true, 60, 8), LossKind::kSquared, threads);
    ReluOptions options;
    options.lambda = 0.03 * setup.LargestLambda();
    options.relative_gap = 1e-9;
    ReluState state;
    std::vector<ReluState> kept;
    ReluHooks hooks;
    hooks.checkpoint = [&] {
      kept.push_back(state);
      return absl::OkStatus();
    };
    ASSERT_EQ(setup.Solve(options, state, hooks), SolveEnd::kGap);
    ASSERT_GT(kept.size(), 4U);
    for (const size_t k : {size_t{0}, kept.size() / 2, kept.size() - 1}) {
      ReluState again = kept[k];
      ASSERT_EQ(setup.Solve(options, again), SolveEnd::kGap);
      EXPECT_EQ(again.point.weights, state.point.weights) << "checkpoint " << k;
      EXPECT_EQ(again.progress.bound, state.progress.bound);
    }
    if (first.empty()) first = state.point.weights;
    EXPECT_EQ(first, state.point.weights);
  }
}

TEST(ReluWorkingSetTest, StopsWhenAsked) {
  ReluSetup setup(TableProblem("heart", true, 60, 8), LossKind::kSquared, 2);
  ReluOptions options;
  options.lambda = 0.01 * setup.LargestLambda();
  for (const int most : {0, 3, 50, 500}) {
    int calls = 0;
    ReluHooks hooks;
    hooks.check = [&]() -> absl::Status {
      return ++calls > most ? absl::CancelledError("asked") : absl::OkStatus();
    };
    ReluState state;
    const RowLoss loss(setup.targets);
    EXPECT_EQ(SolveRelu(setup.products, setup.rows, setup.problem.patterns, setup.pool, loss,
                        options, state, hooks)
                  .status()
                  .code(),
              absl::StatusCode::kCancelled);
  }
  options.max_iterations = 6;
  ReluState state;
  EXPECT_EQ(setup.Solve(options, state), SolveEnd::kIterations);
  EXPECT_GT(state.progress.bound, 0);
  EXPECT_LT(state.progress.bound, state.progress.objective);
}

TEST(ReluWorkingSetTest, RefusesWhatItDoesNotSolve) {
  ReluSetup setup(RandomProblem(10, 2, 5, 1));
  ReluState state;
  const RowLoss loss(setup.targets);
  EXPECT_EQ(
      SolveRelu(setup.products, setup.rows, setup.problem.patterns, setup.pool, loss, {}, state, {})
          .status()
          .code(),
      absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace trainyard::convex_relu
