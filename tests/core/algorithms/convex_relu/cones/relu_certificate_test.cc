// Dual norms against projections of every block from nothing; bounds against an interior-point
// method's optimum.
#include "core/algorithms/convex_relu/relu_certificate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "tests/core/algorithms/convex_relu/cones/barrier_reference.h"
#include "tests/core/algorithms/convex_relu/cones/relu_solve.h"

namespace trainyard::convex_relu {
namespace {

// ||Proj_K(-sign X^T D theta)|| of a block.
double NormOf(const ReluSetup& setup, const ConeBlock& block, const std::vector<double>& slopes) {
  std::vector<double> vector(static_cast<size_t>(setup.rows.stride()), 0.0);
  for (int64_t j = 0; j < setup.rows.rows(); ++j) {
    if (!IsActive(setup.problem.patterns.pattern(block.pattern), j)) continue;
    for (int k = 0; k < setup.rows.features(); ++k) {
      vector[static_cast<size_t>(k)] -=
          block.sign * slopes[static_cast<size_t>(j)] * setup.rows.row(j)[k];
    }
  }
  ActiveRows active;
  ConeProjector projector(setup.rows);
  return projector.Project(setup.problem.patterns.pattern(block.pattern), vector.data(), active,
                           vector.data());
}

std::vector<double> RandomSlopes(int64_t rows, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> slopes(static_cast<size_t>(rows));
  for (double& slope : slopes) slope = normal(random);
  return slopes;
}

TEST(ReluCertificateTest, FindsAllViolatorsAndTheirNorms) {
  for (const int threads : {1, 3}) {
    const ReluSetup given(TableProblem("diabetes_progression", false, 80, 4));
    ReluSetup setup(TableProblem("diabetes_progression", false, 80, 4), LossKind::kSquared,
                    threads);
    ReluCertifier certifier(setup.products, setup.rows, setup.problem.patterns, 1, setup.pool);
    for (uint64_t seed = 0; seed < 3; ++seed) {  // later ones begin with the earlier active rows
      const std::vector<double> slopes = RandomSlopes(setup.rows.rows(), seed / 2 + 500);
      std::vector<double> norms;
      for (int64_t i = 0; i < setup.products.patterns(); ++i) {
        for (const int sign : {1, -1}) norms.push_back(NormOf(given, {i, sign}, slopes));
      }
      std::vector<double> sorted = norms;
      std::sort(sorted.rbegin(), sorted.rend());
      EXPECT_NEAR(certifier.LargestNorm(slopes.data(), {}).value(), sorted[0], 1e-12 * sorted[0]);
      const size_t above = sorted.size() / 3;
      const double lambda = 0.5 * (sorted[above - 1] + sorted[above]);
      const ReluCertifier::Norms found =
          certifier.Evaluate(slopes.data(), lambda, 1000, {}).value();
      EXPECT_NEAR(found.largest, sorted[0], 1e-12 * sorted[0]);
      ASSERT_EQ(found.violators.size(), above);
      const ReluCertifier::Norms few = certifier.Evaluate(slopes.data(), lambda, 5, {}).value();
      ASSERT_EQ(few.violators.size(), 5U);
      for (size_t k = 0; k < 5; ++k) {
        EXPECT_EQ(few.violators[k].block, found.violators[k].block);
      }
      EXPECT_LE(few.projections, found.projections);
      for (size_t k = 0; k < above; ++k) {
        const ConeViolator& violator = found.violators[k];
        EXPECT_NEAR(violator.norm, sorted[k], 1e-12 * sorted[0]);
        EXPECT_NEAR(norms[static_cast<size_t>(2 * violator.block.pattern +
                                              (violator.block.sign > 0 ? 0 : 1))],
                    violator.norm, 1e-12 * sorted[0]);
      }
    }
  }
}

TEST(ReluCertificateTest, BoundsTheOptimumFromAnyPredictions) {
  for (uint64_t seed = 0; seed < 6; ++seed) {
    ReluSetup setup(RandomProblem(12, 2, 8, seed));
    const RowLoss loss(setup.targets);
    const double lambda = 0.2 * setup.LargestLambda();
    const double optimum = BarrierReference(setup.problem, lambda).Solve();
    ReluCertifier certifier(setup.products, setup.rows, setup.problem.patterns, 1, setup.pool);
    for (uint64_t trial = 0; trial < 20; ++trial) {
      std::vector<double> predictions = RandomSlopes(12, 1000 + trial);
      for (size_t j = 0; j < predictions.size(); ++j) {
        predictions[j] = 0.5 * setup.targets.values[j] + 0.2 * predictions[j];
      }
      std::vector<double> slopes(predictions.size());
      loss.Gradient(predictions.data(), slopes.data());
      const ReluCertifier::Norms norms =
          certifier.Evaluate(slopes.data(), lambda, 1000, {}).value();
      EXPECT_LE(ConeDualBound(loss, lambda, predictions.data(), norms.largest), optimum);
    }
  }
}

TEST(ReluCertificateTest, GivesZeroForNegativeMultiples) {
  // Predictions beyond the targets want theta turned round, which cones do not allow.
  ReluSetup setup(RandomProblem(12, 2, 8, 1));
  const RowLoss loss(setup.targets);
  std::vector<double> predictions = setup.targets.values;
  for (double& prediction : predictions) prediction *= 3;
  EXPECT_EQ(ConeDualBound(loss, 0.1, predictions.data(), 0.5), 0);
}

}  // namespace
}  // namespace trainyard::convex_relu
