#include "core/algorithms/hierarchical_shrinkage/resolve.h"

#include "core/algorithms/hierarchical_shrinkage/hierarchical_shrinkage.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/schema/field_rules.h"

namespace trainyard {
namespace {

using Spec = v1::HierarchicalShrinkageSpec;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr char kDataset[] = "projects/p/datasets/d";

v1::ColumnSchema& AddColumn(v1::TableSchema& schema, const std::string& name, v1::ColumnType type,
                            int64_t distinct) {
  v1::ColumnSchema& column = *schema.add_columns();
  column.set_name(name);
  column.set_type(type);
  column.set_distinct_count(distinct);
  if (type == v1::COLUMN_TYPE_CATEGORICAL) return column;
  column.set_minimum(0);
  column.set_maximum(static_cast<double>(distinct - 1));
  column.set_mean(0.5);
  if (type == v1::COLUMN_TYPE_NUMERIC) column.set_whole_numbers(true);
  return column;
}

// age, income, color, day, weight, patient, target; 100 rows.
v1::TableSchema MakeSchema() {
  v1::TableSchema schema;
  schema.set_row_count(100);
  AddColumn(schema, "age", v1::COLUMN_TYPE_NUMERIC, 50);
  AddColumn(schema, "income", v1::COLUMN_TYPE_NUMERIC, 99).set_mean(12.345);
  AddColumn(schema, "color", v1::COLUMN_TYPE_CATEGORICAL, 3);
  AddColumn(schema, "day", v1::COLUMN_TYPE_DATE, 100);
  AddColumn(schema, "weight", v1::COLUMN_TYPE_NUMERIC, 10);
  AddColumn(schema, "patient", v1::COLUMN_TYPE_CATEGORICAL, 40);
  AddColumn(schema, "target", v1::COLUMN_TYPE_NUMERIC, 2);
  return schema;
}

class ResolveTest : public testing::Test {
 protected:
  ResolveTest() { own().mutable_input()->set_dataset(kDataset); }

  Spec& own() { return *spec_.mutable_hierarchical_shrinkage(); }
  v1::TableInput& input() { return *own().mutable_input(); }
  v1::ColumnSchema& column(const std::string& name) {
    for (v1::ColumnSchema& c : *schema_.mutable_columns()) {
      if (c.name() == name) return c;
    }
    ADD_FAILURE() << name;
    return *schema_.mutable_columns(0);
  }

  void Resolve() {
    FillDefaults(spec_);
    violations_ = Violations();
    HierarchicalShrinkageAlgorithm().Resolve({{kDataset, schema_}}, "job.spec", spec_, violations_);
  }

  // The only violation is of this field, and its text contains `text`.
  void ExpectViolation(const std::string& field, const std::string& text) {
    Resolve();
    ASSERT_EQ(violations_.count(), 1) << violations_.ToStatus();
    EXPECT_EQ(violations_.kept()[0].field, "job.spec.hierarchical_shrinkage." + field);
    EXPECT_THAT(violations_.kept()[0].description, HasSubstr(text));
  }

