// Decompositions: exact ones against a plain search for the shortest pair and their own
// certificate, all of them against what they promise.
#include "core/algorithms/convex_relu/cone_decomposition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/algorithms/convex_relu/cone_pair.h"
#include "core/algorithms/convex_relu/gated_solver.h"
#include "tests/core/algorithms/convex_relu/cones/relu_solve.h"

namespace trainyard::convex_relu {
namespace {

struct GatedSolution {
  std::vector<int64_t> patterns;
  std::vector<double> weights;
};

GatedSolution SolveGatedNetwork(ReluSetup& setup, double lambda, double* objective) {
  GatedOptions options;
  options.lambda = lambda;
  options.relative_gap = 1e-8;
  options.rfista.max_iterations = 200000;
  GatedState<double> state;
  const RowLoss loss(setup.targets);
  EXPECT_EQ(SolveGated<double>(setup.products, loss, options, state, {}).value(), SolveEnd::kGap);
  if (objective != nullptr) *objective = state.progress.objective;
  return {state.patterns, state.weights};
}

GatedSolution RandomVectors(ReluSetup& setup, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  GatedSolution solution;
  solution.patterns.resize(static_cast<size_t>(setup.products.patterns()));
  std::iota(solution.patterns.begin(), solution.patterns.end(), int64_t{0});
  for (size_t i = 0; i < solution.patterns.size(); ++i) {
    for (int k = 0; k < setup.rows.stride(); ++k) {
      solution.weights.push_back(k < setup.rows.features() ? normal(random) : 0);
    }
  }
  return solution;
}

Decomposition Decompose(ReluSetup& setup, const GatedSolution& solution,
                        const DecompositionOptions& options) {
  return DecomposeIntoCones(setup.rows, setup.problem.patterns, setup.problem.gates, setup.pool,
                            solution.patterns, solution.weights, options, {})
      .value();
}

// v - w = u for all vectors, to the rounding of the largest.
void ExpectDifferences(ReluSetup& setup, const GatedSolution& solution, const ConeWeights& point) {
  const int stride = setup.rows.stride();
  for (size_t k = 0; k < solution.patterns.size(); ++k) {
    Eigen::VectorXd rest = -Eigen::Map<const Eigen::VectorXd>(
        solution.weights.data() + static_cast<int64_t>(k) * stride, stride);
    double size = 0;
    for (size_t b = 0; b < point.blocks.size(); ++b) {
      if (point.blocks[b].pattern != solution.patterns[k]) continue;
      rest += point.blocks[b].sign * Eigen::Map<const Eigen::VectorXd>(point.block(b), stride);
      size = std::max(size, point.Norm(b));
    }
    EXPECT_LE(rest.norm(), 1e-15 * size);
  }
}

void ExpectFeasible(ReluSetup& setup, const ConeWeights& point, double share) {
  const ConeViolation violation = MeasureViolation(setup.rows, setup.problem.patterns, point);
  EXPECT_LE(violation.largest_violation, share * violation.largest_product);
}

// Subgradient-free reference in two dimensions: a cone of the plane is spanned by two rays, and w
// is searched on a grid of both coordinates that is refined around the best.
double ShortestPairInThePlane(const Eigen::MatrixXd& a, const Eigen::Vector2d& u) {
  Eigen::Vector2d center = Eigen::Vector2d::Zero();
  double reach = 100;
  double best = INFINITY;
  for (int round = 0; round < 60; ++round) {
    Eigen::Vector2d next = center;
    for (int i = -20; i <= 20; ++i) {
      for (int k = -20; k <= 20; ++k) {
        const Eigen::Vector2d w = center + reach / 20 * Eigen::Vector2d(i, k);
        if ((a * w).minCoeff() < -1e-12 || (a * (w + u)).minCoeff() < -1e-12) continue;
        const double norm = w.norm() + (w + u).norm();
        if (norm < best) {
          best = norm;
          next = w;
        }
      }
    }
    center = next;
    reach *= 0.6;
  }
  return best;
}

TEST(ConePairTest, IsTheShortestPairInThePlane) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    ReluSetup setup(RandomProblem(3 + static_cast<int>(seed % 4), 2, 20, seed));
    const uint64_t* pattern = setup.problem.patterns.pattern(0);
    const Eigen::Vector2d inside = ToEigen(setup.problem.gates).row(0).transpose();
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    const Eigen::Vector2d u(normal(random), normal(random));
    Eigen::MatrixXd a = ToEigen(setup.problem.data);
    for (int j = 0; j < a.rows(); ++j) {
      if (!IsActive(pattern, j)) a.row(j) *= -1;
    }
    const double reference = ShortestPairInThePlane(a, u);
    if (reference > 100) continue;  // beyond the grid
    ConePairSolver solver(setup.rows);
    const ConePair pair = solver.Solve(pattern, inside, u, 1e-9, {}).value();
    EXPECT_NEAR(pair.norm, reference, 1e-5 * reference) << seed;
    EXPECT_LE(pair.bound, reference * (1 + 1e-9));
  }
}

