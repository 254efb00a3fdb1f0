// Projections against the best of all subsets of rows on small cones, and against the conditions of
// Karush, Kuhn and Tucker, which are sufficient, on large ones.
#include "core/algorithms/convex_relu/cone_projection.h"

#include <gtest/gtest.h>

#include <Eigen/QR>
#include <cmath>
#include <random>
#include <vector>

#include "tests/core/algorithms/convex_relu/cones/cone_test_problems.h"

namespace trainyard::convex_relu {
namespace {

// A x for all rows of a pattern's cone.
Eigen::MatrixXd SignedRows(const Eigen::MatrixXd& x, const uint64_t* pattern) {
  Eigen::MatrixXd a = x;
  for (int j = 0; j < a.rows(); ++j) {
    if (!IsActive(pattern, j)) a.row(j) *= -1;
  }
  return a;
}

// The nearest of the feasible points among projections onto the null spaces of subsets of rows.
Eigen::VectorXd BruteForceProjection(const Eigen::MatrixXd& a, const Eigen::VectorXd& p) {
  Eigen::VectorXd best = Eigen::VectorXd::Zero(p.size());
  for (unsigned subset = 0; subset < 1U << a.rows(); ++subset) {
    if (__builtin_popcount(subset) > p.size()) continue;
    Eigen::MatrixXd rows(__builtin_popcount(subset), p.size());
    for (int j = 0, k = 0; j < a.rows(); ++j) {
      if (subset >> j & 1) rows.row(k++) = a.row(j);
    }
    Eigen::VectorXd u = p;
    if (rows.rows() > 0) {
      u -= rows.transpose() * rows.transpose().completeOrthogonalDecomposition().solve(p);
    }
    if ((a * u).minCoeff() < -1e-11) continue;
    if ((u - p).norm() < (best - p).norm()) best = u;
  }
  return best;
}

struct Projected {
  Eigen::VectorXd u;
  ActiveRows active;
};

Projected Project(const ConeRows& rows, const uint64_t* pattern, const Eigen::VectorXd& p,
                  ActiveRows start = {}) {
  ConeProjector projector(rows);
  std::vector<double> padded(static_cast<size_t>(rows.stride()), 0.0);
  std::copy_n(p.data(), p.size(), padded.begin());
  Projected result{{}, std::move(start)};
  projector.Project(pattern, padded.data(), result.active, padded.data());
  result.u = Eigen::Map<Eigen::VectorXd>(padded.data(), p.size());
  return result;
}

// Feasible, u = p + A^T gamma, gamma > 0 and complementary.
void ExpectOptimal(const ConeRows& rows, const uint64_t* pattern, const Eigen::VectorXd& p,
                   const Projected& result) {
  const Eigen::MatrixXd a = SignedRows(ToEigen(rows.data()), pattern);
  Eigen::VectorXd rebuilt = p;
  double reached = p.norm();
  for (size_t k = 0; k < result.active.rows.size(); ++k) {
    EXPECT_GT(result.active.multipliers[k], 0);
    const auto row = a.row(result.active.rows[k]);
    rebuilt += result.active.multipliers[k] * row.transpose();
    reached = std::max(reached, result.active.multipliers[k] * row.norm());
    EXPECT_LE(std::abs(row.dot(result.u)), 1e-13 * row.norm() * result.u.norm());
  }
  EXPECT_LE((rebuilt - result.u).norm(), 1e-12 * reached);
  for (int j = 0; j < a.rows(); ++j) {
    EXPECT_GE(a.row(j).dot(result.u), -2e-12 * a.row(j).norm() * result.u.norm());
  }
}

TEST(ConeProjectionTest, AgreesWithAllSubsetsOfRows) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const int d = 1 + static_cast<int>(seed % 4);
    const int n = 1 + static_cast<int>(seed % 10);
    ConeTestProblem problem = RandomProblem(n, d, 3, seed);
    // Some rows are equal, opposite, multiples, or zero.
    if (seed % 3 == 0 && n > 3) {
      std::copy_n(problem.data.row(0), d, problem.data.row(1));
      for (int k = 0; k < d; ++k) problem.data.row(2)[k] = -2 * problem.data.row(0)[k];
      std::fill_n(problem.data.row(3), d, 0.0);
    }
    // Also patterns of no gate, whose cones have no interior.
    PatternBits bits(1, n);
    std::mt19937_64 random(seed);
    for (int j = 0; j < n; ++j) {
      if (random() % 2 == 0) bits.Activate(0, j);
    }
    const uint64_t* pattern = seed % 2 == 0 || problem.patterns.patterns() == 0
                                  ? bits.pattern(0)
                                  : problem.patterns.pattern(0);
    const ConeRows rows(problem.data);
    std::normal_distribution<double> normal;
    const Eigen::VectorXd p = Eigen::VectorXd::NullaryExpr(d, [&] { return normal(random); });
    const Projected result = Project(rows, pattern, p);
    const Eigen::VectorXd expected =
        BruteForceProjection(SignedRows(ToEigen(problem.data), pattern), p);
    EXPECT_LE((result.u - expected).norm(), 1e-11 * p.norm()) << "seed " << seed;
    ExpectOptimal(rows, pattern, p, result);
  }
}

