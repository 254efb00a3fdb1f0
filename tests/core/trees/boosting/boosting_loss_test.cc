#include "core/trees/boosting/boosting_loss.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/core/trees/boosting/boosting_test_data.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;

class LossTest : public ::testing::TestWithParam<Boost::Loss> {
 protected:
  LossTest() : set_(MakeSetFor(GetParam(), {.rows = 40, .weighted = true}, 17)) {
    options_ = SmallBoosting(GetParam(), 1);
    options_.set_huber_delta(2.5);
    loss_ = *MakeBoostingLoss(options_, set_.target());
    scores_.resize(40 * static_cast<size_t>(loss_->outputs()));
    std::mt19937_64 random(19);
    for (double& score : scores_) score = std::normal_distribution<double>()(random);
    for (uint32_t row = 0; row < 40; ++row) {
      if (set_.weights[row] > 0) rows_.push_back(row);
    }
  }
  ScoredRows Scored() const { return {set_.target(), set_.weights, scores_, 40}; }
  double LossAt(std::span<const uint32_t> rows, size_t output, double shift) {
    const std::vector<double> before = scores_;
    for (const uint32_t row : rows) scores_[output * 40 + row] += shift;
    const double loss = loss_->LossSum(Scored(), rows);
    scores_ = before;
    return loss;
  }

  TrainingSet set_;
  Boost options_;
  std::unique_ptr<BoostingLoss> loss_;
  std::vector<double> scores_;
  std::vector<uint32_t> rows_;
};

// Central differences of the loss itself. The squared error's g and h are half its derivatives; h
// of the losses with kinks is the weight by definition.
TEST_P(LossTest, GradientsAreFiniteDifferencesOfTheLoss) {
  ThreadPool pool(1);
  loss_->Prepare(Scored(), rows_, pool);
  const double factor = GetParam() == Boost::LOSS_SQUARED_ERROR ? 0.5 : 1;
  for (int k = 0; k < loss_->outputs(); ++k) {
    std::vector<double> gradients(40);
    std::vector<double> hessians(40);
    loss_->Gradients(Scored(), rows_, k, gradients.data(), hessians.data());
    for (const uint32_t& row : rows_) {
      const std::span<const uint32_t> own(&row, 1);
      const size_t output = static_cast<size_t>(k);
      const double e = 1e-4;
      const double up = LossAt(own, output, e);
      const double down = LossAt(own, output, -e);
      const double here = LossAt(own, output, 0);
      EXPECT_NEAR(gradients[row], factor * (up - down) / (2 * e), 1e-6 * (1 + std::abs(here)));
      if (!loss_->unit_hessian()) {
        const double second = (up - 2 * here + down) / (e * e);
        const double share = GetParam() == Boost::LOSS_SOFTMAX ? 1.5 : 1;
        EXPECT_NEAR(hessians[row], share * second, 1e-5 * (1 + std::abs(here)));
      }
    }
  }
}

TEST_P(LossTest, NoConstantIsBetterThanTheBase) {
  const std::vector<double> base = loss_->Base(Scored(), rows_);
  for (size_t i = 0; i < scores_.size(); ++i) scores_[i] = base[i / 40];
  const double best = LossAt(rows_, 0, 0);
  // The median, which Huber's loss starts from, is not its exact minimum.
  if (GetParam() == Boost::LOSS_HUBER) return;
  for (size_t k = 0; k < base.size(); ++k) {
    for (const double shift : {-0.5, -0.01, 0.01, 0.5}) {
      EXPECT_GE(LossAt(rows_, k, shift), best - 1e-12);
    }
  }
}

TEST_P(LossTest, NodeValuesOfResidualsLowerTheLoss) {
  if (!loss_->uses_residuals()) return;
  const double value = loss_->NodeValue(Scored(), rows_);
  const double best = LossAt(rows_, 0, value);
  EXPECT_LT(best, LossAt(rows_, 0, 0));
  if (GetParam() == Boost::LOSS_HUBER) return;  // one step from the median, not the minimum
  for (const double shift : {-0.5, -0.01, 0.01, 0.5}) {
    EXPECT_GE(LossAt(rows_, 0, value + shift), best - 1e-12);
  }
}

