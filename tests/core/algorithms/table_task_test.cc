#include "core/algorithms/table_task.h"

#include "gtest/gtest.h"

namespace trainyard {
namespace {

TEST(LooksLikeClassesTest, NeedsFewWholeNumbers) {
  v1::ColumnSchema column;
  column.set_type(v1::COLUMN_TYPE_NUMERIC);
  column.set_distinct_count(20);
  column.set_minimum(0);
  column.set_maximum(40);
  column.set_whole_numbers(true);
  EXPECT_TRUE(LooksLikeClasses(column));
  column.set_distinct_count(21);
  EXPECT_FALSE(LooksLikeClasses(column));
}

// 0, 0.5 and 1 have whole extremes and may have a whole sum.
TEST(LooksLikeClassesTest, HalvesAreNoClasses) {
  v1::ColumnSchema column;
  column.set_type(v1::COLUMN_TYPE_NUMERIC);
  column.set_distinct_count(3);
  column.set_minimum(0);
  column.set_maximum(1);
  column.set_mean(0.5);
  column.set_whole_numbers(false);
  EXPECT_FALSE(LooksLikeClasses(column));
}

TEST(LooksLikeClassesTest, AnOlderSchemaIsSureOfTwoValuesOnly) {
  v1::ColumnSchema column;
  column.set_type(v1::COLUMN_TYPE_NUMERIC);
  column.set_distinct_count(2);
  column.set_minimum(0);
  column.set_maximum(1);
  EXPECT_TRUE(LooksLikeClasses(column));
  column.set_maximum(1.5);
  EXPECT_FALSE(LooksLikeClasses(column));
  column.set_maximum(2);
  column.set_distinct_count(3);
  EXPECT_FALSE(LooksLikeClasses(column));
}

}  // namespace
}  // namespace trainyard
