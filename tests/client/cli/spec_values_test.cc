#include "client/cli/spec_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "trainyard/v1/job.pb.h"
#include "trainyard/v1/table.pb.h"

namespace trainyard::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Spec = v1::HierarchicalShrinkageSpec;

Spec After(const std::string& assignment) {
  Spec spec;
  const absl::Status status = SetAssignment(spec, assignment);
  EXPECT_TRUE(status.ok()) << status;
  return spec;
}

std::string ErrorOf(const std::string& assignment) {
  Spec spec;
  return std::string(SetAssignment(spec, assignment).message());
}

TEST(SetFieldTest, ReadsEveryType) {
  EXPECT_EQ(After("folds=5").folds(), 5);
  EXPECT_EQ(After("cart.max_depth=-3").cart().max_depth(), -3);
  EXPECT_EQ(After("seed=9223372036854775807").seed(), INT64_MAX);
  EXPECT_EQ(After("lambda=1e-3").lambda(), 1e-3);
  EXPECT_TRUE(std::isnan(After("lambda=nan").lambda()));
  EXPECT_EQ(After("input.weight_column=a=b").input().weight_column(), "a=b");
  EXPECT_EQ(After("scheme=leaf_based").scheme(), Spec::SCHEME_LEAF_BASED);
  EXPECT_EQ(After("scheme=LEAF-BASED").scheme(), Spec::SCHEME_LEAF_BASED);
  EXPECT_EQ(After("scheme=SCHEME_LEAF_BASED").scheme(), Spec::SCHEME_LEAF_BASED);
  EXPECT_EQ(After("scheme=77").scheme(), 77);
  EXPECT_EQ(After("cart.criterion=gini").cart().criterion(), v1::CartOptions::CRITERION_GINI);
  EXPECT_THAT(After("lambda_grid=0,1, 1e1").lambda_grid(), ElementsAre(0, 1, 10));
  EXPECT_THAT(After("lambda-grid=[0, 1]").lambda_grid(), ElementsAre(0, 1));
  EXPECT_TRUE(After("lambda_grid=").lambda_grid().empty());
  EXPECT_THAT(After("input.target_columns=\"a,b\",c").input().target_columns(),
              ElementsAre("a,b", "c"));
  EXPECT_EQ(After("cart={\"max_depth\": 4}").cart().max_depth(), 4);
}

TEST(SetFieldTest, ReadsBooleans) {
  v1::DiagnosticSpec spec;
  for (const char* yes : {"true", "yes", "1", "on", "T", ""}) {
    spec.clear_ignore_cancellation();
    ASSERT_TRUE(SetField(spec, "ignore_cancellation", yes).ok());
    EXPECT_TRUE(spec.ignore_cancellation()) << yes;
  }
  for (const char* no : {"false", "no", "0", "off"}) {
    ASSERT_TRUE(SetField(spec, "ignore_cancellation", no).ok());
    EXPECT_FALSE(spec.ignore_cancellation()) << no;
  }
  EXPECT_FALSE(SetField(spec, "ignore_cancellation", "perhaps").ok());
}

TEST(SetFieldTest, ReadsMapsAndDurations) {
  v1::Job job;
  ASSERT_TRUE(SetField(job, "labels", "team=blue,\"a,b\"=c").ok());
  EXPECT_EQ(job.labels().size(), 2u);
  EXPECT_EQ(job.labels().at("a,b"), "c");
  ASSERT_TRUE(SetField(job, "labels.team", "red").ok());
  EXPECT_EQ(job.labels().at("team"), "red");
  EXPECT_EQ(job.labels().size(), 2u);
  ASSERT_TRUE(AddToField(job, "labels", "x=y").ok());
  EXPECT_EQ(job.labels().size(), 3u);
  ASSERT_TRUE(SetField(job, "labels", "only=one").ok());
  EXPECT_EQ(job.labels().size(), 1u);
  ASSERT_TRUE(SetField(job, "time_limit", "10m").ok());
  EXPECT_EQ(job.time_limit().seconds(), 600);
  v1::TableReadOptions table;
  ASSERT_TRUE(SetField(table, "column_types", "a=numeric,b=COLUMN_TYPE_DATE").ok());
  EXPECT_EQ(table.column_types().at("b"), v1::COLUMN_TYPE_DATE);
  EXPECT_FALSE(SetField(table, "column_types", "a=number").ok());
  EXPECT_FALSE(SetField(job, "labels", "novalue").ok());
}

