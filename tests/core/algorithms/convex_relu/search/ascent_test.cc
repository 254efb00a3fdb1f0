// Climbs of single gates, against plain values of what they climb on grids and at random points.
#include <gtest/gtest.h>

#include "core/algorithms/convex_relu/cell_ascent.h"
#include "core/algorithms/convex_relu/gate_ascent.h"
#include "core/algorithms/convex_relu/gate_circle.h"
#include "core/algorithms/convex_relu/pattern_bits.h"
#include "tests/core/algorithms/convex_relu/search/search_problem.h"

namespace trainyard::convex_relu {
namespace {

std::vector<AscentPoint> RandomPoints(const SearchProblem& problem, int count, int outputs) {
  std::mt19937_64 random(7);
  std::normal_distribution<double> normal;
  std::vector<AscentPoint> points;
  for (int i = 0; i < count; ++i) {
    AscentPoint point;
    point.output = i % outputs;
    point.sign = i % 3 == 0 ? -1 : 1;
    Eigen::VectorXd gate =
        Eigen::VectorXd::NullaryExpr(problem.x.cols(), [&] { return normal(random); });
    gate.normalize();
    point.gate.assign(static_cast<size_t>(problem.rows.stride()), 0.0);
    std::copy(gate.begin(), gate.end(), point.gate.begin());
    points.push_back(std::move(point));
  }
  return points;
}

double ValueOf(const SearchProblem& problem, AscentKind kind, const AscentPoint& point) {
  const Eigen::VectorXd gate = problem.Head(point.gate);
  return kind == AscentKind::kRelu ? problem.Relu(gate, point.sign, point.output)
                                   : problem.Gated(gate, point.output);
}

class GateAscentTest : public testing::TestWithParam<AscentKind> {};

TEST_P(GateAscentTest, ValuesAreThoseOfTheDefinition) {
  const SearchProblem problem(600, 9, 1, 2);  // more rows than one chunk
  ThreadPool pool(2);
  std::vector<AscentPoint> points = RandomPoints(problem, 70, 2);
  const GateAscent ascent(problem.data, problem.slopes.data(), GetParam(), pool);
  ASSERT_TRUE(ascent.Evaluate(false, points, nullptr).ok());
  for (const AscentPoint& point : points) {
    EXPECT_NEAR(point.value, ValueOf(problem, GetParam(), point), 1e-9);
  }
  const std::vector<AscentPoint> before = points;
  ASSERT_TRUE(ascent.Evaluate(true, points, nullptr).ok());
  for (size_t i = 0; i < points.size(); ++i) {
    EXPECT_NEAR(points[i].value, ValueOf(problem, GetParam(), points[i]), 1e-9);
    // Along the gradient -sign X^T D theta.
    const Eigen::ArrayXd open =
        ((problem.x * problem.Head(before[i].gate)).array() > 0).cast<double>();
    Eigen::VectorXd gradient =
        -points[i].sign *
        (problem.x.transpose() * (open * problem.Theta(points[i].output).array()).matrix());
    gradient.normalize();
    EXPECT_NEAR((problem.Head(points[i].gate) - gradient).norm(), 0, 1e-12);
  }
}

TEST_P(GateAscentTest, ClimbsNeverEndBelowTheirBeginning) {
  const SearchProblem problem(300, 12, 2);
  ThreadPool one(1);
  ThreadPool three(3);
  const std::vector<AscentPoint> start = RandomPoints(problem, 80, 1);
  std::vector<AscentPoint> points = start;
  ASSERT_TRUE(GateAscent(problem.data, problem.slopes.data(), GetParam(), one)
                  .Climb(40, points, nullptr)
                  .ok());
  double before = 0;
  double after = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    const double value = ValueOf(problem, GetParam(), points[i]);
    EXPECT_NEAR(points[i].value, value, 1e-9);
    EXPECT_GE(value, ValueOf(problem, GetParam(), start[i]));
    EXPECT_NEAR(problem.Head(points[i].gate).norm(), 1, 1e-12);
    before += ValueOf(problem, GetParam(), start[i]);
    after += value;
  }
  EXPECT_GT(after, 1.3 * before);
  std::vector<AscentPoint> again = start;
  ASSERT_TRUE(GateAscent(problem.data, problem.slopes.data(), GetParam(), three)
                  .Climb(40, again, nullptr)
                  .ok());
  for (size_t i = 0; i < points.size(); ++i) EXPECT_EQ(points[i].gate, again[i].gate);
}

TEST_P(GateAscentTest, AChecksErrorEndsIt) {
  const SearchProblem problem(300, 12, 3);
  ThreadPool pool(2);
  std::vector<AscentPoint> points = RandomPoints(problem, 10, 1);
  const GateAscent ascent(problem.data, problem.slopes.data(), GetParam(), pool);
  const WorkCheck check = [] { return absl::CancelledError("no more"); };
  EXPECT_EQ(ascent.Climb(40, points, check), absl::CancelledError("no more"));
}

INSTANTIATE_TEST_SUITE_P(Kinds, GateAscentTest,
                         testing::Values(AscentKind::kRelu, AscentKind::kGated));

const auto kNever = [] { return false; };

TEST(CellAscentTest, EndsAtLocalMaximaInTheirOwnCones) {
  const SearchProblem problem(40, 5, 4);
  CellAscent ascent(problem.rows);
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal;
  for (const AscentPoint& point : RandomPoints(problem, 30, 1)) {
    const CellMaximum maximum =
        ascent.Climb(problem.slopes.data(), point.sign, point.gate.data(), 1000, kNever);
    if (maximum.value == 0) continue;
    const Eigen::VectorXd u = problem.Head(maximum.vector);
    ASSERT_NEAR(u.norm(), 1, 1e-12);
    EXPECT_NEAR(problem.Relu(u, point.sign), maximum.value, 1e-10);
    EXPECT_GE(maximum.value, problem.Relu(problem.Head(point.gate), point.sign) - 1e-12);
    EXPECT_GE(problem.rows.LeastSlack(maximum.pattern.data(), maximum.vector.data()), -1e-11);
    for (int i = 0; i < 200; ++i) {
      Eigen::VectorXd near =
          u + 1e-4 * Eigen::VectorXd::NullaryExpr(u.size(), [&] { return normal(random); });
      near.normalize();
      EXPECT_LE(problem.Relu(near, point.sign), maximum.value + 1e-12);
    }
  }
}

TEST(CellAscentTest, FindsTheGreatestValueOfThePlane) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const SearchProblem problem(15, 2, seed);
    double greatest = 0;
    const std::vector<Eigen::VectorXd> directions = AllDirections(2, 5000);
    for (const Eigen::VectorXd& u : directions) greatest = std::max(greatest, problem.Relu(u, 1));
    CellAscent ascent(problem.rows);
    double found = 0;
    for (size_t i = 0; i < directions.size(); i += 100) {
      std::vector<double> gate(static_cast<size_t>(problem.rows.stride()));
      std::copy(directions[i].begin(), directions[i].end(), gate.begin());
      found =
          std::max(found, ascent.Climb(problem.slopes.data(), 1, gate.data(), 100, kNever).value);
    }
    EXPECT_GE(found, greatest);
    EXPECT_LE(found, greatest * (1 + 1e-3));  // kinks between the grid's directions
  }
}

