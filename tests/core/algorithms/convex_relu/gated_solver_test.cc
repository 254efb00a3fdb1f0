// Against a plain proximal gradient of many small steps, duality, and the ends of the lambda scale.
#include "core/algorithms/convex_relu/gated_solver.h"

#include <gtest/gtest.h>

#include <cmath>
#include <tuple>
#include <vector>

#include "core/algorithms/convex_relu/gated_function.h"
#include "tests/core/algorithms/convex_relu/random_problem.h"

namespace trainyard::convex_relu {
namespace {

// Objective after `steps` proximal gradient steps of a size that is certainly small enough, from
// zero: no momentum, no line search, none of the solver's code but the penalty's proximal map.
double PlainObjective(const RandomProblem& problem, RegularizerKind kind, double lambda,
                      int steps) {
  DenseOperator<double> products = problem.Products<double>();
  const RowLoss loss(problem.targets);
  const WeightShape shape{loss.outputs(), products.patterns(), products.features(),
                          products.stride()};
  // ||[D_1 X ... D_P X]||^2 <= P ||X||_F^2.
  const double lipschitz =
      loss.Smoothness() * static_cast<double>(products.patterns()) * products.features();
  const auto penalty = MakeRegularizer<double>(kind, lambda, shape);
  std::vector<double> x(static_cast<size_t>(shape.size()), 0.0);
  std::vector<double> gradient(x.size());
  std::vector<double> z(static_cast<size_t>(loss.size()), 0.0);
  std::vector<double> residual(z.size());
  for (int i = 0; i < steps; ++i) {
    loss.Gradient(z.data(), residual.data());
    products.Adjoint(loss.outputs(), residual.data(), gradient.data());
    for (size_t k = 0; k < x.size(); ++k) x[k] -= gradient[k] / lipschitz;
    penalty->Prox(1 / lipschitz, x.data());
    products.Forward(loss.outputs(), x.data(), z.data());
  }
  return loss.Value(z.data()) + penalty->Value(x.data());
}

GatedOptions Options(double lambda, RegularizerKind kind = RegularizerKind::kGroupL1) {
  GatedOptions options;
  options.lambda = lambda;
  options.regularizer = kind;
  options.relative_gap = 1e-9;
  options.rfista.max_iterations = 200000;
  options.rfista.subgradient_tolerance = 1e-22;
  options.data_norm = 2;
  return options;
}

template <typename Real>
struct Solved {
  SolveEnd end;
  GatedState<Real> state;
};

template <typename Real>
Solved<Real> Solve(const RandomProblem& problem, const GatedOptions& options,
                   GatedState<Real> from = {}) {
  DenseOperator<Real> products = problem.Products<Real>();
  const RowLoss loss(problem.targets);
  const absl::StatusOr<SolveEnd> end = SolveGated(products, loss, options, from, {});
  EXPECT_TRUE(end.ok()) << end.status();
  return {end.value_or(SolveEnd::kDiverged), std::move(from)};
}

double LambdaMax(const RandomProblem& problem) {
  DenseOperator<double> products = problem.Products<double>();
  return LargestLambda(products, RowLoss(problem.targets));
}

class GatedSolverTest : public testing::TestWithParam<std::tuple<LossKind, bool>> {
 protected:
  LossKind loss() const { return std::get<0>(GetParam()); }
  bool working_sets() const { return std::get<1>(GetParam()); }
};

TEST_P(GatedSolverTest, ReachesThePlainProximalGradientsObjective) {
  for (const int outputs : {2, 3}) {
    const RandomProblem problem(11, 25, 3, 6, outputs, loss(), true);
    for (const double share : {0.5, 0.1}) {
      GatedOptions options = Options(share * LambdaMax(problem));
      options.working_sets = working_sets();
      const Solved<double> solved = Solve<double>(problem, options);
      EXPECT_EQ(solved.end, SolveEnd::kGap);
      const double plain = PlainObjective(problem, options.regularizer, options.lambda, 60000);
      const GatedProgress& progress = solved.state.progress;
      EXPECT_NEAR(progress.objective / plain, 1, 1e-7);
      EXPECT_LE(progress.bound, progress.objective);
      EXPECT_LE(progress.relative_gap, 1e-9);
      EXPECT_LE(progress.bound, plain);
    }
  }
}

TEST_P(GatedSolverTest, AllWeightsAreZeroFromTheLargestLambdaOn) {
  const RandomProblem problem(5, 30, 4, 12, 2, loss());
  const double largest = LambdaMax(problem);
  GatedOptions options = Options(largest * 1.0000001);
  options.working_sets = working_sets();
  EXPECT_TRUE(Solve<double>(problem, options).state.patterns.empty());
  options.lambda = largest * 0.999;
  EXPECT_FALSE(Solve<double>(problem, options).state.patterns.empty());
}

TEST_P(GatedSolverTest, OrderOfPatternsDoesNotMatter) {
  RandomProblem problem(6, 30, 4, 12, 2, loss());
  GatedOptions options = Options(0.1 * LambdaMax(problem));
  options.working_sets = working_sets();
  const Solved<double> one = Solve<double>(problem, options);
  std::reverse(problem.masks.begin(), problem.masks.end());
  const Solved<double> other = Solve<double>(problem, options);
  EXPECT_NEAR(one.state.progress.objective / other.state.progress.objective, 1, 1e-8);
}

TEST_P(GatedSolverTest, MorePatternsAreNeverWorse) {
  RandomProblem problem(8, 30, 4, 16, 1,
                        loss() == LossKind::kSoftmax ? LossKind::kSquared : loss());
  GatedOptions options = Options(0.05 * LambdaMax(problem));
  options.working_sets = working_sets();
  double before = INFINITY;
  const std::vector<std::vector<bool>> masks = problem.masks;
  for (const size_t count : {4u, 8u, 16u}) {
    problem.masks.assign(masks.begin(), masks.begin() + static_cast<int64_t>(count));
    const double objective = Solve<double>(problem, options).state.progress.objective;
    EXPECT_LE(objective, before * (1 + 1e-8));
    before = objective;
  }
}

TEST_P(GatedSolverTest, SinglePrecisionReachesItsGap) {
  const RandomProblem problem(9, 60, 6, 30, 2, loss());
  GatedOptions options = Options(0.05 * LambdaMax(problem));
  options.working_sets = working_sets();
  options.relative_gap = 1e-4;
  const Solved<float> solved = Solve<float>(problem, options);
  EXPECT_EQ(solved.end, SolveEnd::kGap);
  options.relative_gap = 1e-9;
  const Solved<double> exact = Solve<double>(problem, options);
  EXPECT_NEAR(solved.state.progress.objective / exact.state.progress.objective, 1, 1e-4);
}

TEST_P(GatedSolverTest, AGapBeyondThePrecisionEndsTheSolve) {
  const RandomProblem problem(9, 60, 6, 30, 1, LossKind::kSquared);
  GatedOptions options = Options(0.05 * LambdaMax(problem));
  options.working_sets = working_sets();
  options.relative_gap = 1e-15;
  options.rfista.max_iterations = 20000;
  const Solved<float> solved = Solve<float>(problem, options);
  EXPECT_NE(solved.end, SolveEnd::kGap);
  EXPECT_LT(solved.state.progress.relative_gap, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Losses, GatedSolverTest,
                         testing::Combine(testing::Values(LossKind::kSquared, LossKind::kLogistic,
                                                          LossKind::kSoftmax),
                                          testing::Bool()));

TEST(GatedSolverTest, OtherPenaltiesReachThePlainProximalGradientsObjective) {
  const RandomProblem problem(21, 25, 3, 6, 2, LossKind::kSquared);
  for (const RegularizerKind kind :
       {RegularizerKind::kSquaredL2, RegularizerKind::kL1, RegularizerKind::kFeatureGroupL1}) {
    const GatedOptions options = Options(0.1 * LambdaMax(problem), kind);
    const Solved<double> solved = Solve<double>(problem, options);
    const double plain = PlainObjective(problem, kind, options.lambda, 100000);
    EXPECT_NEAR(solved.state.progress.objective / plain, 1, 1e-6);
    EXPECT_LE(solved.state.progress.bound, plain * (1 + 1e-9));
    EXPECT_LE(solved.state.progress.relative_gap, 1e-8);
  }
}

TEST(GatedSolverTest, GoesOnFromEveryCheckpointBitForBit) {
  const RandomProblem problem(31, 40, 5, 40, 2, LossKind::kLogistic);
  for (const bool working_sets : {true, false}) {
    GatedOptions options = Options(0.02 * LambdaMax(problem));
    options.working_sets = working_sets;
    options.relative_gap = 1e-5;
    options.least_added = 2;
    DenseOperator<double> products = problem.Products<double>();
    const RowLoss loss(problem.targets);
    std::vector<GatedState<double>> kept;
    GatedState<double> state;
    GatedHooks hooks;
    hooks.checkpoint = [&] {
      kept.push_back(state);
      return absl::OkStatus();
    };
    ASSERT_TRUE(SolveGated(products, loss, options, state, hooks).ok());
    ASSERT_GE(kept.size(), 4u);
    for (size_t i = kept.size(); i-- > 0; i -= std::min(i, kept.size() / 8)) {
      GatedState<double> resumed = kept[i];
      ASSERT_TRUE(SolveGated(products, loss, options, resumed, {}).ok());
      EXPECT_EQ(resumed.patterns, state.patterns);
      EXPECT_EQ(resumed.weights, state.weights);
      EXPECT_EQ(resumed.progress.objective, state.progress.objective);
      EXPECT_EQ(resumed.progress.iterations, state.progress.iterations);
    }
  }
}

TEST(GatedSolverTest, WarmStartsTakeFewerIterations) {
  const RandomProblem problem(41, 80, 6, 60, 1, LossKind::kSquared);
  const double largest = LambdaMax(problem);
  GatedState<double> warm = Solve<double>(problem, Options(0.05 * largest)).state;
  warm.Restart();
  const Solved<double> continued = Solve<double>(problem, Options(0.045 * largest), warm);
  const Solved<double> cold = Solve<double>(problem, Options(0.045 * largest));
  EXPECT_NEAR(continued.state.progress.objective / cold.state.progress.objective, 1, 1e-8);
  EXPECT_LT(continued.state.progress.iterations, cold.state.progress.iterations);
}

// Newton's method has been worth it at the first lambda, and begins at once at the second.
TEST(GatedSolverTest, AWarmSolveGoesOnFromEveryCheckpointBitForBit) {
  for (const LossKind kind : {LossKind::kSquared, LossKind::kSoftmax}) {
    const RandomProblem problem(33, 60, 5, 60, 2, kind);
    DenseOperator<double> products = problem.Products<double>();
    const RowLoss loss(problem.targets);
    const double largest = LambdaMax(problem);
    GatedState<double> state = Solve<double>(problem, Options(0.02 * largest)).state;
    EXPECT_GT(state.patience, 0);
    state.Restart();
    GatedOptions options = Options(0.01 * largest);
    options.least_added = 2;
    std::vector<GatedState<double>> kept;
    GatedHooks hooks;
    hooks.checkpoint = [&] {
      kept.push_back(state);
      return absl::OkStatus();
    };
    ASSERT_TRUE(SolveGated(products, loss, options, state, hooks).ok());
    ASSERT_GE(kept.size(), 3u);
    for (GatedState<double>& resumed : kept) {
      ASSERT_TRUE(SolveGated(products, loss, options, resumed, {}).ok());
      EXPECT_EQ(resumed.weights, state.weights);
      EXPECT_EQ(resumed.progress.iterations, state.progress.iterations);
      EXPECT_EQ(resumed.damping, state.damping);
      EXPECT_EQ(resumed.patience, state.patience);
    }
  }
}

TEST(GatedSolverTest, SecondOrderStepsTakeAFractionOfTheIterations) {
  const RandomProblem problem(43, 200, 8, 60, 1, LossKind::kSquared);
  GatedOptions options = Options(0.05 * LambdaMax(problem));
  const Solved<double> with = Solve<double>(problem, options);
  options.working_sets = false;
  const Solved<double> without = Solve<double>(problem, options);
  EXPECT_NEAR(with.state.progress.objective / without.state.progress.objective, 1, 1e-8);
  EXPECT_LT(2 * with.state.progress.iterations, without.state.progress.iterations);
}

TEST(GatedSolverTest, ChecksEndTheSolve) {
  const RandomProblem problem(51, 40, 5, 40, 1, LossKind::kSquared);
  DenseOperator<double> products = problem.Products<double>();
  GatedState<double> state;
  GatedHooks hooks;
  int calls = 0;
  hooks.check = [&] { return ++calls > 7 ? absl::CancelledError("enough") : absl::OkStatus(); };
  const RowLoss loss(problem.targets);
  EXPECT_EQ(SolveGated(products, loss, Options(1e-4), state, hooks).status().message(), "enough");
}

}  // namespace
}  // namespace trainyard::convex_relu
