// Vectors inside cones against a search over the pairs and triples of rows that can bound the
// greatest margin, and cones made so that what they span is known.
#include "core/algorithms/convex_relu/cone_inside.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace trainyard::convex_relu {
namespace {

Eigen::MatrixXd RandomRows(int rows, int features, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  const Eigen::MatrixXd rows_of_any_norm =
      Eigen::MatrixXd::NullaryExpr(rows, features, [&] { return normal(random); });
  return rows_of_any_norm.rowwise().normalized();
}

TEST(ConeInsideTest, HasTheGreatestMarginOfThePlane) {
  int with_inside = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Eigen::MatrixXd rows = RandomRows(2 + static_cast<int>(seed % 4), 2, seed);
    double greatest = -1;
    for (int angle = 0; angle < 200000; ++angle) {
      const double radians = 2 * M_PI * angle / 200000;
      greatest = std::max(
          greatest, (rows * Eigen::Vector2d(std::cos(radians), std::sin(radians))).minCoeff());
    }
    const ConeInside inside = FindConeInside(rows);
    if (greatest > 1e-4) {
      ++with_inside;
      EXPECT_EQ(inside.span.cols(), 2);
      EXPECT_NEAR(inside.margin, greatest, 1e-4);
      EXPECT_NEAR(inside.vector.norm(), 1, 1e-14);
      EXPECT_NEAR((rows * inside.vector).minCoeff(), inside.margin, 1e-14);
    } else if (greatest < -1e-4) {
      EXPECT_EQ(inside.span.cols(), 0);  // random rows leave {0} or an inside
      EXPECT_TRUE(inside.vector.isZero(0));
    }
  }
  EXPECT_GT(with_inside, 50);
}

TEST(ConeInsideTest, GoesOnInWhatTheConeSpans) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    // Rows about a vector leave an inside; pairs of opposite rows confine the cone to what is
    // orthogonal to them.
    const int d = 4 + static_cast<int>(seed % 5);
    const int confined = static_cast<int>(seed % 3);
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    const Eigen::MatrixXd opposite = RandomRows(confined, d, seed + 100);
    Eigen::VectorXd inside = RandomRows(1, d, seed + 200).transpose();
    for (int k = 0; k < 200; ++k) {  // alternating projections
      for (int r = 0; r < confined; ++r) {
        inside -= opposite.row(r).dot(inside) * opposite.row(r).transpose();
      }
    }
    Eigen::MatrixXd rows = RandomRows(40 + 2 * confined, d, seed + 300);
    for (int j = 0; j < 40; ++j) {
      if (rows.row(j).dot(inside) < 0) rows.row(j) *= -1;
    }
    for (int r = 0; r < confined; ++r) {
      rows.row(40 + r) = opposite.row(r);
      rows.row(40 + confined + r) = -opposite.row(r);
    }
    const ConeInside found = FindConeInside(rows);
    ASSERT_EQ(found.span.cols(), d - confined) << seed;
    EXPECT_GT((rows.topRows(40) * found.vector).minCoeff(), 0);
    EXPECT_LE((opposite * found.span).norm(), 1e-12);
    EXPECT_LE((found.span.transpose() * found.span -
               Eigen::MatrixXd::Identity(d - confined, d - confined))
                  .norm(),
              1e-12);
  }
}

TEST(ConeInsideTest, IsAnyVectorWithoutRows) {
  const ConeInside all = FindConeInside(Eigen::MatrixXd(0, 3));
  EXPECT_EQ(all.span.cols(), 3);
  EXPECT_NEAR(all.vector.norm(), 1, 1e-15);
}

}  // namespace
}  // namespace trainyard::convex_relu
