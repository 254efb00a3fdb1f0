#include "core/algorithms/quant_bnb/resolve.h"

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "core/algorithms/quant_bnb/quant_bnb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/schema/field_rules.h"

namespace trainyard {
namespace {

using Spec = v1::QuantBnbSpec;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kDataset[] = "projects/p/datasets/d";

v1::ColumnSchema& AddColumn(v1::TableSchema& schema, const std::string& name, v1::ColumnType type,
                            int64_t distinct) {
  v1::ColumnSchema& column = *schema.add_columns();
  column.set_name(name);
  column.set_type(type);
  column.set_distinct_count(distinct);
  if (type == v1::COLUMN_TYPE_CATEGORICAL) {
    for (int64_t level = 0; level < std::min<int64_t>(distinct, 1000); ++level) {
      column.add_levels(std::string(1, static_cast<char>('a' + level % 26)) +
                        std::to_string(level));
    }
    return column;
  }
  column.set_minimum(0);
  column.set_maximum(static_cast<double>(distinct - 1));
  column.set_whole_numbers(true);
  return column;
}

class QuantBnbResolveTest : public testing::Test {
 protected:
  QuantBnbResolveTest() {
    schema_.set_row_count(100);
    AddColumn(schema_, "age", v1::COLUMN_TYPE_NUMERIC, 50);
    AddColumn(schema_, "color", v1::COLUMN_TYPE_CATEGORICAL, 3);
    AddColumn(schema_, "weight", v1::COLUMN_TYPE_NUMERIC, 10);
    AddColumn(schema_, "yield", v1::COLUMN_TYPE_NUMERIC, 90).set_whole_numbers(false);
    AddColumn(schema_, "target", v1::COLUMN_TYPE_NUMERIC, 3);
    own().mutable_input()->set_dataset(kDataset);
  }

  Spec& own() { return *spec_.mutable_quant_bnb(); }
  v1::TableInput& input() { return *own().mutable_input(); }
  v1::ColumnSchema& column(const std::string& name) {
    for (v1::ColumnSchema& c : *schema_.mutable_columns()) {
      if (c.name() == name) return c;
    }
    ADD_FAILURE() << name;
    return *schema_.mutable_columns(0);
  }
  void AddCost(const std::string& actual, const std::string& predicted, double cost = 2) {
    v1::MisclassificationCost& added = *own().add_costs();
    added.set_actual(actual);
    added.set_predicted(predicted);
    added.set_cost(cost);
  }

  // As the server does: defaults, rules, then the algorithm.
  void Resolve() {
    FillDefaults(spec_);
    violations_ = Violations();
    CheckFieldRules(spec_, "spec", violations_);
    QuantBnbAlgorithm().Resolve({{kDataset, schema_}}, "spec", spec_, violations_);
  }

  // The only violation is of this field, and its text contains `text`.
  void ExpectViolation(const std::string& field, const std::string& text) {
    Resolve();
    ASSERT_EQ(violations_.count(), 1) << field << ": " << violations_.ToStatus();
    EXPECT_EQ(violations_.kept()[0].field, "spec.quant_bnb." + field);
    EXPECT_THAT(violations_.kept()[0].description, HasSubstr(text));
  }
  void ExpectNone() {
    Resolve();
    EXPECT_TRUE(violations_.empty()) << violations_.ToStatus();
  }

