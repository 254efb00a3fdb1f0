// ReLU networks with the optimised products against the optima of an interior-point solver
// (tests/data/convex_relu), by both ways of solving Newton's equations.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/algorithms/convex_relu/augmented_lagrangian.h"
#include "core/algorithms/convex_relu/cpu_pattern_operator.h"
#include "core/algorithms/convex_relu/gates.h"
#include "core/algorithms/convex_relu/relu_certificate.h"
#include "core/algorithms/convex_relu/relu_working_set.h"
#include "tests/core/algorithms/convex_relu/cones/cone_test_problems.h"
#include "tests/core/algorithms/convex_relu/solved_problem.h"

namespace trainyard::convex_relu {
namespace {

struct Loaded {
  Loaded(const SolvedProblem& problem, ThreadPool& pool) : data(problem.rows, problem.features) {
    PaddedMatrix<double> gates(problem.patterns, problem.features);
    for (int64_t j = 0; j < problem.rows; ++j) {
      std::copy_n(problem.x.begin() + j * problem.features, problem.features, data.row(j));
    }
    for (int64_t i = 0; i < problem.patterns; ++i) {
      std::copy_n(problem.gates.begin() + i * problem.features, problem.features, gates.row(i));
    }
    BitMatrix found =
        FindPatterns(data, *GivenGates(std::move(gates)), {}, pool, nullptr).value().patterns;
    patterns = PatternBits(found.patterns(), problem.rows);
    for (int64_t block = 0; block < found.row_blocks(); ++block) {
      for (int64_t i = 0; i < found.patterns(); ++i) {
        patterns.SetWord(i, block, found.PatternCodes(block)[i]);
      }
    }
    products = std::make_unique<CpuPatternOperator<double>>(data, std::move(found), pool);
    targets.loss = problem.loss == "squared"    ? LossKind::kSquared
                   : problem.loss == "logistic" ? LossKind::kLogistic
                                                : LossKind::kSoftmax;
    targets.rows = problem.rows;
    targets.outputs = problem.outputs;
    for (int o = 0; o < problem.outputs; ++o) {
      for (int64_t j = 0; j < problem.rows; ++j) {
        targets.values.push_back(problem.y[static_cast<size_t>(j * problem.outputs + o)]);
      }
    }
  }

