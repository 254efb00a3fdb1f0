// Types that show late, levels over many pieces, and the bounds on tables.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/data/csv_reader.h"
#include "core/data/table.h"
#include "proto/schema/violations.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kPieceBytes = 64;

std::shared_ptr<const Table> Parse(const std::string& text, int threads = 3) {
  auto table = ParseCsv(text, {}, TableLimits(), threads, kPieceBytes);
  EXPECT_TRUE(table.ok()) << table.status();
  return table.ok() ? *table : nullptr;
}

std::vector<FieldViolation> ErrorsOf(const std::string& text, const TableLimits& limits,
                                     int threads = 3) {
  return ViolationsOf(ParseCsv(text, {}, limits, threads, kPieceBytes).status());
}

// A column of 1000 rows that hold `common`, but for one.
std::string ColumnWith(const std::string& common, int row, const std::string& odd) {
  std::string text = "a,b\n";
  for (int r = 0; r < 1000; ++r) absl::StrAppend(&text, r == row ? odd : common, ",1\n");
  return text;
}

TEST(CsvColumnsTest, OneOddValueDecidesTheTypeWhereverItStands) {
  for (const int row : {0, 1, 199, 200, 500, 999}) {
    const auto text = Parse(ColumnWith("12.5", row, "soon"));
    ASSERT_EQ(text->column(0).type(), v1::COLUMN_TYPE_CATEGORICAL) << row;
    EXPECT_THAT(text->levels(0), ElementsAre("12.5", "soon"));
    EXPECT_EQ(text->TextAt(row, 0), "soon");
    const auto date = Parse(ColumnWith("12.5", row, "2013-06-01"));
    EXPECT_EQ(date->column(0).type(), v1::COLUMN_TYPE_CATEGORICAL) << row;
    const auto number = Parse(ColumnWith("2013-06-01", row, "7"));
    EXPECT_EQ(number->column(0).type(), v1::COLUMN_TYPE_CATEGORICAL) << row;
    const auto word = Parse(ColumnWith("yes", row, "no"));
    EXPECT_EQ(word->column(0).type(), v1::COLUMN_TYPE_BOOLEAN) << row;
    EXPECT_EQ(word->numbers(0)[static_cast<size_t>(row)], 0);
  }
}

TEST(CsvColumnsTest, DatesAfterMissingValuesAreDates) {
  std::string text = "d,n\n";
  for (int r = 0; r < 500; ++r) text += r < 400 ? ",1\n" : "2013-06-01,1\n";
  const auto table = Parse(text);
  EXPECT_EQ(table->column(0).type(), v1::COLUMN_TYPE_DATE);
  EXPECT_EQ(table->column(0).missing_count(), 400);
}

TEST(CsvColumnsTest, LevelsAreTheSameForEveryNumberOfThreads) {
  std::string text = "t,long\n";
  std::set<std::string> expected;
  for (int r = 0; r < 3000; ++r) {
    const std::string level = absl::StrCat("level", r * 7919 % 1237);
    expected.insert(level);
    absl::StrAppend(&text, r % 3 == 0 ? absl::StrCat("\"", level, "\"") : level,
                    ",a text of more than fifteen bytes ", r % 11, "\n");
  }
  for (const int threads : {1, 2, 5}) {
    const auto table = Parse(text, threads);
    EXPECT_EQ(std::vector<std::string>(table->levels(0).begin(), table->levels(0).end()),
              std::vector<std::string>(expected.begin(), expected.end()));
    for (int r = 0; r < 3000; ++r) {
      ASSERT_EQ(table->TextAt(r, 0), absl::StrCat("level", r * 7919 % 1237));
      ASSERT_EQ(table->TextAt(r, 1), absl::StrCat("a text of more than fifteen bytes ", r % 11));
    }
  }
}