  v1::TrainingSpec spec_;
  v1::TableSchema schema_;
  Violations violations_;
};

TEST_F(QuantBnbResolveTest, FillsInWhatDependsOnTheDataAndStaysThere) {
  ExpectNone();
  EXPECT_THAT(input().target_columns(), ElementsAre("target"));
  EXPECT_THAT(input().feature_columns(), ElementsAre("age", "color", "weight", "yield"));
  EXPECT_EQ(own().task(), Spec::TASK_CLASSIFICATION);
  EXPECT_EQ(input().split().method(), v1::SplitOptions::METHOD_STRATIFIED);
  EXPECT_EQ(own().depth(), 2);
  EXPECT_EQ(own().bound(), Spec::BOUND_POINTWISE);
  EXPECT_EQ(own().missing_values(), Spec::MISSING_VALUES_LEARNED);
  EXPECT_TRUE(own().deterministic());
  const std::string once = spec_.SerializeAsString();
  ExpectNone();
  EXPECT_EQ(spec_.SerializeAsString(), once);
}

TEST_F(QuantBnbResolveTest, ARealTargetMakesARegression) {
  input().add_target_columns("yield");
  ExpectNone();
  EXPECT_EQ(own().task(), Spec::TASK_REGRESSION);
  EXPECT_EQ(input().split().method(), v1::SplitOptions::METHOD_RANDOM);
}

TEST_F(QuantBnbResolveTest, RefusesEveryFieldOutOfItsRange) {
  const double kNan = std::numeric_limits<double>::quiet_NaN();
  const struct {
    const char* field;
    std::function<void(Spec&)> set;
    const char* value;
    const char* rule;
  } cases[] = {
      {"depth", [](Spec& s) { s.set_depth(0); }, "is 0", ">= 1 and <= 4"},
      {"depth", [](Spec& s) { s.set_depth(5); }, "is 5", ">= 1 and <= 4"},
      {"min_samples_leaf", [](Spec& s) { s.set_min_samples_leaf(0); }, "is 0", ">= 1"},
      {"split_penalty", [](Spec& s) { s.set_split_penalty(-0.5); }, "is -0.5", ">= 0"},
      {"split_penalty", [=](Spec& s) { s.set_split_penalty(kNan); }, "nan", "finite"},
      {"limits.time_seconds", [](Spec& s) { s.mutable_limits()->set_time_seconds(-1); }, "is -1",
       ">= 0"},
      {"limits.evaluations", [](Spec& s) { s.mutable_limits()->set_evaluations(-2); }, "is -2",
       ">= 0"},
      {"limits.absolute_gap", [](Spec& s) { s.mutable_limits()->set_absolute_gap(-3); }, "is -3",
       ">= 0"},
      {"limits.relative_gap", [](Spec& s) { s.mutable_limits()->set_relative_gap(1.5); }, "is 1.5",
       "<= 1"},
      {"lookahead.max_depth", [](Spec& s) { s.mutable_lookahead()->set_max_depth(31); }, "is 31",
       "<= 30"},
      {"quantiles", [](Spec& s) { s.set_quantiles(1); }, "is 1", ">= 2"},
      {"bound", [](Spec& s) { s.set_bound(static_cast<Spec::Bound>(77)); }, "77",
       "BOUND_POINTWISE"},
      {"missing_values", [](Spec& s) { s.set_missing_values(static_cast<Spec::MissingValues>(9)); },
       "9", "MISSING_VALUES_REJECT"},
      {"disabled_rules[0]",
       [](Spec& s) { s.add_disabled_rules(static_cast<Spec::PruningRule>(42)); }, "42",
       "PRUNING_RULE_BUDGET"},
      {"disabled_rules[0]", [](Spec& s) { s.add_disabled_rules(Spec::PRUNING_RULE_UNSPECIFIED); },
       "PRUNING_RULE_UNSPECIFIED", "must name a rule"},
  };
  const v1::TrainingSpec good = spec_;
  for (const auto& c : cases) {
    spec_ = good;
    c.set(own());
    ExpectViolation(c.field, c.value);
    EXPECT_THAT(violations_.kept()[0].description, HasSubstr(c.rule)) << c.field;
  }
}

TEST_F(QuantBnbResolveTest, SaysEverythingAtOnce) {
  own().set_depth(9);
  own().set_quantiles(0);
  own().set_split_penalty(-1);
  AddCost("7", "1");
  Resolve();
  EXPECT_EQ(violations_.count(), 4) << violations_.ToStatus();
}

TEST_F(QuantBnbResolveTest, CostsNeedLabelsOfTheTarget) {
  AddCost("0", "2");
  AddCost("2", "0", 0.5);
  ExpectNone();
  own().clear_costs();
  for (const char* label : {"3", "-1", "1.0", "1.5", "one", " 1", "nan", "1e0"}) {
    own().clear_costs();
    AddCost(label, "1");
    ExpectViolation("costs[0].actual", std::string("is \"") + label + "\", which is no class");
    EXPECT_THAT(violations_.kept()[0].description, HasSubstr("from 0 to 2"));
    own().clear_costs();
    AddCost("1", label);
    ExpectViolation("costs[0].predicted", label);
  }
}

TEST_F(QuantBnbResolveTest, CostsOfCategoriesAndTruths) {
  input().add_target_columns("color");
  AddCost("a0", "c2");
  ExpectNone();
  own().mutable_costs(0)->set_predicted("c");
  ExpectViolation("costs[0].predicted", "must be one of a0, b1, c2");
  column("color").set_type(v1::COLUMN_TYPE_BOOLEAN);
  own().mutable_costs(0)->set_actual("true");
  own().mutable_costs(0)->set_predicted("false");
  ExpectNone();
  own().mutable_costs(0)->set_actual("True");
  ExpectViolation("costs[0].actual", "must be true or false");
}

TEST_F(QuantBnbResolveTest, CostsAreOfErrorsEachOnce) {
  AddCost("0", "0");
  ExpectViolation("costs[0].predicted", "the class that is right");
  own().clear_costs();
  AddCost("0", "1");
  AddCost("1", "0");
  AddCost("0", "1", 9);
  ExpectViolation("costs[2]", "a second time");
  own().clear_costs();
  AddCost("0", "1", -1);
  ExpectViolation("costs[0].cost", "is -1; must be >= 0");
  own().mutable_costs(0)->clear_cost();
  ExpectViolation("costs[0].cost", "required");
  own().clear_costs();
  AddCost("", "1");
  ExpectViolation("costs[0].actual", "required");
}

TEST_F(QuantBnbResolveTest, ARegressionHasNoCosts) {
  input().add_target_columns("yield");
  AddCost("0", "1");
  ExpectViolation("costs", "a regression has no costs");
}

TEST_F(QuantBnbResolveTest, TasksNeedFittingTargetsAndSplits) {
  input().mutable_split()->set_method(v1::SplitOptions::METHOD_STRATIFIED);
  own().set_task(Spec::TASK_REGRESSION);
  ExpectViolation("input.split.method", "METHOD_STRATIFIED, which needs classes");
  input().mutable_split()->set_method(v1::SplitOptions::METHOD_RANDOM);
  input().clear_feature_columns();
  input().clear_target_columns();
  input().add_target_columns("color");
  ExpectViolation("input.target_columns", "a regression needs numbers");
  own().set_task(Spec::TASK_CLASSIFICATION);
  input().clear_feature_columns();
  input().add_target_columns("target");
  ExpectViolation("input.target_columns", "one target");
}

TEST_F(QuantBnbResolveTest, MissingValuesAreRefusedWhereAsked) {
  column("age").set_missing_count(4);
  ExpectNone();
  own().set_missing_values(Spec::MISSING_VALUES_REJECT);
  ExpectViolation("missing_values", "\"age\" lacks values in 4 rows");
  // All four may be rows without target, or of weight 0: the job will see.
  column("target").set_missing_count(4);
  ExpectNone();
  column("target").set_missing_count(0);
  input().clear_feature_columns();
  input().set_weight_column("weight");
  ExpectNone();
}

TEST_F(QuantBnbResolveTest, RefusesCategoriesOfTooManyLevels) {
  column("color").set_distinct_count(1001);
  ExpectViolation("input.feature_columns", "\"color\" of 1001 categories; at most 1000");
}

TEST_F(QuantBnbResolveTest, DepthFourIsForSmallDataOrALimitedTime) {
  own().set_depth(4);
  ExpectNone();
  schema_.set_row_count(25'001);
  ExpectViolation("depth", "is 4 for 25001 rows and 4 features; with more than 100000 values");
  own().mutable_limits()->set_time_seconds(60);
  ExpectNone();
  own().mutable_limits()->set_time_seconds(0);
  own().mutable_limits()->set_evaluations(1000);
  ExpectNone();
}

TEST_F(QuantBnbResolveTest, DepthFourNeedsThePointwiseBound) {
  own().set_depth(4);
  own().set_bound(Spec::BOUND_W1);
  ExpectViolation("bound", "is BOUND_W1 with depth 4; beyond 3 levels it must be BOUND_POINTWISE");
  own().set_depth(3);
  ExpectNone();
}

TEST_F(QuantBnbResolveTest, LookaheadIsForTreesDeeperThanItsSearches) {
  own().mutable_lookahead()->set_max_depth(6);
  own().mutable_lookahead()->set_polish_levels(3);
  ExpectNone();
  own().mutable_lookahead()->set_max_depth(2);
  ExpectViolation("lookahead.max_depth", "is 2; must be 0 or more than depth, which is 2");
  own().mutable_lookahead()->set_max_depth(0);
  ExpectViolation("lookahead.polish_levels", "is 3, which needs lookahead.max_depth");
  own().mutable_lookahead()->set_max_depth(8);
  own().set_depth(4);
  ExpectViolation("depth", "with lookahead it must be <= 3");
  own().set_depth(3);
  own().set_warm_start("projects/p/models/m");
  ExpectViolation("warm_start", "lookahead takes none");
}

TEST_F(QuantBnbResolveTest, NamesOfModelsAreChecked) {
  own().set_warm_start("projects/p/models/m");
  ExpectNone();
  own().set_warm_start("m");
  ExpectViolation("warm_start", "projects/");
}

TEST_F(QuantBnbResolveTest, RulesAreDisabledOnce) {
  own().add_disabled_rules(Spec::PRUNING_RULE_BUDGET);
  own().add_disabled_rules(Spec::PRUNING_RULE_INTERVAL);
  ExpectNone();
  own().add_disabled_rules(Spec::PRUNING_RULE_BUDGET);
  ExpectViolation("disabled_rules[2]", "PRUNING_RULE_BUDGET, which is given twice");
}

TEST_F(QuantBnbResolveTest, AnUnknownTableIsNamed) {
  input().set_dataset("projects/p/datasets/other");
  ExpectViolation("input.dataset", "projects/p/datasets/other");
}

TEST_F(QuantBnbResolveTest, MemoryIsFortyBytesAValueAndABase) {
  Resolve();
  // age, weight and yield, and three colours.
  EXPECT_EQ(QuantBnbAlgorithm().EstimateMemory(spec_, {{kDataset, schema_}}),
            40 * 100 * 6 + 64'000'000);
  schema_.set_row_count(int64_t{1} << 40);
  schema_.mutable_columns(1)->set_distinct_count(1'000'000'000);
  EXPECT_GT(QuantBnbAlgorithm().EstimateMemory(spec_, {{kDataset, schema_}}), int64_t{1} << 40);
}

}  // namespace
}  // namespace trainyard