TEST(ConePairTest, CertifiesPairs) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const int d = 3 + 4 * static_cast<int>(seed);
    ReluSetup setup(RandomProblem(300, d, 3, seed));
    const GatedSolution vectors = RandomVectors(setup, 100 + seed);
    ConePairSolver solver(setup.rows);
    for (int64_t i = 0; i < setup.products.patterns(); ++i) {
      const Eigen::Map<const Eigen::VectorXd> u(vectors.weights.data() + i * setup.rows.stride(),
                                                d);
      const ConePair pair = solver
                                .Solve(setup.problem.patterns.pattern(i),
                                       ToEigen(setup.problem.gates).row(i).transpose(), u, 1e-7, {})
                                .value();
      EXPECT_LE(pair.norm - pair.bound, 1e-7 * pair.norm) << seed;
      EXPECT_LE((pair.v - pair.w - u).norm(), 1e-15 * pair.norm);
    }
  }
}

TEST(ConeDecompositionTest, KeepsTablesPredictionsAndIsShortest) {
  for (const char* name : {"diabetes_progression", "red_wine", "wine", "heart"}) {
    const bool classes = std::string(name) == "wine" || std::string(name) == "heart";
    ReluSetup setup(TableProblem(name, classes, 60, 11), LossKind::kSquared, 2);
    const double lambda = 0.05 * setup.LargestLambda();
    double gated = 0;
    const GatedSolution solution = SolveGatedNetwork(setup, lambda, &gated);
    DecompositionOptions options;
    const Decomposition exact = Decompose(setup, solution, options);
    EXPECT_LE(exact.largest_gap, 1e-6) << name;
    EXPECT_GE(exact.norm_ratio, 1);
    ExpectDifferences(setup, solution, exact.point);
    ExpectFeasible(setup, exact.point, 1e-13);
    options.method = DecompositionMethod::kGateShift;
    const Decomposition shifted = Decompose(setup, solution, options);
    ExpectDifferences(setup, solution, shifted.point);
    ExpectFeasible(setup, shifted.point, 1e-13);
    EXPECT_GE(shifted.norm_ratio, exact.norm_ratio * (1 - 1e-6));
    options.method = DecompositionMethod::kApproximate;
    options.tolerance = 1e-16;
    options.max_iterations = 100000;
    Decomposition approximate = Decompose(setup, solution, options);
    ExpectDifferences(setup, solution, approximate.point);
    ExpectFeasible(setup, approximate.point, 1e-2);
    ASSERT_TRUE(ShiftIntoCones(setup.rows, setup.problem.patterns, setup.problem.gates, true,
                               approximate.point)
                    .ok());
    ExpectFeasible(setup, approximate.point, 1e-13);
    ExpectDifferences(setup, solution, approximate.point);
    EXPECT_GE(approximate.point.SumOfNorms(), exact.point.SumOfNorms() * (1 - 1e-6));

    // F(gated) <= F(ReLU) <= F(decomposed).
    ReluOptions relu_options;
    relu_options.lambda = lambda;
    ReluState relu;
    EXPECT_EQ(setup.Solve(relu_options, relu), SolveEnd::kGap);
    EXPECT_GE(relu.progress.objective, gated * (1 - 1e-8));
    double norms = 0;
    for (size_t k = 0; k < solution.patterns.size(); ++k) {
      norms += Eigen::Map<const Eigen::VectorXd>(
                   solution.weights.data() + static_cast<int64_t>(k) * setup.rows.stride(),
                   setup.rows.stride())
                   .norm();
    }
    const double decomposed = gated + lambda * (exact.norm_ratio - 1) * norms;
    EXPECT_LE(relu.progress.objective, decomposed * (1 + 1e-6));
  }
}

// Rows of which some are orthogonal to the gate (1, 0, ..., 0), as those of sparse gates are.
ConeTestProblem ProblemWithTouchedRows(int rows, int d, int touched, uint64_t seed) {
  Eigen::MatrixXd x = ToEigen(RandomProblem(rows, d, 1, seed).data);
  x.topLeftCorner(touched, 1).setZero();
  ConeTestProblem problem;
  problem.data = ToPadded(x);
  problem.targets = Eigen::VectorXd::Zero(rows);
  problem.gates = ToPadded(Eigen::MatrixXd::Identity(1, d));
  problem.patterns = PatternBits(1, rows);
  for (int j = 0; j < rows; ++j) {
    if (x(j, 0) > 0) problem.patterns.Activate(0, j);
  }
  return problem;
}