TEST(CsvColumnsTest, TooManyLevelsOverAllPiecesAreFound) {
  std::string text = "t,n\n";
  for (int r = 0; r < 500; ++r) absl::StrAppend(&text, "level", r, ",1\n");
  TableLimits limits;
  limits.max_levels = 499;
  const auto errors = ErrorsOf(text, limits);
  ASSERT_THAT(errors, SizeIs(1));
  EXPECT_THAT(errors[0].description, HasSubstr("column 't' has more than 499 different texts"));
  limits.max_levels = 500;
  EXPECT_THAT(ErrorsOf(text, limits), IsEmpty());
}

TEST(CsvColumnsTest, ErrorsInTextsComeInTheOrderOfTheLines) {
  std::string text = "t,n\n";
  for (int r = 0; r < 500; ++r) {
    absl::StrAppend(&text, r % 20 == 9 ? "\xff" : "", "level", r, ",1\n");
  }
  const auto expected = ErrorsOf(text, TableLimits(), 1);
  ASSERT_THAT(expected, SizeIs(20));
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(expected[static_cast<size_t>(i)].field,
              absl::StrCat("line ", 11 + 20 * i, ", column 1"));
  }
  for (const int threads : {2, 5}) EXPECT_EQ(ErrorsOf(text, TableLimits(), threads), expected);
}

TEST(CsvColumnsTest, NulByteDoesNotShiftTheLinesOfOtherErrors) {
  std::string text = "a,b\n";
  for (int r = 0; r < 100; ++r) text += "1,2\n";
  text[4 + 4 * 10] = '\0';           // line 12
  text.replace(4 + 4 * 60, 3, "1");  // line 62
  const auto errors = ErrorsOf(text, TableLimits());
  ASSERT_THAT(errors, SizeIs(2));
  EXPECT_EQ(errors[0].field, "line 12, column 1");
  EXPECT_THAT(errors[0].description, HasSubstr("NUL"));
  EXPECT_EQ(errors[1].field, "line 62, column 1");
}

TEST(CsvColumnsTest, ManyEqualNamesBecomeUniqueQuickly) {
  std::string text = "a";
  for (int c = 1; c < 100'000; ++c) text += ",a";
  text += "\n1";
  for (int c = 1; c < 100'000; ++c) text += ",1";
  const auto table = ParseCsv(text, {}, TableLimits(), 2);
  ASSERT_TRUE(table.ok()) << table.status();
  std::set<std::string> names;
  for (const v1::ColumnSchema& column : (*table)->schema().columns()) names.insert(column.name());
  EXPECT_THAT(names, SizeIs(100'000));
}

TEST(CsvColumnsTest, RefusesTablesBeyondTheirBounds) {
  std::string text = "a,b\n";
  for (int r = 0; r < 100; ++r) text += "1,2\n";
  TableLimits limits;
  limits.max_rows = 99;
  EXPECT_THAT(ErrorsOf(text, limits)[0].description,
              HasSubstr("100 rows; a table must have at most 99"));
  limits = {};
  limits.max_uncompressed_bytes = 100 * 2 * 8 - 1;
  EXPECT_THAT(ErrorsOf(text, limits)[0].description, HasSubstr("at most 1599 bytes in memory"));
}

TEST(CsvColumnsTest, NamesAreOfBoundedLength) {
  v1::TableReadOptions options;
  options.set_header(true);
  const auto table =
      ParseCsv(std::string(2000, 'n') + ",b\n1,2\n", options, TableLimits(), 1, kPieceBytes);
  const auto errors = ViolationsOf(table.status());
  ASSERT_THAT(errors, SizeIs(1));
  EXPECT_EQ(errors[0].field, "line 1, column 1");
  EXPECT_THAT(errors[0].description, HasSubstr("has 2000 bytes; it must have at most 1024"));
}

TEST(CsvColumnsTest, HeaderErrorsNameTheirLineBehindBlankLines) {
  const auto errors = ErrorsOf("\n\na,\xff\n1,2\n", TableLimits());
  ASSERT_THAT(errors, SizeIs(1));
  EXPECT_EQ(errors[0].field, "line 3, column 2");
}

}  // namespace
}  // namespace trainyard
