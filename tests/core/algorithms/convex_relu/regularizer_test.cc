// Proximal maps against their optimality condition, by perturbation; subgradients likewise.
#include "core/algorithms/convex_relu/regularizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/base/random.h"

namespace trainyard::convex_relu {
namespace {

constexpr WeightShape kShape{2, 3, 5, 8};
constexpr double kLambda = 0.7;

class RegularizerTest : public testing::TestWithParam<RegularizerKind> {
 protected:
  RegularizerTest() : penalty_(MakeRegularizer<double>(GetParam(), kLambda, kShape)) {}

  // Padding zero, one block zero, one small.
  static std::vector<double> Point(uint64_t seed) {
    Rng rng(seed);
    std::vector<double> x(static_cast<size_t>(kShape.size()), 0.0);
    for (int64_t b = 0; b < kShape.blocks(); ++b) {
      for (int k = 0; k < kShape.features; ++k) {
        x[static_cast<size_t>(b * kShape.stride + k)] =
            b == 1 ? 0 : rng.NextGaussian() * (b == 2 ? 0.05 : 1);
      }
    }
    return x;
  }

  double ProximalObjective(const std::vector<double>& x, const std::vector<double>& from,
                           double step) const {
    double squares = 0;
    for (size_t i = 0; i < x.size(); ++i) squares += (x[i] - from[i]) * (x[i] - from[i]);
    return penalty_->Value(x.data()) + squares / (2 * step);
  }

  std::unique_ptr<Regularizer<double>> penalty_;
};

TEST_P(RegularizerTest, ProxMinimises) {
  const std::vector<double> from = Point(1);
  for (const double step : {0.01, 0.3, 2.0}) {
    std::vector<double> x = from;
    penalty_->Prox(step, x.data());
    const double least = ProximalObjective(x, from, step);
    Rng rng(2);
    for (int repeat = 0; repeat < 300; ++repeat) {
      std::vector<double> other = x;
      for (int64_t b = 0; b < kShape.blocks(); ++b) {
        for (int k = 0; k < kShape.features; ++k) {
          other[static_cast<size_t>(b * kShape.stride + k)] +=
              rng.NextGaussian() * (repeat % 3 == 0 ? 1e-3 : 0.1);
        }
      }
      EXPECT_GE(ProximalObjective(other, from, step), least - 1e-12);
    }
    for (int64_t b = 0; b < kShape.blocks(); ++b) {
      EXPECT_EQ(x[static_cast<size_t>(b * kShape.stride + kShape.features)], 0);
    }
  }
}

// (from - x)/step is a subgradient at x = prox(from), so with its negative as the gradient of the
// smooth part the shortest subgradient is 0; elsewhere it is not.
TEST_P(RegularizerTest, SubgradientVanishesAtProx) {
  const std::vector<double> from = Point(3);
  const double step = 0.4;
  std::vector<double> x = from;
  penalty_->Prox(step, x.data());
  std::vector<double> gradient(x.size());
  for (size_t i = 0; i < x.size(); ++i) gradient[i] = (x[i] - from[i]) / step;
  EXPECT_NEAR(penalty_->SubgradientNormSquared(x.data(), gradient.data()), 0, 1e-20);
  gradient[0] += 0.5;
  EXPECT_GT(penalty_->SubgradientNormSquared(x.data(), gradient.data()), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Kinds, RegularizerTest,
                         testing::Values(RegularizerKind::kNone, RegularizerKind::kGroupL1,
                                         RegularizerKind::kSquaredL2, RegularizerKind::kL1,
                                         RegularizerKind::kFeatureGroupL1));

TEST(RegularizerTest, GroupsAreNeuronsAndFeatures) {
  const WeightShape shape{1, 2, 2, 8};
  std::vector<double> x(16, 0.0);
  x[0] = 3;
  x[1] = 4;
  x[8] = 6;
  x[9] = 8;
  EXPECT_DOUBLE_EQ(MakeRegularizer<double>(RegularizerKind::kGroupL1, 2, shape)->Value(x.data()),
                   2 * (5 + 10));
  EXPECT_DOUBLE_EQ(
      MakeRegularizer<double>(RegularizerKind::kFeatureGroupL1, 2, shape)->Value(x.data()),
      2 * std::sqrt(2) * (std::sqrt(45) + std::sqrt(80)));
  EXPECT_DOUBLE_EQ(MakeRegularizer<double>(RegularizerKind::kL1, 2, shape)->Value(x.data()), 42);
  EXPECT_DOUBLE_EQ(MakeRegularizer<double>(RegularizerKind::kSquaredL2, 2, shape)->Value(x.data()),
                   9 + 16 + 36 + 64);
}

}  // namespace
}  // namespace trainyard::convex_relu
