// The augmented Lagrangian against certified solutions, and its derivatives against differences.
#include "core/algorithms/convex_relu/augmented_lagrangian.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/algorithms/convex_relu/cone_penalty.h"
#include "tests/core/algorithms/convex_relu/cones/relu_solve.h"

namespace trainyard::convex_relu {
namespace {

SolveEnd SolveLagrangian(ReluSetup& setup, const LagrangianOptions& options, LagrangianState& state,
                         const LagrangianHooks& hooks = {}) {
  const RowLoss loss(setup.targets);
  return SolveByLagrangian(setup.products, setup.rows, setup.problem.patterns, setup.pool, loss,
                           options, state, hooks)
      .value();
}

TEST(ConePenaltyTest, HasTheDerivativesAndDivergencesOfItsValue) {
  ConeTestProblem problem = RandomProblem(700, 5, 20, 3);
  const ConeRows rows(problem.data);
  ThreadPool pool(2);
  std::vector<ConeBlock> blocks;
  for (int64_t i = 0; i < problem.patterns.patterns(); ++i) blocks.push_back({i, 1});
  ConePenalty penalty(rows, problem.patterns, pool, blocks);
  penalty.set_delta(0.7);
  std::mt19937_64 random(4);
  std::normal_distribution<double> normal;
  for (double& shift : penalty.shifts()) shift = std::max(normal(random), 0.0);
  std::vector<double> u(static_cast<size_t>(penalty.weights_size()), 0.0);
  std::vector<double> step(u.size(), 0.0);
  for (size_t k = 0; k < u.size(); ++k) {
    if (static_cast<int>(k) % rows.stride() >= rows.features()) continue;
    u[k] = normal(random);
    step[k] = normal(random);
  }
  std::vector<double> products(static_cast<size_t>(penalty.products_size()));
  penalty.Multiply(u.data(), products.data());
  for (size_t b = 0; b < blocks.size(); ++b) {
    for (int64_t j = 0; j < rows.rows(); ++j) {
      double expected = 0;
      for (int k = 0; k < rows.features(); ++k) {
        expected +=
            rows.row(j)[k] * u[b * static_cast<size_t>(rows.stride()) + static_cast<size_t>(k)];
      }
      if (!IsActive(problem.patterns.pattern(static_cast<int64_t>(b)), j)) expected = -expected;
      ASSERT_NEAR(products[b * 700 + static_cast<size_t>(j)], expected, 1e-12);
    }
  }
  std::vector<double> gradient(u.size(), 0.0);
  penalty.AddGradient(products.data(), gradient.data());
  double slope = 0;
  for (size_t k = 0; k < u.size(); ++k) slope += gradient[k] * step[k];
  const auto shifted = [&](double share) {
    std::vector<double> next = u;
    for (size_t k = 0; k < u.size(); ++k) next[k] += share * step[k];
    std::vector<double> image(products.size());
    penalty.Multiply(next.data(), image.data());
    return image;
  };
  const double h = 1e-5;
  const double difference =
      (penalty.Value(shifted(h).data()) - penalty.Value(shifted(-h).data())) / (2 * h);
  EXPECT_NEAR(difference, slope, 1e-6 * std::abs(slope));
  for (const double share : {1.0, 0.1, -0.5}) {
    const std::vector<double> next = shifted(share);
    EXPECT_NEAR(penalty.Divergence(next.data(), products.data()),
                penalty.Value(next.data()) - penalty.Value(products.data()) - share * slope,
                1e-9 * penalty.Value(products.data()));
  }
}

TEST(AugmentedLagrangianTest, ReachesCertifiedOptima) {
  for (uint64_t seed = 0; seed < 6; ++seed) {
    ReluSetup setup(RandomProblem(40, 3, 15, seed), LossKind::kSquared, 2);
    const double lambda = 0.1 * setup.LargestLambda();
    ReluOptions exact;
    exact.lambda = lambda;
    exact.relative_gap = 1e-10;
    ReluState certified;
    ASSERT_EQ(setup.Solve(exact, certified), SolveEnd::kGap);
    LagrangianOptions options;
    options.lambda = lambda;
    options.tolerance = 1e-13;
    options.complementarity = 1e-7;
    options.max_iterations = 200000;
    LagrangianState state;
    EXPECT_EQ(SolveLagrangian(setup, options, state), SolveEnd::kSubgradient) << seed;
    EXPECT_LE(state.progress.violation, 1e-13);
    EXPECT_NEAR(state.progress.objective, certified.progress.objective,
                1e-6 * certified.progress.objective)
        << seed;
  }
}

TEST(AugmentedLagrangianTest, AgreesOnATable) {
  ReluSetup setup(TableProblem("diabetes_progression", false, 25, 3), LossKind::kSquared, 2);
  const double lambda = 0.05 * setup.LargestLambda();
  ReluOptions exact;
  exact.lambda = lambda;
  ReluState certified;
  ASSERT_EQ(setup.Solve(exact, certified), SolveEnd::kGap);
  LagrangianOptions options;
  options.lambda = lambda;
  options.tolerance = 1e-10;
  options.complementarity = 1e-6;
  options.max_iterations = 100000;
  LagrangianState state;
  EXPECT_EQ(SolveLagrangian(setup, options, state), SolveEnd::kSubgradient);
  EXPECT_NEAR(state.progress.objective, certified.progress.objective,
              1e-4 * certified.progress.objective);
}

TEST(AugmentedLagrangianTest, StopsByTheReleasesRules) {
  ReluSetup setup(RandomProblem(40, 3, 15, 2), LossKind::kSquared, 2);
  LagrangianOptions options;
  options.lambda = 0.1 * setup.LargestLambda();
  options.release_rules = true;
  LagrangianState state;
  EXPECT_EQ(SolveLagrangian(setup, options, state), SolveEnd::kSubgradient);
  EXPECT_LE(state.progress.violation, 1e-6);
  EXPECT_LE(state.progress.subgradient_norm_squared, 1e-6);
}

TEST(AugmentedLagrangianTest, IsZeroFromTheLargestLambdaOn) {
  ReluSetup setup(RandomProblem(40, 3, 15, 2));
  LagrangianOptions options;
  options.lambda = 1.0001 * LargestLambda<double>(setup.products, RowLoss(setup.targets));
  LagrangianState state;
  EXPECT_EQ(SolveLagrangian(setup, options, state), SolveEnd::kSubgradient);
  EXPECT_EQ(state.progress.active_blocks, 0);
  EXPECT_TRUE(
      BlocksOf(state, 1, setup.products.patterns(), setup.products.stride()).blocks.empty());
}

TEST(AugmentedLagrangianTest, GoesOnBitForBitOnAnyNumberOfThreads) {
  LagrangianOptions options;
  options.tolerance = 1e-9;
  std::vector<double> first;
  for (const int threads : {1, 3}) {
    ReluSetup setup(RandomProblem(60, 4, 25, 5), LossKind::kSquared, threads);
    options.lambda = 0.1 * setup.LargestLambda();
    LagrangianState state;
    int calls = 0;
    LagrangianState kept;
    LagrangianHooks hooks;
    hooks.checkpoint = [&] {
      if (++calls == 7) kept = state;
      return absl::OkStatus();
    };
    SolveLagrangian(setup, options, state, hooks);
    ASSERT_GT(calls, 7);
    SolveLagrangian(setup, options, kept);
    EXPECT_EQ(kept.iteration.x, state.iteration.x);
    if (first.empty()) first = state.iteration.x;
    EXPECT_EQ(first, state.iteration.x);
  }
}

}  // namespace
}  // namespace trainyard::convex_relu