TEST(ConePairTest, IsTheShortestPairOfAGateThatTouchesRows) {
  int compared = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    ReluSetup setup(ProblemWithTouchedRows(3, 2, 1, seed));
    const uint64_t* pattern = setup.problem.patterns.pattern(0);
    const GatedSolution vectors = RandomVectors(setup, seed + 50);
    const Eigen::Vector2d u(vectors.weights[0], vectors.weights[1]);
    Eigen::MatrixXd a = ToEigen(setup.problem.data);
    for (int j = 0; j < a.rows(); ++j) {
      if (!IsActive(pattern, j)) a.row(j) *= -1;
    }
    const double reference = ShortestPairInThePlane(a, u);
    if (reference > 100) continue;  // beyond the grid
    ++compared;
    ConePairSolver solver(setup.rows);
    const ConePair pair = solver.Solve(pattern, Eigen::Vector2d(1, 0), u, 1e-9, {}).value();
    EXPECT_NEAR(pair.norm, reference, 1e-5 * reference) << seed;
    EXPECT_LE(pair.bound, reference * (1 + 1e-9));
  }
  EXPECT_GT(compared, 20);
}

TEST(ConeDecompositionTest, FindsAnotherVectorWhereGatesTouchRows) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    ReluSetup setup(ProblemWithTouchedRows(60, 6, 4, seed));
    const GatedSolution vectors = RandomVectors(setup, seed);
    double shortest = 0;
    for (const auto method : {DecompositionMethod::kExact, DecompositionMethod::kGateShift}) {
      DecompositionOptions options;
      options.method = method;
      const Decomposition found = Decompose(setup, vectors, options);
      ExpectDifferences(setup, vectors, found.point);
      ExpectFeasible(setup, found.point, 1e-12);
      EXPECT_LE(found.largest_gap, 1e-6);
      if (method == DecompositionMethod::kExact) shortest = found.norm_ratio;
      EXPECT_GE(found.norm_ratio, shortest * (1 - 1e-6));
    }
  }
}

TEST(ConeDecompositionTest, WorksInWhatAFlatConeSpansAndSaysWhereThereIsNoPair) {
  // Two opposite rows that the gate touches: the cone lies in the plane orthogonal to them.
  ConeTestProblem problem = ProblemWithTouchedRows(30, 4, 2, 5);
  for (int k = 0; k < 4; ++k) problem.data.row(1)[k] = -problem.data.row(0)[k];
  ReluSetup setup(std::move(problem));
  GatedSolution vectors = RandomVectors(setup, 9);
  const auto refused = DecomposeIntoCones(setup.rows, setup.problem.patterns, setup.problem.gates,
                                          setup.pool, vectors.patterns, vectors.weights, {}, {});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.status().message()), testing::HasSubstr("3 of 4 dimensions"));
  Eigen::Map<Eigen::VectorXd> u(vectors.weights.data(), 4);
  const Eigen::VectorXd row = Eigen::Map<const Eigen::VectorXd>(setup.rows.row(0), 4).normalized();
  u -= row.dot(u) * row;
  const Decomposition found = Decompose(setup, vectors, {});
  ExpectDifferences(setup, vectors, found.point);
  ExpectFeasible(setup, found.point, 1e-12);
  EXPECT_LE(found.largest_gap, 1e-6);
}

TEST(ConeDecompositionTest, TakesTheVectorsOfSeveralOutputs) {
  ReluSetup setup(RandomProblem(40, 4, 6, 2));
  const GatedSolution first = RandomVectors(setup, 1);
  const GatedSolution second = RandomVectors(setup, 2);
  std::vector<double> weights = first.weights;
  weights.insert(weights.end(), second.weights.begin(), second.weights.end());
  const Decomposition both =
      DecomposeIntoCones(setup.rows, setup.problem.patterns, setup.problem.gates, setup.pool,
                         first.patterns, weights, {}, {})
          .value();
  for (const int output : {0, 1}) {
    const Decomposition own = Decompose(setup, output == 0 ? first : second, {});
    size_t at = 0;
    for (size_t b = 0; b < both.point.blocks.size(); ++b) {
      if (both.point.blocks[b].output != output) continue;
      ASSERT_LT(at, own.point.blocks.size());
      EXPECT_EQ(both.point.blocks[b].pattern, own.point.blocks[at].pattern);
      EXPECT_EQ(both.point.blocks[b].sign, own.point.blocks[at].sign);
      EXPECT_EQ(both.point.Norm(b), own.point.Norm(at));
      ++at;
    }
    EXPECT_EQ(at, own.point.blocks.size());
  }
}