TEST(CircleSearchTest, FindsTheBestGateOfThePlaneAtOnce) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const SearchProblem problem(15, 2, seed);
    double greatest = 0;
    for (const Eigen::VectorXd& g : AllDirections(2, 20000)) {
      greatest = std::max(greatest, problem.Gated(g));
    }
    CircleSearch search(problem.rows);
    Rng random(1);
    std::vector<double> gate(static_cast<size_t>(problem.rows.stride()));
    gate[1] = 1;
    const double found = search.Improve(problem.slopes.data(), 3, 3, random, kNever, gate.data());
    EXPECT_NEAR(found, greatest, 1e-12);
    EXPECT_NEAR(problem.Gated(problem.Head(gate)), found, 1e-12);
  }
}

TEST(CircleSearchTest, NeverLosesAndSaysTheNormOfItsGate) {
  const SearchProblem problem(200, 10, 5);
  CircleSearch search(problem.rows);
  Rng random(1);
  int better = 0;
  for (const AscentPoint& point : RandomPoints(problem, 20, 1)) {
    std::vector<double> gate = point.gate;
    const double before = problem.Gated(problem.Head(gate));
    EXPECT_NEAR(search.Norm(problem.slopes.data(), gate.data()), before, 1e-11);
    const double found = search.Improve(problem.slopes.data(), 6, 30, random, kNever, gate.data());
    EXPECT_GE(found, before);
    better += found > 1.2 * before ? 1 : 0;
    EXPECT_NEAR(problem.Gated(problem.Head(gate)), found, 1e-11);
  }
  EXPECT_GT(better, 10);
}

}  // namespace
}  // namespace trainyard::convex_relu
