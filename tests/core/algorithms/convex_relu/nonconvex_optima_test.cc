// Networks trained by gradients against the optimal values of the equivalent convex programs, by an
// interior-point solver (tests/data/convex_relu), and against a solution in closed form.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/algorithms/convex_relu/nonconvex_training.h"
#include "core/base/thread_pool.h"
#include "tests/core/algorithms/convex_relu/network_test_support.h"
#include "tests/core/algorithms/convex_relu/solved_problem.h"

namespace trainyard::convex_relu {
namespace {

NonconvexOptions LongTraining(double penalty) {
  NonconvexOptions options;
  options.penalty = penalty;
  options.trials = {{.settings = {.kind = OptimizerKind::kAdam}, .steps = {0.03}},
                    {.settings = {.kind = OptimizerKind::kSgd, .momentum = 0.9}, .steps = {0.5}}};
  options.seeds = {1, 2};
  options.epochs = 4000;
  options.batch_fraction = 1;
  options.decay_epochs = 500;
  options.record_epochs = 1000;
  options.initial_scale = 2;
  return options;
}

double Least(const std::vector<NonconvexRun>& runs) {
  double least = runs[0].objective;
  for (const NonconvexRun& run : runs) least = std::min(least, run.objective);
  return least;
}

// With one output and a neuron for each gate the two problems have the same optimal value.
TEST(NonconvexOptimaTest, GatedNetworksReachTheConvexOptimumAndNoLess) {
  ThreadPool pool(2);
  for (const std::string name : {"diabetes", "cancer_logistic"}) {
    const SolvedProblem problem = *ReadSolvedProblem(name);
    const NetworkCase c = CaseOf(problem);
    for (const SolvedCase& solved : {problem.cases[1], problem.cases[2]}) {
      NonconvexOptions options = LongTraining(solved.penalty);
      options.epochs = 6000;
      options.decay_epochs = 1000;
      const auto runs = *TrainNonconvex(DataOf(c), &c.gates, options, {}, pool);
      for (const NonconvexRun& run : runs) {
        EXPECT_GE(run.objective, solved.gated_optimum * (1 - solved.gated_gap - 1e-12));
      }
      EXPECT_LE(Least(runs), 1.002 * solved.gated_optimum) << name << " " << solved.penalty;
    }
  }
}

// On a line all patterns are known, so that C-ReLU's optimum is that of wide enough networks.
TEST(NonconvexOptimaTest, ReluNetworksOfALineReachTheConvexOptimumAndNoLess) {
  ThreadPool pool(2);
  const SolvedProblem problem = *ReadSolvedProblem("line");
  const NetworkCase c = CaseOf(problem);
  for (const SolvedCase& solved : problem.cases) {
    NonconvexOptions options = LongTraining(solved.penalty);
    options.neurons = 50;
    options.epochs = 8000;
    options.decay_epochs = 1000;
    const auto runs = *TrainNonconvex(DataOf(c), nullptr, options, {}, pool);
    for (const NonconvexRun& run : runs) {
      EXPECT_GE(run.objective, solved.relu_optimum * (1 - solved.relu_gap - 1e-12));
    }
    EXPECT_LE(Least(runs), 1.01 * solved.relu_optimum) << solved.penalty;
  }
}

// One neuron whose gate is open everywhere: min over u of 1/(2n) ||Xu - y||^2 + lambda ||u||, whose
// solution is (X'X + lambda n/s I)^-1 X'y where s is its own norm.
TEST(NonconvexOptimaTest, OneOpenGateIsRegressionWithANormPenalty) {
  const double penalty = 0.02;
  const int64_t n = 40;
  NetworkCase c = RandomCase(NetworkLoss::kSquared, n, 4, 1, 1, false, 12);
  for (int64_t row = 0; row < n; ++row) {
    for (int k = 0; k < 4; ++k) c.features.row(row)[k] *= k == 3 ? 0.0F : 0.2F;
    c.features.row(row)[3] = 0.2F;
  }
  for (int k = 0; k < 4; ++k) c.gates.row(0)[k] = k == 3 ? 1.0F : 0.0F;

  Eigen::MatrixXd x(n, 4);
  Eigen::VectorXd y(n);
  for (int64_t row = 0; row < n; ++row) {
    for (int k = 0; k < 4; ++k) x(row, k) = c.features.row(row)[k];
    y(row) = c.targets[static_cast<size_t>(row)];
  }
  double low = 1e-6;
  double high = 1e3;
  Eigen::VectorXd u;
  for (int i = 0; i < 100; ++i) {
    const double s = std::sqrt(low * high);
    u = (x.transpose() * x + penalty * n / s * Eigen::MatrixXd::Identity(4, 4))
            .ldlt()
            .solve(x.transpose() * y);
    (u.norm() > s ? low : high) = s;
  }
  const double optimum = (x * u - y).squaredNorm() / (2 * n) + penalty * u.norm();

  ThreadPool pool(2);
  const auto runs = *TrainNonconvex(DataOf(c), &c.gates, LongTraining(penalty), {}, pool);
  for (const NonconvexRun& run : runs) EXPECT_NEAR(run.objective, optimum, 1e-6 * optimum);
  const float scale = runs[0].weights.second.row(0)[0];
  for (int k = 0; k < 4; ++k) EXPECT_NEAR(runs[0].weights.first.row(0)[k] * scale, u(k), 1e-3);
}

}  // namespace
}  // namespace trainyard::convex_relu
