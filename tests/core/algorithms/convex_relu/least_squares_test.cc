// Against a dense factorisation of the normal equations (Eigen).
#include "core/algorithms/convex_relu/least_squares.h"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <vector>

#include "tests/core/algorithms/convex_relu/random_problem.h"

namespace trainyard::convex_relu {
namespace {

// The matrix [D_1 X ... D_P X], columns in the order of the weights without their padding.
Eigen::MatrixXd DenseMatrix(const RandomProblem& problem) {
  const int d = problem.data.columns();
  Eigen::MatrixXd a =
      Eigen::MatrixXd::Zero(problem.data.rows(), static_cast<int64_t>(problem.masks.size()) * d);
  for (size_t i = 0; i < problem.masks.size(); ++i) {
    for (int64_t j = 0; j < problem.data.rows(); ++j) {
      if (!problem.masks[i][static_cast<size_t>(j)]) continue;
      for (int k = 0; k < d; ++k) a(j, static_cast<int64_t>(i) * d + k) = problem.data.row(j)[k];
    }
  }
  return a;
}

struct Dense {
  Eigen::VectorXd weights;
  double objective;
};

Dense SolveDensely(const RandomProblem& problem, int output, double lambda) {
  const Eigen::MatrixXd a = DenseMatrix(problem);
  const int64_t n = problem.targets.rows;
  const double scale = 1.0 / static_cast<double>(n * problem.targets.outputs);
  const Eigen::Map<const Eigen::VectorXd> y(problem.targets.values.data() + output * n, n);
  const Eigen::Map<const Eigen::VectorXd> w(problem.targets.weights.data(), n);
  const Eigen::MatrixXd normal = scale * a.transpose() * w.asDiagonal() * a +
                                 lambda * Eigen::MatrixXd::Identity(a.cols(), a.cols());
  const Eigen::VectorXd x =
      normal.completeOrthogonalDecomposition().solve(scale * a.transpose() * w.asDiagonal() * y);
  const Eigen::VectorXd error = a * x - y;
  return {x, 0.5 * scale * error.dot(w.asDiagonal() * error) + 0.5 * lambda * x.squaredNorm()};
}

template <typename Real>
GatedState<Real> Solve(const RandomProblem& problem, int output, const GatedOptions& options) {
  DenseOperator<Real> products = problem.Products<Real>();
  const RowLoss loss(problem.targets, output);
  LsmrState<Real> lsmr;
  GatedState<Real> state;
  const absl::StatusOr<SolveEnd> end = SolveLeastSquares(products, loss, options, lsmr, state, {});
  EXPECT_TRUE(end.ok()) << end.status();
  EXPECT_NE(*end, SolveEnd::kIterations);
  return state;
}

TEST(LeastSquaresTest, EqualsTheNormalEquations) {
  const RandomProblem problem(3, 60, 5, 12, 2, LossKind::kSquared, true);
  for (const double lambda : {1e-5, 1e-3, 0.1}) {
    for (int output = 0; output < 2; ++output) {
      GatedOptions options;
      options.lambda = lambda;
      options.relative_gap = 1e-10;
      options.rfista.subgradient_tolerance = -1;
      const GatedState<double> found = Solve<double>(problem, output, options);
      const Dense dense = SolveDensely(problem, output, lambda);
      EXPECT_NEAR(found.progress.objective / dense.objective, 1, 1e-9);
      EXPECT_LE(found.progress.bound, dense.objective * (1 + 1e-12));
      EXPECT_LE(found.progress.relative_gap, 1e-10);
    }
  }
}

TEST(LeastSquaresTest, WithoutPenaltyTheGradientVanishes) {
  const RandomProblem problem(4, 80, 4, 10, 1, LossKind::kSquared, true);
  GatedOptions options;
  options.rfista.subgradient_tolerance = 1e-16;
  const GatedState<double> found = Solve<double>(problem, 0, options);
  EXPECT_LE(found.progress.subgradient_norm_squared, 1e-16);
  EXPECT_NEAR(found.progress.objective / SolveDensely(problem, 0, 0).objective, 1, 1e-7);
}

TEST(LeastSquaresTest, SinglePrecisionComesNear) {
  const RandomProblem problem(5, 80, 4, 10, 1, LossKind::kSquared, true);
  GatedOptions options;
  options.lambda = 1e-3;
  options.relative_gap = 1e-4;
  options.rfista.subgradient_tolerance = -1;
  const GatedState<float> found = Solve<float>(problem, 0, options);
  EXPECT_NEAR(found.progress.objective / SolveDensely(problem, 0, 1e-3).objective, 1, 1e-4);
}

TEST(LeastSquaresTest, GoesOnFromACheckpointBitForBit) {
  const RandomProblem problem(6, 60, 6, 20, 1, LossKind::kSquared, true);
  DenseOperator<double> products = problem.Products<double>();
  const RowLoss loss(problem.targets);
  GatedOptions options;
  options.lambda = 1e-6;
  options.relative_gap = 1e-9;
  options.rfista.subgradient_tolerance = -1;
  std::vector<LsmrState<double>> kept;
  LsmrState<double> lsmr;
  GatedState<double> state;
  GatedHooks hooks;
  hooks.checkpoint = [&] {
    kept.push_back(lsmr);
    return absl::OkStatus();
  };
  ASSERT_TRUE(SolveLeastSquares(products, loss, options, lsmr, state, hooks).ok());
  ASSERT_GE(kept.size(), 3u);
  LsmrState<double> resumed = kept[kept.size() / 2];
  GatedState<double> again;
  ASSERT_TRUE(SolveLeastSquares(products, loss, options, resumed, again, {}).ok());
  EXPECT_EQ(again.weights, state.weights);
  EXPECT_EQ(again.progress.iterations, state.progress.iterations);
}

}  // namespace
}  // namespace trainyard::convex_relu
