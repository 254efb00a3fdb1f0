// Newton's equations against second derivatives by differences of a plain objective, and both ways
// of solving them against each other.
#include "core/algorithms/convex_relu/face_equations.h"

#include <gtest/gtest.h>

#include <Eigen/Cholesky>
#include <cmath>
#include <random>
#include <vector>

#include "core/algorithms/convex_relu/face_products.h"
#include "tests/core/algorithms/convex_relu/cones/cone_test_problems.h"

namespace trainyard::convex_relu {
namespace {

constexpr double kLambda = 0.02;

// Random faces of a random problem: some with one output, some with three.
class FaceSetup {
 public:
  FaceSetup(LossKind kind, int outputs, int threads)
      : problem(RandomProblem(300, 4, 6, 5)),
        rows(problem.data),
        pool(threads),
        products(rows, problem.patterns, pool) {
    std::mt19937_64 random(7);
    std::normal_distribution<double> normal;
    targets.loss = kind;
    targets.rows = rows.rows();
    targets.outputs = outputs;
    for (int o = 0; o < outputs; ++o) {
      for (int64_t j = 0; j < rows.rows(); ++j) {
        const bool own = j % outputs == o;
        targets.values.push_back(kind == LossKind::kSoftmax ? own : own ? 1 : -1);
      }
    }
    for (int64_t j = 0; j < rows.rows(); ++j) targets.weights.push_back(j % 2 == 0 ? 0.5 : 1.5);
    int64_t offset = 0;
    for (int b = 0; b < 2 * outputs; ++b) {
      Face face;
      face.block = {b % 5, b % 2 == 0 ? 1 : -1, b / 2};
      const int f = 1 + b % 3;
      face.basis = Eigen::MatrixXd::Identity(4, 4).rightCols(f);
      face.vector.setZero(rows.stride());
      for (int k = 4 - f; k < 4; ++k) face.vector[k] = normal(random);
      face.norm = face.vector.norm();
      face.offset = offset;
      offset += f;
      faces.push_back(face);
    }
    unknowns = offset;
  }

  Eigen::VectorXd Predictions(const Eigen::VectorXd& moves) const {
    const Eigen::MatrixXd x = ToEigen(problem.data);
    Eigen::MatrixXd z = Eigen::MatrixXd::Zero(x.rows(), targets.outputs);
    for (const Face& face : faces) {
      const Eigen::VectorXd u =
          face.vector.head(4) + face.basis * moves.segment(face.offset, face.basis.cols());
      for (int64_t j = 0; j < x.rows(); ++j) {
        if (!IsActive(problem.patterns.pattern(face.block.pattern), j)) continue;
        z(j, face.block.output) += face.block.sign * x.row(j).dot(u);
      }
    }
    return z.reshaped();
  }

  double Objective(const Eigen::VectorXd& moves) const {
    double value = RowLoss(targets).Value(Predictions(moves).data());
    for (const Face& face : faces) {
      value +=
          kLambda *
          (face.vector.head(4) + face.basis * moves.segment(face.offset, face.basis.cols())).norm();
    }
    return value;
  }

  Eigen::MatrixXd SecondDifferences() const {
    constexpr double kStep = 1e-4;
    const auto at = [&](int64_t a, double s, int64_t b, double t) {
      Eigen::VectorXd moves = Eigen::VectorXd::Zero(unknowns);
      moves[a] += s * kStep;
      moves[b] += t * kStep;
      return Objective(moves);
    };
    Eigen::MatrixXd h(unknowns, unknowns);
    for (int64_t a = 0; a < unknowns; ++a) {
      for (int64_t b = 0; b < unknowns; ++b) {
        h(a, b) = (at(a, 1, b, 1) - at(a, 1, b, -1) - at(a, -1, b, 1) + at(a, -1, b, -1)) /
                  (4 * kStep * kStep);
      }
    }
    return h;
  }