TEST(SetFieldTest, ReplacesWhatWasThere) {
  Spec spec;
  ASSERT_TRUE(SetField(spec, "lambda_grid", "1,2").ok());
  ASSERT_TRUE(SetField(spec, "lambda_grid", "3").ok());
  EXPECT_THAT(spec.lambda_grid(), ElementsAre(3));
  ASSERT_TRUE(AddToField(spec, "lambda_grid", "4,5").ok());
  EXPECT_THAT(spec.lambda_grid(), ElementsAre(3, 4, 5));
}

TEST(SetFieldTest, ErrorsNameFieldValueAndRule) {
  EXPECT_EQ(ErrorOf("folds=abc"), "folds: \"abc\" is not a whole number of 64 bits");
  EXPECT_EQ(ErrorOf("folds=3000000000"), "folds: \"3000000000\" is not a whole number of 32 bits");
  EXPECT_EQ(ErrorOf("folds=1.5"), "folds: \"1.5\" is not a whole number of 64 bits");
  EXPECT_EQ(ErrorOf("lambda=x"), "lambda: \"x\" is not a number");
  EXPECT_EQ(ErrorOf("lambda_grid=1,x"), "lambda_grid: \"x\" is not a number");
  EXPECT_EQ(ErrorOf("scheme=leaf_base"),
            "scheme: \"leaf_base\" is not one of hierarchical, leaf_based, constant; did you mean "
            "leaf_based?");
  EXPECT_EQ(ErrorOf("fodls=3"),
            "fodls: \"fodls\" is not a field of HierarchicalShrinkageSpec; did you mean folds?");
  EXPECT_EQ(ErrorOf("max_depth=3"),
            "max_depth: \"max_depth\" is not a field of HierarchicalShrinkageSpec; did you mean "
            "cart.max_depth or boosting.max_depth?");
  EXPECT_EQ(ErrorOf("cart.max_dept=3"),
            "cart.max_dept: \"max_dept\" is not a field of CartOptions; did you mean "
            "cart.max_depth?");
  EXPECT_THAT(ErrorOf("folds.x=3"), HasSubstr("\"folds\" has no fields"));
  EXPECT_EQ(ErrorOf("folds"), "\"folds\" is not of the form field=value");
  EXPECT_EQ(ErrorOf("=3"), "\"=3\" is not of the form field=value");
  EXPECT_THAT(ErrorOf("input.weight_column=\xff"), HasSubstr("valid UTF-8"));
  EXPECT_THAT(ErrorOf("input.target_columns=\"a"), HasSubstr("not closed"));
  EXPECT_THAT(ErrorOf("cart={bad"), HasSubstr("CartOptions as JSON"));
  EXPECT_THAT(ErrorOf("..=3"), HasSubstr("is not a field"));
}

TEST(SplitListTest, KnowsQuotesAndBrackets) {
  EXPECT_THAT(*SplitList("a, b ,c"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(*SplitList("\" a \",\"say \"\"hi\"\"\""), ElementsAre(" a ", "say \"hi\""));
  EXPECT_THAT(*SplitList("[\"x\" , y]"), ElementsAre("x", "y"));
  EXPECT_THAT(*SplitList("a,,b"), ElementsAre("a", "", "b"));
  EXPECT_TRUE(SplitList("")->empty());
  EXPECT_TRUE(SplitList("[]")->empty());
}

}  // namespace
}  // namespace trainyard::cli
