#include "core/algorithms/quant_bnb/warm_start.h"

#include <cstdio>
#include <string>

#include "gmock/gmock.h"
#include "tests/core/algorithms/quant_bnb/job_test_support.h"

namespace trainyard {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Pair;

class QuantBnbWarmStartTest : public testing::Test {
 protected:
  QuantBnbWarmStartTest() {
    const auto result = Train(table_, SpecOf(2), first_);
    EXPECT_TRUE(result.ok()) << result.status();
    result_ = *result;
    second_.models["projects/p/models/m"] = AsInput(result_, first_);
    spec_.mutable_quant_bnb()->set_warm_start("projects/p/models/m");
  }

  void ExpectRefused(const std::shared_ptr<const Table>& table, const std::string& text) {
    const auto status = Train(table, spec_, second_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("warm_start: \"projects/p/models/m\""));
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
  }

  const std::shared_ptr<const Table> table_ = MakeColors();
  FakeTrainingContext first_;
  FakeTrainingContext second_;
  TrainingResult result_;
  v1::TrainingSpec spec_ = SpecOf(2);
};

TEST_F(QuantBnbWarmStartTest, StartsFromTheTreeOfAnotherModel) {
  const auto again = Train(table_, spec_, second_);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->report.quant_bnb().loss(), result_.report.quant_bnb().loss());
  EXPECT_THAT(second_.logs, Contains(Pair(v1::LogLine::SEVERITY_INFO,
                                          HasSubstr("the tree of projects/p/models/m has loss"))));
}

// Other columns, in another order, and other level codes: the tree is the same.
TEST_F(QuantBnbWarmStartTest, FindsFeaturesByNameAndLevelsByText) {
  TableColumn x{"x", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn other{"other", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn color{
      "color", v1::COLUMN_TYPE_CATEGORICAL, {}, {}, {"red", "violet", "green", "blue"}};
  TableColumn target{"target", v1::COLUMN_TYPE_CATEGORICAL, {}, {}, {"maybe", "no", "yes"}};
  const int32_t code_of[] = {3, 2, 0};
  for (size_t row = 0; row < 180; ++row) {
    x.numbers.push_back(table_->numbers(0)[row]);
    other.numbers.push_back(1 + static_cast<double>(row % 2));
    color.codes.push_back(code_of[table_->codes(1)[row]]);
    target.codes.push_back(table_->codes(3)[row]);
  }
  const auto again = Train(*MakeTable({other, color, x, target}), spec_, second_);
  ASSERT_TRUE(again.ok()) << again.status();
  std::string text;
  for (const auto& [severity, line] : second_.logs) text += line + "\n";
  // The loss of the tree found by the first job, on the rows of the second.
  char loss[64];
  std::snprintf(loss, sizeof(loss), "has loss %.6g on", result_.report.quant_bnb().loss());
  EXPECT_THAT(text, HasSubstr(loss));
}

TEST_F(QuantBnbWarmStartTest, RefusesModelsThatDoNotFit) {
  spec_.mutable_quant_bnb()->set_depth(1);
  ExpectRefused(table_, "has a tree of depth 2; depth of the spec is 1");
  spec_.mutable_quant_bnb()->set_depth(2);
  spec_.mutable_quant_bnb()->mutable_input()->add_ignored_columns("color");
  ExpectRefused(table_, "splits on \"color\", which is no feature of the job");
  spec_.mutable_quant_bnb()->mutable_input()->clear_ignored_columns();
  TableColumn color{"color", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn x{"x", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn target{"target", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  for (int i = 0; i < 60; ++i) {
    x.numbers.push_back(i);
    color.numbers.push_back(i % 3);
    target.numbers.push_back(i % 2);
  }
  ExpectRefused(*MakeTable({color, x, target}), "in the data it is COLUMN_TYPE_NUMERIC");
}

TEST_F(QuantBnbWarmStartTest, RefusesModelsWithoutOneTree) {
  InputModel& model = second_.models["projects/p/models/m"];
  model.files.clear();
  ExpectRefused(table_, "was trained by quant_bnb and holds no trees");
  FakeTrainingContext forest;
  v1::TrainingSpec grow = MakeSpec();
  grow.mutable_hierarchical_shrinkage()->mutable_forest()->set_tree_count(3);
  grow.mutable_hierarchical_shrinkage()->set_lambda(0);
  const auto grown = TrainOn(table_, grow, forest);
  ASSERT_TRUE(grown.ok()) << grown.status();
  model = AsInput(*grown, forest);
  ExpectRefused(table_, "has 3 trees, not one");
  spec_.mutable_quant_bnb()->set_warm_start("projects/p/models/absent");
  EXPECT_EQ(Train(table_, spec_, second_).status().code(), absl::StatusCode::kFailedPrecondition);
}

// The leaves of the tree are those of this job's rows; a split that leaves too few is undone.
TEST_F(QuantBnbWarmStartTest, KeepsTheLeastSizeOfLeaves) {
  spec_.mutable_quant_bnb()->set_min_samples_leaf(70);
  const auto again = Train(table_, spec_, second_);
  ASSERT_TRUE(again.ok()) << again.status();
  const Tree tree = TreeOf(ModelBytes(second_));
  for (const int64_t count : tree.row_count) EXPECT_GE(count, 70);
}

}  // namespace
}  // namespace trainyard