  ConeTestProblem problem;
  ConeRows rows;
  ThreadPool pool;
  BlockProducts products;
  Targets targets;
  std::vector<Face> faces;
  int64_t unknowns = 0;
};

struct Case {
  LossKind kind;
  int outputs;
};
const Case kCases[] = {{LossKind::kSquared, 1}, {LossKind::kLogistic, 2}, {LossKind::kSoftmax, 3}};

TEST(FaceEquationsTest, AreThoseOfTheObjective) {
  for (const Case& c : kCases) {
    FaceSetup setup(c.kind, c.outputs, 2);
    const RowLoss loss(setup.targets);
    LossCurvature curvature(loss);
    curvature.Set(setup.Predictions(Eigen::VectorXd::Zero(setup.unknowns)).data());
    const Eigen::MatrixXd second = setup.SecondDifferences();
    const Eigen::VectorXd gradient = Eigen::VectorXd::LinSpaced(setup.unknowns, -1, 2);
    const Eigen::VectorXd expected = -second.ldlt().solve(gradient);
    for (const auto& equations : {MakeDenseFaceEquations(setup.products, kLambda),
                                  MakeIterativeFaceEquations(setup.products, kLambda, 1e-10)}) {
      ASSERT_TRUE(equations->Set({}, curvature, setup.faces).ok());
      const Eigen::VectorXd step = equations->Solve({}, gradient, 1e-14).value();
      EXPECT_LE((step - expected).norm(), 1e-4 * expected.norm());
    }
  }
}

TEST(FaceEquationsTest, BothWaysAgreeWhateverTheDampingAndThreads) {
  for (const Case& c : kCases) {
    for (const double ridge : {1e-14, 1e-3, 10.0}) {
      std::vector<Eigen::VectorXd> steps;
      for (const int threads : {1, 3}) {
        FaceSetup setup(c.kind, c.outputs, threads);
        const RowLoss loss(setup.targets);
        LossCurvature curvature(loss);
        curvature.Set(setup.Predictions(Eigen::VectorXd::Zero(setup.unknowns)).data());
        const Eigen::VectorXd gradient = Eigen::VectorXd::LinSpaced(setup.unknowns, -1, 2);
        for (const auto& equations : {MakeDenseFaceEquations(setup.products, kLambda),
                                      MakeIterativeFaceEquations(setup.products, kLambda, 1e-13)}) {
          ASSERT_TRUE(equations->Set({}, curvature, setup.faces).ok());
          steps.push_back(equations->Solve({}, gradient, ridge).value());
        }
      }
      EXPECT_LE((steps[0] - steps[1]).norm(), 1e-9 * steps[0].norm());
      EXPECT_EQ(steps[0], steps[2]);
      EXPECT_EQ(steps[1], steps[3]);
    }
  }
}

TEST(LossCurvatureTest, MultipliesWithTheSlopesDifferences) {
  for (const Case& c : kCases) {
    const FaceSetup setup(c.kind, c.outputs, 1);
    const RowLoss loss(setup.targets);
    const Eigen::VectorXd z = 0.3 * setup.Predictions(Eigen::VectorXd::Zero(setup.unknowns));
    const Eigen::VectorXd direction = Eigen::VectorXd::LinSpaced(z.size(), -1, 1).array().sin();
    Eigen::VectorXd after(z.size());
    Eigen::VectorXd before(z.size());
    loss.Gradient((z + 1e-6 * direction).eval().data(), after.data());
    loss.Gradient((z - 1e-6 * direction).eval().data(), before.data());
    LossCurvature curvature(loss);
    curvature.Set(z.data());
    Eigen::MatrixXd product = direction.reshaped(loss.rows(), c.outputs);
    Eigen::MatrixXd part = product.bottomRows(100);
    curvature.Multiply(0, product);
    EXPECT_LE((product.reshaped() - (after - before) / 2e-6).norm(), 1e-8 * product.norm());
    curvature.Multiply(loss.rows() - 100, part);
    EXPECT_EQ(part, product.bottomRows(100));
    for (int o = 0; o < c.outputs; ++o) {
      Eigen::MatrixXd unit = Eigen::MatrixXd::Zero(loss.rows(), c.outputs);
      unit.col(o).setOnes();
      curvature.Multiply(0, unit);
      for (int64_t j = 0; j < loss.rows(); ++j) {
        EXPECT_NEAR(curvature.Diagonal(o, j), unit(j, o), 1e-15);
        EXPECT_NEAR(curvature.first(o, j) - std::pow(curvature.second(o, j), 2), unit(j, o), 1e-15);
      }
    }
  }
}

TEST(FaceProductsTest, StepsEndAtTheFirstRow) {
  FaceSetup setup(LossKind::kSoftmax, 3, 2);
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal;
  const Eigen::MatrixXd x = ToEigen(setup.problem.data);
  for (Face& face : setup.faces) {  // from the gate, which is inside
    const int64_t i = face.block.pattern;
    face.vector.setZero();
    face.direction.setZero(face.vector.size());
    for (int k = 0; k < 4; ++k) {
      face.vector[k] = setup.problem.gates.row(i)[k];
      face.direction[k] = normal(random);
    }
    face.rows = {};
  }
  setup.faces[1].direction *= 1e-9;  // stays inside
  FaceProducts(setup.products).FindLongestSteps(1e-9, setup.faces);
  const auto longest_by_loops = [&](const Face& face, int32_t& row) {
    double longest = 1;
    row = -1;
    for (int32_t j = 0; j < x.rows(); ++j) {
      const double s = IsActive(setup.problem.patterns.pattern(face.block.pattern), j) ? 1 : -1;
      const double slack = s * x.row(j).dot(face.vector.head(4));
      const double rate = s * x.row(j).dot(face.direction.head(4));
      if (rate >= 0 || slack >= -rate * longest) continue;
      if (std::find(face.rows.begin(), face.rows.end(), j) != face.rows.end()) continue;
      longest = slack / -rate;
      row = j;
    }
    return longest;
  };
  for (const int pass : {0, 1}) {  // then without the rows that were found
    for (Face& face : setup.faces) {
      int32_t row = -1;
      EXPECT_NEAR(longest_by_loops(face, row), face.longest, 1e-12);
      EXPECT_EQ(row, face.blocking);
      if (face.blocking >= 0) face.rows.push_back(face.blocking);
    }
    if (pass == 0) FaceProducts(setup.products).FindLongestSteps(1e-9, setup.faces);
  }
  EXPECT_EQ(setup.faces[1].longest, 1);
}

}  // namespace
}  // namespace trainyard::convex_relu