TEST(ConeProjectionTest, IsOptimalOnLargeConesFromAnyStart) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    const int d = 5 + 9 * static_cast<int>(seed % 5);
    const ConeTestProblem problem = RandomProblem(600, d, 4, seed);
    const ConeRows rows(problem.data);
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    for (int64_t i = 0; i < problem.patterns.patterns(); ++i) {
      const uint64_t* pattern = problem.patterns.pattern(i);
      const Eigen::VectorXd p = Eigen::VectorXd::NullaryExpr(d, [&] { return normal(random); });
      const Projected cold = Project(rows, pattern, p);
      ExpectOptimal(rows, pattern, p, cold);
      const Projected warm = Project(rows, pattern, p, cold.active);
      EXPECT_LE((warm.u - cold.u).norm(), 1e-13 * p.norm());
      ActiveRows other;
      for (int k = 0; k < 2 * d; ++k) {
        other.rows.push_back(static_cast<int32_t>(random() % 600));
        other.multipliers.push_back(normal(random));
      }
      EXPECT_LE((Project(rows, pattern, p, other).u - cold.u).norm(), 1e-12 * p.norm());
    }
  }
}

TEST(ConeProjectionTest, IsOptimalOnTablesWithDependentColumns) {
  for (const char* name : {"heart", "breast_cancer_recurrence", "wine", "red_wine"}) {
    const ConeTestProblem problem = TableProblem(name, true, 30, 5);
    const ConeRows rows(problem.data);
    std::mt19937_64 random(9);
    std::normal_distribution<double> normal;
    for (int64_t i = 0; i < problem.patterns.patterns(); ++i) {
      const Eigen::VectorXd p =
          Eigen::VectorXd::NullaryExpr(rows.features(), [&] { return normal(random); });
      const uint64_t* pattern = problem.patterns.pattern(i);
      ExpectOptimal(rows, pattern, p, Project(rows, pattern, p));
    }
  }
}

TEST(ConeProjectionTest, KeepsPointsOfTheCone) {
  const ConeTestProblem problem = RandomProblem(50, 6, 1, 3);
  const ConeRows rows(problem.data);
  const Eigen::VectorXd gate = ToEigen(problem.gates).row(0);
  const Projected result = Project(rows, problem.patterns.pattern(0), gate);
  EXPECT_EQ(result.u, gate);
  EXPECT_TRUE(result.active.rows.empty());
}

TEST(ConeProjectionTest, IsZeroExactlyInThePolarCone) {
  const ConeTestProblem problem = RandomProblem(50, 6, 1, 4);
  const ConeRows rows(problem.data);
  const uint64_t* pattern = problem.patterns.pattern(0);
  const Eigen::MatrixXd a = SignedRows(ToEigen(problem.data), pattern);
  // Two rows span a face of the polar cone, all of them its inside.
  const Eigen::VectorXd face = -(a.row(3) + 2 * a.row(7));
  EXPECT_TRUE(Project(rows, pattern, face).u.isZero(1e-14));
  const Eigen::VectorXd inside = -a.colwise().sum();
  EXPECT_TRUE(Project(rows, pattern, inside).u.isZero(0));
  EXPECT_TRUE(Project(rows, pattern, Eigen::VectorXd::Zero(6)).u.isZero(0));
}

TEST(ConeProjectionTest, IsZeroInTheConeThatIsOnlyZero) {
  // x and -x with equal signs, for each axis.
  const int d = 5;
  Eigen::MatrixXd x(2 * d, d);
  x << Eigen::MatrixXd::Identity(d, d), -Eigen::MatrixXd::Identity(d, d);
  const PaddedMatrix<double> data = ToPadded(x);
  const ConeRows rows(data);
  const PatternBits none(1, 2 * d);
  EXPECT_TRUE(Project(rows, none.pattern(0), Eigen::VectorXd::Ones(d)).u.isZero(0));
}

TEST(ConeProjectionTest, StopsWhenTheNormIsSmallEnough) {
  const ConeTestProblem problem = RandomProblem(400, 20, 1, 8);
  const ConeRows rows(problem.data);
  const Eigen::VectorXd p = Eigen::VectorXd::Ones(20);
  std::vector<double> padded(static_cast<size_t>(rows.stride()), 0.0);
  std::copy_n(p.data(), 20, padded.begin());
  ConeProjector projector(rows);
  std::vector<double> u(padded.size());
  ActiveRows exact;
  const double norm =
      projector.Project(problem.patterns.pattern(0), padded.data(), exact, u.data());
  const int64_t changes = projector.changes();
  ActiveRows active;
  const double enough = 0.5 * (norm + p.norm());
  const double bound =
      projector.Project(problem.patterns.pattern(0), padded.data(), active, u.data(), enough);
  EXPECT_LE(bound, enough);
  EXPECT_GE(bound, norm);
  EXPECT_LT(projector.changes() - changes, changes);
}

}  // namespace
}  // namespace trainyard::convex_relu