  PaddedMatrix<double> data;
  PatternBits patterns;
  std::unique_ptr<CpuPatternOperator<double>> products;
  Targets targets;
};

// Objective of all outputs together by plain loops: loss of sum sign (x u)_+ and lambda sum ||u||.
double NetworkObjective(const Loaded& loaded, const ConeWeights& point, double lambda) {
  const Eigen::MatrixXd x = ToEigen(loaded.data);
  Eigen::MatrixXd z = Eigen::MatrixXd::Zero(x.rows(), loaded.targets.outputs);
  double objective = 0;
  for (size_t b = 0; b < point.blocks.size(); ++b) {
    const Eigen::Map<const Eigen::VectorXd> u(point.block(b), x.cols());
    z.col(point.blocks[b].output) += point.blocks[b].sign * (x * u).cwiseMax(0);
    objective += lambda * u.norm();
  }
  const double n = static_cast<double>(x.rows());
  for (int64_t j = 0; j < x.rows(); ++j) {
    double sum = 0;
    for (int o = 0; o < loaded.targets.outputs; ++o) {
      const double y = loaded.targets.values[static_cast<size_t>(o * x.rows() + j)];
      switch (loaded.targets.loss) {
        case LossKind::kSquared:
          objective += (z(j, o) - y) * (z(j, o) - y) / (2 * n * loaded.targets.outputs);
          break;
        case LossKind::kLogistic:
          objective += std::log(1 + std::exp(-y * z(j, o))) / (n * loaded.targets.outputs);
          break;
        case LossKind::kSoftmax:
          sum += std::exp(z(j, o));
          objective -= y * z(j, o) / n;
      }
    }
    if (loaded.targets.loss == LossKind::kSoftmax) objective += std::log(sum) / n;
  }
  return objective;
}

class ReluOptimaTest : public testing::TestWithParam<std::tuple<std::string, bool>> {};

TEST_P(ReluOptimaTest, AreReachedByPlainForwardPasses) {
  const auto [name, iterative] = GetParam();
  const absl::StatusOr<SolvedProblem> problem = ReadSolvedProblem(name);
  ASSERT_TRUE(problem.ok()) << problem.status();
  ThreadPool pool(2);
  Loaded loaded(*problem, pool);
  const ConeRows rows(loaded.data);
  for (const SolvedCase& solved : problem->cases) {
    ReluOptions options;
    options.lambda = solved.penalty;
    options.relative_gap = 1e-8;
    if (iterative) options.newton = {.max_dense_unknowns = 0, .iterative = true};
    ReluState state;  // all outputs together, whatever the loss
    const RowLoss loss(loaded.targets);
    EXPECT_EQ(
        SolveRelu(*loaded.products, rows, loaded.patterns, pool, loss, options, state, {}).value(),
        SolveEnd::kGap)
        << name << " " << solved.penalty;
    const double error = 1e-8 + solved.relu_gap;
    EXPECT_NEAR(state.progress.objective / solved.relu_optimum, 1, error);
    EXPECT_LE(state.progress.bound, solved.relu_optimum * (1 + 1e-12));
    EXPECT_NEAR(NetworkObjective(loaded, state.point, solved.penalty) / solved.relu_optimum, 1,
                error);
    const ConeViolation violation = MeasureViolation(rows, loaded.patterns, state.point);
    EXPECT_LE(violation.largest_violation, 1e-11 * violation.largest_product);
  }
}

INSTANTIATE_TEST_SUITE_P(Problems, ReluOptimaTest,
                         testing::Combine(testing::Values("diabetes", "iris_outputs",
                                                          "iris_softmax", "cancer_logistic",
                                                          "wine_raw", "line"),
                                          testing::Bool()));

TEST(ReluOptimaTest, TheLagrangianFindsThatOfTheSoftmax) {
  const SolvedProblem problem = ReadSolvedProblem("iris_softmax").value();
  ThreadPool pool(2);
  Loaded loaded(problem, pool);
  const ConeRows rows(loaded.data);
  const SolvedCase& solved = problem.cases[1];
  LagrangianOptions options;
  options.lambda = solved.penalty;
  options.tolerance = 1e-9;
  options.complementarity = 1e-5;
  options.max_iterations = 100000;
  LagrangianState state;
  ASSERT_EQ(SolveByLagrangian(*loaded.products, rows, loaded.patterns, pool,
                              RowLoss(loaded.targets), options, state, {})
                .value(),
            SolveEnd::kSubgradient);
  EXPECT_NEAR(state.progress.objective / solved.relu_optimum, 1, 1e-3);
  const ConeWeights point =
      BlocksOf(state, problem.outputs, problem.patterns, loaded.data.stride());
  EXPECT_NEAR(NetworkObjective(loaded, point, solved.penalty) / solved.relu_optimum, 1, 1e-3);
}

TEST(ReluOptimaTest, CoupledOutputsAreZeroFromTheLargestLambdaOn) {
  const SolvedProblem problem = ReadSolvedProblem("iris_softmax").value();
  ThreadPool pool(2);
  Loaded loaded(problem, pool);
  const ConeRows rows(loaded.data);
  const RowLoss loss(loaded.targets);
  ReluCertifier certifier(*loaded.products, rows, loaded.patterns, problem.outputs, pool);
  const double largest = LargestReluLambda(certifier, loss, {}).value();
  for (const double share : {1 + 1e-12, 0.999}) {
    ReluOptions options;
    options.lambda = share * largest;
    options.relative_gap = 1e-9;
    ReluState state;
    EXPECT_EQ(
        SolveRelu(*loaded.products, rows, loaded.patterns, pool, loss, options, state, {}).value(),
        SolveEnd::kGap);
    EXPECT_EQ(state.point.ActiveBlocks() == 0, share > 1);
  }
}

TEST(ReluOptimaTest, CoupledOutputsGoOnBitForBit) {
  const SolvedProblem problem = ReadSolvedProblem("iris_softmax").value();
  std::vector<double> first;
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    Loaded loaded(problem, pool);
    const ConeRows rows(loaded.data);
    const RowLoss loss(loaded.targets);
    ReluOptions options;
    options.lambda = problem.cases[2].penalty;
    options.relative_gap = 1e-9;
    options.newton = {.max_dense_unknowns = 0, .iterative = true};
    ReluState state;
    std::vector<ReluState> kept;
    ReluHooks hooks;
    hooks.checkpoint = [&] {
      kept.push_back(state);
      return absl::OkStatus();
    };
    const auto solve = [&](ReluState& at, const ReluHooks& own) {
      return SolveRelu(*loaded.products, rows, loaded.patterns, pool, loss, options, at, own)
          .value();
    };
    ASSERT_EQ(solve(state, hooks), SolveEnd::kGap);
    for (const size_t k : {size_t{0}, kept.size() / 2, kept.size() - 1}) {
      ReluState again = kept[k];
      ASSERT_EQ(solve(again, {}), SolveEnd::kGap);
      EXPECT_EQ(again.point.weights, state.point.weights) << "checkpoint " << k;
    }
    if (first.empty()) first = state.point.weights;
    EXPECT_EQ(first, state.point.weights);
  }
}

}  // namespace
}  // namespace trainyard::convex_relu