  v1::TrainingSpec spec_;
  v1::TableSchema schema_ = MakeSchema();
  Violations violations_;
};

TEST_F(ResolveTest, FillsInWhatDependsOnTheData) {
  Resolve();
  EXPECT_TRUE(violations_.empty()) << violations_.ToStatus();
  EXPECT_THAT(input().target_columns(), ElementsAre("target"));
  EXPECT_THAT(input().feature_columns(),
              ElementsAre("age", "income", "color", "day", "weight", "patient"));
  EXPECT_EQ(own().task(), Spec::TASK_CLASSIFICATION);
  EXPECT_EQ(own().cart().criterion(), v1::CartOptions::CRITERION_GINI);
  EXPECT_EQ(input().split().method(), v1::SplitOptions::METHOD_STRATIFIED);
  EXPECT_THAT(own().lambda_grid(), ElementsAre(0, 0.1, 1, 10, 25, 50, 100, 200, 500));
}

TEST_F(ResolveTest, LeavesColumnsWithAnotherUseOutOfTheFeatures) {
  input().set_weight_column("weight");
  input().add_ignored_columns("income");
  input().mutable_split()->set_method(v1::SplitOptions::METHOD_GROUPED);
  input().mutable_split()->set_group_column("patient");
  input().mutable_split()->set_time_column("day");
  Resolve();
  EXPECT_TRUE(violations_.empty()) << violations_.ToStatus();
  EXPECT_THAT(input().feature_columns(), ElementsAre("age", "color"));
  const v1::TrainingSpec once = spec_;
  Resolve();
  EXPECT_TRUE(violations_.empty()) << violations_.ToStatus();
  EXPECT_EQ(spec_.SerializeAsString(), once.SerializeAsString());
}

TEST_F(ResolveTest, TakesTheLastColumnWhereNoneIsCalledTarget) {
  column("target").set_name("outcome");
  Resolve();
  EXPECT_THAT(input().target_columns(), ElementsAre("outcome"));
}

TEST_F(ResolveTest, SortsTheGridAndDropsRepeats) {
  for (const double lambda : {10.0, 0.0, 10.0, 2.0}) own().add_lambda_grid(lambda);
  Resolve();
  EXPECT_THAT(own().lambda_grid(), ElementsAre(0, 2, 10));
}

TEST_F(ResolveTest, ChoosesTheTaskByTheTarget) {
  const auto task_for = [this](const std::string& name) {
    spec_.Clear();
    input().set_dataset(kDataset);
    input().add_target_columns(name);
    Resolve();
    return own().task();
  };
  EXPECT_EQ(task_for("color"), Spec::TASK_CLASSIFICATION);
  EXPECT_EQ(task_for("age"), Spec::TASK_REGRESSION);
  EXPECT_EQ(own().cart().criterion(), v1::CartOptions::CRITERION_SQUARED_ERROR);
  EXPECT_EQ(input().split().method(), v1::SplitOptions::METHOD_RANDOM);
  column("target").set_type(v1::COLUMN_TYPE_BOOLEAN);
  EXPECT_EQ(task_for("target"), Spec::TASK_CLASSIFICATION);
  column("weight").set_maximum(9.5);
  EXPECT_EQ(task_for("weight"), Spec::TASK_REGRESSION);
}

TEST_F(ResolveTest, RefusesATargetThatIsAbsent) {
  input().add_target_columns("nonesuch");
  ExpectViolation("input.target_columns", "\"nonesuch\"");
}

TEST_F(ResolveTest, RefusesATargetThatIsConstantOrMissing) {
  column("target").set_distinct_count(1);
  ExpectViolation("input.target_columns", "constant");
  column("target").set_missing_count(100);
  column("target").set_distinct_count(0);
  ExpectViolation("input.target_columns", "all missing");
}

TEST_F(ResolveTest, RefusesTargetsOfTheWrongKind) {
  input().add_target_columns("day");
  ExpectViolation("input.target_columns", "dates");
  input().set_target_columns(0, "color");
  input().clear_feature_columns();
  own().clear_cart();
  input().clear_split();
  own().set_task(Spec::TASK_REGRESSION);
  ExpectViolation("input.target_columns", "regression needs numbers");
}

TEST_F(ResolveTest, RefusesAClassificationOfSeveralTargets) {
  input().add_target_columns("target");
  input().add_target_columns("color");
  own().set_task(Spec::TASK_CLASSIFICATION);
  ExpectViolation("input.target_columns", "one target");
}

TEST_F(ResolveTest, RefusesTooManyClasses) {
  column("age").set_distinct_count(1001);
  input().add_target_columns("age");
  own().set_task(Spec::TASK_CLASSIFICATION);
  ExpectViolation("input.target_columns", "at most 1000");
}

TEST_F(ResolveTest, RefusesColumnsWithTwoUses) {
  input().add_feature_columns("age");
  input().add_feature_columns("target");
  ExpectViolation("input.feature_columns", "already used as a target");
  input().clear_feature_columns();
  input().add_feature_columns("age");
  input().add_feature_columns("age");
  ExpectViolation("input.feature_columns", "already used as a feature");
  input().clear_feature_columns();
  input().set_weight_column("target");
  ExpectViolation("input.weight_column", "already used as a target");
}

TEST_F(ResolveTest, RefusesUnknownColumns) {
  input().add_feature_columns("a");
  input().add_feature_columns("age");
  input().set_weight_column("w");
  input().mutable_split()->set_method(v1::SplitOptions::METHOD_TIME);
  input().mutable_split()->set_group_column("g");
  input().mutable_split()->set_time_column("t");
  Resolve();
  std::vector<std::string> fields;
  for (const FieldViolation& violation : violations_.kept()) fields.push_back(violation.field);
  const std::string prefix = "job.spec.hierarchical_shrinkage.input.";
  EXPECT_THAT(fields,
              UnorderedElementsAre(prefix + "feature_columns", prefix + "weight_column",
                                   prefix + "split.group_column", prefix + "split.time_column"));
}

TEST_F(ResolveTest, RefusesIgnoredBesideNamedFeatures) {
  input().add_feature_columns("age");
  input().add_ignored_columns("income");
  ExpectViolation("input.ignored_columns", "feature_columns");
}

TEST_F(ResolveTest, RefusesToHaveNoFeatures) {
  for (const char* name : {"age", "income", "color", "day", "weight", "patient"}) {
    input().add_ignored_columns(name);
  }
  ExpectViolation("input.feature_columns", "no column");
}

TEST_F(ResolveTest, RefusesBadWeights) {
  input().set_weight_column("weight");
  column("weight").set_minimum(-2);
  ExpectViolation("input.weight_column", "-2");
  input().clear_feature_columns();
  column("weight").set_minimum(0);
  column("weight").set_maximum(0);
  ExpectViolation("input.weight_column", "0 in every row");
  input().clear_feature_columns();
  column("weight").set_maximum(5);
  column("weight").set_missing_count(3);
  ExpectViolation("input.weight_column", "3 rows");
  input().clear_feature_columns();
  column("weight").set_type(v1::COLUMN_TYPE_CATEGORICAL);
  ExpectViolation("input.weight_column", "not numeric");
}

TEST_F(ResolveTest, RefusesImpossibleSplits) {
  v1::SplitOptions& split = *input().mutable_split();
  split.set_method(v1::SplitOptions::METHOD_GROUPED);
  ExpectViolation("input.split.group_column", "METHOD_GROUPED");
  split.set_method(v1::SplitOptions::METHOD_TIME);
  ExpectViolation("input.split.time_column", "METHOD_TIME");
  input().clear_feature_columns();
  split.set_time_column("color");
  ExpectViolation("input.split.time_column", "categories");
  input().clear_feature_columns();
  split.clear_time_column();
  split.clear_method();
  split.set_validation_fraction(0.5);
  split.set_test_fraction(0.5);
  ExpectViolation("input.split.test_fraction", "sum must be < 1");
}

TEST_F(ResolveTest, RefusesStratifiedRegression) {
  own().set_task(Spec::TASK_REGRESSION);
  input().mutable_split()->set_method(v1::SplitOptions::METHOD_STRATIFIED);
  ExpectViolation("input.split.method", "needs classes");
}

TEST_F(ResolveTest, RefusesACriterionOfTheOtherTask) {
  own().mutable_cart()->set_criterion(v1::CartOptions::CRITERION_SQUARED_ERROR);
  ExpectViolation("cart.criterion", "for regression");
  own().set_task(Spec::TASK_REGRESSION);
  input().clear_split();
  own().mutable_cart()->set_criterion(v1::CartOptions::CRITERION_ENTROPY);
  ExpectViolation("cart.criterion", "for classification");
}

TEST_F(ResolveTest, RefusesMoreFoldsThanTrainingRows) {
  own().set_folds(90);
  ExpectViolation("folds", "only 80");
  own().set_lambda(1);
  own().clear_selection();
  Resolve();
  EXPECT_TRUE(violations_.empty()) << violations_.ToStatus();
}

TEST_F(ResolveTest, RefusesAnUnknownTable) {
  input().set_dataset("projects/p/datasets/other");
  ExpectViolation("input.dataset", "projects/p/datasets/other");
}

TEST_F(ResolveTest, RefusesAnEmptyTable) {
  schema_.set_row_count(0);
  ExpectViolation("input.dataset", "0 rows");
}

TEST_F(ResolveTest, EstimatesMemoryByTheData) {
  Resolve();
  const Algorithm& algorithm = HierarchicalShrinkageAlgorithm();
  const int64_t small = algorithm.EstimateMemory(spec_, {{kDataset, schema_}});
  EXPECT_GT(small, 1 << 20);
  schema_.set_row_count(100'000'000);
  const int64_t large = algorithm.EstimateMemory(spec_, {{kDataset, schema_}});
  EXPECT_GT(large, int64_t{100'000'000} * 6 * 24);
  own().mutable_cart()->set_max_leaf_nodes(30);
  EXPECT_LT(algorithm.EstimateMemory(spec_, {{kDataset, schema_}}), large);
}

}  // namespace
}  // namespace trainyard