// Rows of a weight and repeated rows have the same sums.
TEST_P(LossTest, WeightsMultiply) {
  const ScoredRows with = Scored();
  const ScoredRows without = {set_.target(), {}, scores_, 40};
  double sum = 0;
  for (const uint32_t& row : rows_) sum += set_.weights[row] * loss_->LossSum(without, {&row, 1});
  EXPECT_NEAR(loss_->LossSum(with, rows_), sum, 1e-12 * std::abs(sum));
}

TEST_P(LossTest, StaysFiniteFarOut) {
  ThreadPool pool(1);
  const bool exponential = GetParam() == Boost::LOSS_POISSON;
  for (const double far : {-1e4, 1e4}) {
    if (exponential && far > 0) continue;  // steps are bounded so that scores stay near log(y)
    for (double& score : scores_) score = far;
    loss_->Prepare(Scored(), rows_, pool);
    std::vector<double> gradients(40);
    std::vector<double> hessians(40);
    loss_->Gradients(Scored(), rows_, 0, gradients.data(), hessians.data());
    for (size_t i = 0; i < 40; ++i) {
      EXPECT_TRUE(std::isfinite(gradients[i]));
      EXPECT_TRUE(std::isfinite(hessians[i]));
      EXPECT_GE(hessians[i], 0);
    }
    EXPECT_TRUE(std::isfinite(loss_->LossSum(Scored(), rows_)));
  }
}

INSTANTIATE_TEST_SUITE_P(All, LossTest, ::testing::ValuesIn(AllLosses()),
                         [](const auto& param) { return Boost::Loss_Name(param.param); });

TEST(LossChoiceTest, UnspecifiedFollowsTheTarget) {
  const std::vector<int32_t> classes = {0, 1};
  const std::vector<double> values = {0, 1};
  const Boost options = SmallBoosting(Boost::LOSS_UNSPECIFIED, 1);
  const auto link_of = [&](const TreeTarget& target) {
    return (*MakeBoostingLoss(options, target))->link();
  };
  EXPECT_EQ(link_of(TreeTarget::Regression(values)), Link::kIdentity);
  EXPECT_EQ(link_of(TreeTarget::Classification(classes, 2)), Link::kLogistic);
  EXPECT_EQ(link_of(TreeTarget::Classification(classes, 3)), Link::kSoftmax);
}

TEST(LossChoiceTest, RefusesTargetsThatDoNotFit) {
  const std::vector<int32_t> classes = {0, 1, 2};
  const std::vector<double> values = {0, -1, 2};
  const std::vector<uint32_t> rows = {0, 1, 2};
  const auto message = [](const absl::Status& status) { return std::string(status.message()); };
  const TreeTarget regression = TreeTarget::Regression(values);
  const TreeTarget three = TreeTarget::Classification(classes, 3);
  EXPECT_THAT(message(MakeBoostingLoss(SmallBoosting(Boost::LOSS_LOGISTIC, 1), three).status()),
              HasSubstr("LOSS_LOGISTIC; it needs two classes"));
  EXPECT_THAT(message(MakeBoostingLoss(SmallBoosting(Boost::LOSS_SOFTMAX, 1), regression).status()),
              HasSubstr("needs classes"));
  EXPECT_THAT(message(MakeBoostingLoss(SmallBoosting(Boost::LOSS_HUBER, 1), three).status()),
              HasSubstr("needs a regression target"));
  const auto poisson = MakeBoostingLoss(SmallBoosting(Boost::LOSS_POISSON, 1), regression);
  EXPECT_THAT(message((*poisson)->CheckTargets(regression, rows)), HasSubstr("row 1 is -1"));
  const auto softmax = MakeBoostingLoss(SmallBoosting(Boost::LOSS_SOFTMAX, 1), three);
  EXPECT_THAT(message((*softmax)->CheckTargets(TreeTarget::Classification(classes, 2), rows)),
              HasSubstr("class of row 2 is 2"));
}

}  // namespace
}  // namespace trainyard
