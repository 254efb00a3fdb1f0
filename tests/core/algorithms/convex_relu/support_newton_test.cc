// Newton's steps on the support against the first-order conditions, finite differences of the
// objective and the proximal gradient method.
#include "core/algorithms/convex_relu/support_newton.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "core/algorithms/convex_relu/gated_function.h"
#include "core/algorithms/convex_relu/gated_solver.h"
#include "tests/core/algorithms/convex_relu/random_problem.h"

namespace trainyard::convex_relu {
namespace {

class SupportNewtonTest : public testing::TestWithParam<LossKind> {
 protected:
  SupportNewtonTest()
      : problem_(17, 40, 4, 10, 3, GetParam(), true),
        products_(problem_.Products<double>()),
        loss_(problem_.targets),
        lambda_(0.3 * LargestLambda(products_, loss_)),
        function_(products_, loss_),
        penalty_(MakeRegularizer<double>(RegularizerKind::kGroupL1, lambda_, function_.shape())) {}

  // `steps` proximal gradient steps from zero.
  void Approach(int steps) {
    x_.assign(static_cast<size_t>(function_.size()), 0.0);
    image_.assign(static_cast<size_t>(function_.image_size()), 0.0);
    const double step = 1 / (loss_.Smoothness() * 40);
    for (int i = 0; i < steps; ++i) {
      const std::vector<double> gradient = Gradient();
      for (size_t k = 0; k < x_.size(); ++k) x_[k] -= step * gradient[k];
      penalty_->Prox(step, x_.data());
      function_.Image(x_.data(), image_.data());
    }
  }

  std::vector<double> Gradient() {
    std::vector<double> gradient(x_.size());
    function_.Gradient(image_.data(), gradient.data());
    return gradient;
  }

  double Objective(const std::vector<double>& x) {
    std::vector<double> image(image_.size());
    function_.Image(x.data(), image.data());
    return loss_.Value(image.data()) + penalty_->Value(x.data());
  }

  NewtonStep Step(SupportNewton<double>& newton) {
    const std::vector<double> gradient = Gradient();
    return newton.Step(nullptr, {}, gradient.data(), x_, image_).value();
  }

  const RandomProblem problem_;
  DenseOperator<double> products_;
  const RowLoss loss_;
  const double lambda_;
  GatedFunction<double> function_;
  const std::unique_ptr<Regularizer<double>> penalty_;
  std::vector<double> x_;
  std::vector<double> image_;
};

TEST_P(SupportNewtonTest, StepsLeadToAStationaryPointOfTheSupport) {
  Approach(30);
  SupportNewton<double> newton(products_, loss_, lambda_, 1);
  double objective = Objective(x_);
  for (int i = 0; i < 30; ++i) {
    if (!Step(newton).lower) break;
    EXPECT_LE(Objective(x_), objective * (1 + 1e-14));
    objective = Objective(x_);
  }
  EXPECT_LT(newton.Measure(x_.data(), Gradient().data()).support, 1e-9 * lambda_);
  // Finite differences along the numbers of blocks that are not zero.
  for (size_t k = 0; k < x_.size(); ++k) {
    if (x_[k] == 0) continue;
    std::vector<double> up = x_;
    std::vector<double> down = x_;
    up[k] += 1e-5;
    down[k] -= 1e-5;
    EXPECT_NEAR((Objective(up) - Objective(down)) / 2e-5, 0, 1e-6 * lambda_);
  }
}

TEST_P(SupportNewtonTest, ConvergenceIsFastNearTheSolution) {
  Approach(30);
  SupportNewton<double> newton(products_, loss_, lambda_, 1);
  const auto residual = [&] { return newton.Measure(x_.data(), Gradient().data()).support; };
  for (int i = 0; i < 30 && residual() > 1e-4 * lambda_; ++i) Step(newton);
  const double before = residual();
  Step(newton);
  Step(newton);
  EXPECT_LT(residual(), 0.02 * before);
}

TEST_P(SupportNewtonTest, TheImageFollowsThePoint) {
  Approach(10);
  SupportNewton<double> newton(products_, loss_, lambda_, 0);
  ASSERT_TRUE(Step(newton).lower);
  std::vector<double> image(image_.size());
  function_.Image(x_.data(), image.data());
  for (size_t j = 0; j < image.size(); ++j) EXPECT_NEAR(image[j], image_[j], 1e-10);
}

TEST_P(SupportNewtonTest, ABlockThatShouldBeZeroBecomesSo) {
  Approach(200);
  // A short block where the proximal gradient method has none.
  const WeightShape shape = function_.shape();
  int64_t added = -1;
  for (int64_t b = 0; b < shape.blocks() && added < 0; ++b) {
    const double* block = x_.data() + b * shape.stride;
    if (std::all_of(block, block + shape.features, [](double w) { return w == 0; })) added = b;
  }
  ASSERT_GE(added, 0);
  x_[static_cast<size_t>(added * shape.stride)] = 1e-3;
  function_.Image(x_.data(), image_.data());
  SupportNewton<double> newton(products_, loss_, lambda_, 0);
  for (int i = 0; i < 10; ++i) Step(newton);
  const double* block = x_.data() + added * shape.stride;
  EXPECT_TRUE(std::all_of(block, block + shape.stride, [](double w) { return w == 0; }));
}

TEST_P(SupportNewtonTest, NothingIsDoneAtZero) {
  Approach(0);
  SupportNewton<double> newton(products_, loss_, lambda_, 0);
  const NewtonStep step = Step(newton);
  EXPECT_FALSE(step.lower);
  EXPECT_EQ(step.products, 0);
}

TEST_P(SupportNewtonTest, ChecksEndAStepAndLeaveThePoint) {
  Approach(10);
  SupportNewton<double> newton(products_, loss_, lambda_, 0);
  const std::vector<double> gradient = Gradient();
  const std::vector<double> before = x_;
  int calls = 0;
  const auto check = [&] {
    return ++calls > 3 ? absl::CancelledError("enough") : absl::OkStatus();
  };
  EXPECT_EQ(newton.Step(check, {}, gradient.data(), x_, image_).status().message(), "enough");
  EXPECT_EQ(x_, before);
}

INSTANTIATE_TEST_SUITE_P(Losses, SupportNewtonTest,
                         testing::Values(LossKind::kSquared, LossKind::kLogistic,
                                         LossKind::kSoftmax));

}  // namespace
}  // namespace trainyard::convex_relu
