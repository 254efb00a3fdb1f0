// Against direct formulas, finite differences and, for conjugates, a maximisation over a grid.
#include "core/algorithms/convex_relu/row_loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/core/algorithms/convex_relu/random_problem.h"

namespace trainyard::convex_relu {
namespace {

class RowLossTest : public testing::TestWithParam<LossKind> {
 protected:
  RowLossTest() : problem_(7, 9, 3, 4, 3, GetParam(), true), loss_(problem_.targets) {
    Rng rng(3);
    for (int64_t i = 0; i < loss_.size(); ++i) z_.push_back(2 * rng.NextGaussian());
  }

  // The definition in row_loss.h, written out.
  double Defined(const std::vector<double>& z) const {
    const Targets& t = problem_.targets;
    const size_t n = static_cast<size_t>(t.rows);
    double sum = 0;
    for (size_t j = 0; j < n; ++j) {
      double total = 0;
      double own = 0;
      for (size_t o = 0; o < static_cast<size_t>(t.outputs); ++o) {
        const double y = t.values[o * n + j];
        const double v = z[o * n + j];
        total += std::exp(v);
        own += y * v;
        if (t.loss == LossKind::kSquared) sum += t.weights[j] * (v - y) * (v - y) / 2;
        if (t.loss == LossKind::kLogistic) sum += t.weights[j] * std::log(1 + std::exp(-y * v));
      }
      if (t.loss == LossKind::kSoftmax) sum += t.weights[j] * (std::log(total) - own);
    }
    return sum / static_cast<double>(t.loss == LossKind::kSoftmax ? n : n * size_t(t.outputs));
  }

  const RandomProblem problem_;
  const RowLoss loss_;
  std::vector<double> z_;
};

TEST_P(RowLossTest, ValueIsAsDefined) { EXPECT_NEAR(loss_.Value(z_.data()), Defined(z_), 1e-14); }

TEST_P(RowLossTest, GradientEqualsFiniteDifferences) {
  std::vector<double> gradient(z_.size());
  loss_.Gradient(z_.data(), gradient.data());
  for (size_t i = 0; i < z_.size(); ++i) {
    std::vector<double> up = z_;
    std::vector<double> down = z_;
    up[i] += 1e-5;
    down[i] -= 1e-5;
    EXPECT_NEAR(gradient[i], (Defined(up) - Defined(down)) / 2e-5, 1e-9);
  }
}

TEST_P(RowLossTest, CurvatureProductEqualsFiniteDifferencesOfTheGradient) {
  std::vector<double> curvature(z_.size());
  loss_.Curvature(z_.data(), curvature.data());
  Rng rng(11);
  std::vector<double> direction;
  for (size_t i = 0; i < z_.size(); ++i) direction.push_back(rng.NextGaussian());
  std::vector<double> product(z_.size());
  loss_.CurvatureProduct(curvature.data(), direction.data(), product.data());
  std::vector<double> up(z_.size());
  std::vector<double> down(z_.size());
  for (size_t i = 0; i < z_.size(); ++i) {
    up[i] = z_[i] + 1e-5 * direction[i];
    down[i] = z_[i] - 1e-5 * direction[i];
  }
  loss_.Gradient(std::vector<double>(up).data(), up.data());
  loss_.Gradient(std::vector<double>(down).data(), down.data());
  for (size_t i = 0; i < z_.size(); ++i) {
    EXPECT_NEAR(product[i], (up[i] - down[i]) / 2e-5, 1e-9);
  }
  // In place, and in single precision.
  const std::vector<float> narrow(curvature.begin(), curvature.end());
  std::vector<float> both(direction.begin(), direction.end());
  loss_.CurvatureProduct(narrow.data(), both.data(), both.data());
  for (size_t i = 0; i < z_.size(); ++i) EXPECT_NEAR(both[i], product[i], 1e-6);
}

TEST_P(RowLossTest, DivergenceIsTheGapOfTheTangentAndKeepsSmallOnes) {
  std::vector<double> gradient(z_.size());
  loss_.Gradient(z_.data(), gradient.data());
  Rng rng(5);
  for (const double size : {3.0, 0.1, 1e-6, 100.0}) {
    std::vector<double> next = z_;
    long double tangent = 0;
    double curvature = 0;
    for (size_t i = 0; i < z_.size(); ++i) {
      const double change = size * rng.NextGaussian();
      next[i] += change;
      tangent += static_cast<long double>(gradient[i]) * change;
      curvature += change * change;
    }
    const double divergence = loss_.Divergence(next.data(), z_.data());
    const double direct = static_cast<double>(Defined(next) - Defined(z_) - tangent);
    if (size >= 0.1) {
      EXPECT_NEAR(divergence / direct, 1, 1e-9);
    } else {
      EXPECT_GT(divergence, 0);
      EXPECT_LE(divergence, loss_.Smoothness() / 2 * curvature * (1 + 1e-9));
    }
    EXPECT_LE(divergence, loss_.Smoothness() / 2 * curvature * (1 + 1e-9));
  }
}

// phi(z') - <theta, z'> >= -phi*(theta) for every z', with equality at the z that theta belongs to.
TEST_P(RowLossTest, DualValueIsTheConjugate) {
  std::vector<double> theta(z_.size());
  loss_.Gradient(z_.data(), theta.data());
  double inner = 0;
  for (size_t i = 0; i < z_.size(); ++i) inner += theta[i] * z_[i];
  EXPECT_NEAR(loss_.DualValueAt(z_.data(), 1), Defined(z_) - inner, 1e-12);
  Rng rng(9);
  for (const double s : {1.0, 0.6, 0.1}) {
    for (int repeat = 0; repeat < 200; ++repeat) {
      std::vector<double> other = z_;
      double product = 0;
      for (size_t i = 0; i < z_.size(); ++i) {
        other[i] += rng.NextGaussian() * (repeat % 2 == 0 ? 0.1 : 2);
        product += s * theta[i] * other[i];
      }
      EXPECT_LE(loss_.DualValueAt(z_.data(), s), Defined(other) - product + 1e-12);
    }
  }
}

TEST_P(RowLossTest, BestMultipleIsNoWorseThanOthers) {
  const DualPoint best = loss_.DualValue(z_.data(), 0.7);
  EXPECT_LE(std::abs(best.scale), 0.7);
  EXPECT_NEAR(best.value, loss_.DualValueAt(z_.data(), best.scale), 1e-14);
  if (!loss_.quadratic()) return;
  for (double s = 0; s <= 0.7; s += 0.01) {
    EXPECT_GE(best.value, loss_.DualValueAt(z_.data(), s) - 1e-14);
  }
}

TEST_P(RowLossTest, OutputsAddUpWhereTheLossSeparates) {
  if (GetParam() == LossKind::kSoftmax) return;
  double sum = 0;
  for (int o = 0; o < problem_.targets.outputs; ++o) {
    sum += RowLoss(problem_.targets, o).Value(z_.data() + o * problem_.targets.rows);
  }
  EXPECT_NEAR(sum, loss_.Value(z_.data()), 1e-14);
}

INSTANTIATE_TEST_SUITE_P(Losses, RowLossTest,
                         testing::Values(LossKind::kSquared, LossKind::kLogistic,
                                         LossKind::kSoftmax));

}  // namespace
}  // namespace trainyard::convex_relu