TEST(ConeDecompositionTest, NeedsNoSecondVectorInTheConeOrItsNegative) {
  ReluSetup setup(RandomProblem(30, 4, 5, 2));
  GatedSolution solution;
  for (int64_t i = 0; i < setup.products.patterns(); ++i) {
    solution.patterns.push_back(i);
    const double sign = i % 2 == 0 ? 3 : -0.5;
    for (int k = 0; k < setup.rows.stride(); ++k) {
      solution.weights.push_back(sign * setup.problem.gates.row(i)[k]);
    }
  }
  for (const auto method : {DecompositionMethod::kExact, DecompositionMethod::kApproximate,
                            DecompositionMethod::kGateShift}) {
    DecompositionOptions options;
    options.method = method;
    const Decomposition result = Decompose(setup, solution, options);
    EXPECT_DOUBLE_EQ(result.norm_ratio, 1);
    ASSERT_EQ(result.point.blocks.size(), solution.patterns.size());
    for (const ConeBlock& block : result.point.blocks) {
      EXPECT_EQ(block.sign, block.pattern % 2 == 0 ? 1 : -1);
    }
  }
}

TEST(ConeDecompositionTest, HasAClosedFormForIndependentRows) {
  ReluSetup setup(RandomProblem(6, 9, 8, 3));
  const GatedSolution solution = RandomVectors(setup, 44);
  DecompositionOptions options;
  options.method = DecompositionMethod::kPseudoInverse;
  const Decomposition closed = Decompose(setup, solution, options);
  ExpectDifferences(setup, solution, closed.point);
  ExpectFeasible(setup, closed.point, 1e-13);
  options.method = DecompositionMethod::kExact;
  EXPECT_LE(Decompose(setup, solution, options).norm_ratio, closed.norm_ratio * (1 + 1e-6));

  ReluSetup tall(RandomProblem(20, 4, 8, 3));
  options.method = DecompositionMethod::kPseudoInverse;
  const GatedSolution vectors = RandomVectors(tall, 44);
  EXPECT_EQ(DecomposeIntoCones(tall.rows, tall.problem.patterns, tall.problem.gates, tall.pool,
                               vectors.patterns, vectors.weights, options, {})
                .status()
                .code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(ConeDecompositionTest, StopsWhenAsked) {
  ReluSetup setup(RandomProblem(50, 6, 20, 3), LossKind::kSquared, 2);
  const GatedSolution vectors = RandomVectors(setup, 44);
  std::atomic<int> calls = 0;  // asked by all threads
  const auto result = DecomposeIntoCones(
      setup.rows, setup.problem.patterns, setup.problem.gates, setup.pool, vectors.patterns,
      vectors.weights, {}, [&]() -> absl::Status {
        return ++calls > 1 ? absl::DeadlineExceededError("enough") : absl::OkStatus();
      });
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(ShiftIntoConesTest, RepairsEachBlockOrKeepsPredictions) {
  ReluSetup setup(RandomProblem(60, 5, 12, 9));
  for (const bool keep : {false, true}) {
    ConeWeights point;
    point.stride = setup.rows.stride();
    point.Add({{0, 1}, {1, -1}, {2, 1}, {2, -1}});
    std::mt19937_64 random(3);
    std::normal_distribution<double> normal;
    for (size_t b = 0; b < point.blocks.size(); ++b) {
      for (int k = 0; k < setup.rows.features(); ++k) point.block(b)[k] = normal(random);
    }
    BlockProducts products(setup.rows, setup.problem.patterns, setup.pool);
    Eigen::VectorXd before(setup.rows.rows());
    Eigen::VectorXd after(setup.rows.rows());
    products.Predict(point, 1, before.data());
    EXPECT_GT(ShiftIntoCones(setup.rows, setup.problem.patterns, setup.problem.gates, keep, point)
                  .value(),
              0);
    products.Predict(point, 1, after.data());
    ExpectFeasible(setup, point, 1e-13);
    if (keep) {
      EXPECT_LE((before - after).norm(), 1e-13 * point.SumOfNorms() * after.norm());
    }
    EXPECT_EQ(point.blocks.size(), keep ? 6U : 4U);
  }
}

}  // namespace
}  // namespace trainyard::convex_relu
