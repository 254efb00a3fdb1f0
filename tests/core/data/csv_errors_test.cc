#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/data/csv_reader.h"
#include "core/data/table.h"
#include "proto/schema/violations.h"

namespace trainyard {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::vector<FieldViolation> ErrorsOf(std::string_view text,
                                     const v1::TableReadOptions& options = {},
                                     const TableLimits& limits = {}) {
  const auto table = ParseTable(text, options, limits, 2);
  EXPECT_FALSE(table.ok()) << "was accepted";
  EXPECT_EQ(table.status().code(), absl::StatusCode::kInvalidArgument) << table.status();
  return ViolationsOf(table.status());
}

auto Error(const std::string& field, const std::string& text) {
  return AllOf(Field(&FieldViolation::field, field),
               Field(&FieldViolation::description, HasSubstr(text)));
}

TEST(CsvErrorsTest, Empty) {
  EXPECT_THAT(ErrorsOf(""), ElementsAre(Error("file", "is empty")));
  EXPECT_THAT(ErrorsOf("\n\n"), ElementsAre(Error("file", "is empty")));
  EXPECT_THAT(ErrorsOf("\xEF\xBB\xBF"), ElementsAre(Error("file", "is empty")));
  EXPECT_THAT(ErrorsOf("a,b\n"), ElementsAre(Error("file", "no rows")));
}

TEST(CsvErrorsTest, RowsOfAnotherLength) {
  EXPECT_THAT(ErrorsOf("a,b,c\n1,2,3\n4,5\n6,7,8,9\n"),
              ElementsAre(Error("line 3, column 2", "the row has 2 values; the header has 3"),
                          Error("line 4, column 4", "the row has 4 values; the header has 3")));
}

TEST(CsvErrorsTest, QuoteNeverClosedIsNamedWhereItOpens) {
  EXPECT_THAT(ErrorsOf("a,b\n1,2\n3,\"x\n5,6\n7,8\n"),
              ElementsAre(Error("line 3, column 2", "never closed")));
  EXPECT_THAT(ErrorsOf("\"a,b\n1,2\n"), ElementsAre(Error("line 1, column 1", "never closed")));
}

TEST(CsvErrorsTest, TextBehindAClosingQuote) {
  EXPECT_THAT(ErrorsOf("a,b\n1,\"x\"y\n"),
              ElementsAre(Error("line 2, column 2", "follows the closing quote")));
}

TEST(CsvErrorsTest, LinesCountThroughQuotedLineEnds) {
  EXPECT_THAT(ErrorsOf("a,b\n\"x\ny\nz\",1\n2\n"),
              ElementsAre(Error("line 5, column 1", "has 1 value;")));
}

TEST(CsvErrorsTest, NulByte) {
  EXPECT_THAT(ErrorsOf(std::string_view("a,b\n1,2\n3,\0004\n", 13)),
              ElementsAre(Error("line 3, column 2", "NUL")));
}

TEST(CsvErrorsTest, MillionColumns) {
  std::string line = "x";
  for (int i = 1; i < 1'000'000; ++i) line += ",x";
  EXPECT_THAT(ErrorsOf(line), ElementsAre(Error("line 1", "more than 100000 columns")));
}

TEST(CsvErrorsTest, LineTooLong) {
  TableLimits limits;
  limits.max_line_bytes = 100;
  EXPECT_THAT(ErrorsOf("a,b\n1,2\n3," + std::string(200, '4') + "\n", {}, limits),
              ElementsAre(Error("line 3", "longer than 100 bytes")));
}

TEST(CsvErrorsTest, TextThatIsNotUtf8) {
  EXPECT_THAT(ErrorsOf("a,b\nx,1\n\xff\xfe,2\n"),
              ElementsAre(Error("line 3, column 1", "not UTF-8")));
  EXPECT_THAT(ErrorsOf("a,\xff\n1,2\n"), ElementsAre(Error("line 1, column 2", "not UTF-8")));
}

TEST(CsvErrorsTest, ValuesThatDoNotFitAGivenType) {
  v1::TableReadOptions options;
  (*options.mutable_column_types())["a"] = v1::COLUMN_TYPE_NUMERIC;
  (*options.mutable_column_types())["b"] = v1::COLUMN_TYPE_DATE;
  (*options.mutable_column_types())["c"] = v1::COLUMN_TYPE_BOOLEAN;
  EXPECT_THAT(ErrorsOf("a,b,c\n1,2013-06-01,no\nx,yesterday,yes\n", options),
              ElementsAre(Error("line 3, column 1", "'x' must be a finite number"),
                          Error("line 3, column 2", "'yesterday' must be an ISO 8601 date")));
  EXPECT_THAT(ErrorsOf("a,b,c\n1,2013-06-01,maybe\n", options),
              ElementsAre(Error("line 2, column 3", "'maybe' must be true or false")));
  EXPECT_THAT(ErrorsOf("a,y\n1,2\n", options),
              ElementsAre(Error("column_types.b", "there is no column 'b'"),
                          Error("column_types.c", "there is no column 'c'")));
}

TEST(CsvErrorsTest, TooManyLevels) {
  TableLimits limits;
  limits.max_levels = 2;
  EXPECT_THAT(ErrorsOf("a\nx\ny\nz\n", {}, limits),
              ElementsAre(Error("line 4, column 1", "more than 2")));
}

TEST(CsvErrorsTest, DelimiterThatIsNone) {
  v1::TableReadOptions options;
  options.set_delimiter("x");
  EXPECT_THAT(ErrorsOf("a,b\n1,2\n", options), ElementsAre(Error("delimiter", "'x'")));
}

// Whatever the number of threads and pieces, the same first errors in the order of the lines.
TEST(CsvErrorsTest, OrderDoesNotDependOnThreads) {
  std::string text = "a,b\n";
  for (int i = 0; i < 2000; ++i) text += i % 7 == 3 ? "1\n" : "1,2\n";
  TableLimits limits;
  const auto expected = ViolationsOf(ParseCsv(text, {}, limits, 1, 1 << 20).status());
  ASSERT_THAT(expected, SizeIs(limits.max_reported_errors));
  EXPECT_EQ(expected[0].field, "line 5, column 1");
  for (const int threads : {1, 2, 5}) {
    for (const int64_t piece : {16, 100, 1000}) {
      EXPECT_EQ(ViolationsOf(ParseCsv(text, {}, limits, threads, piece).status()), expected);
    }
  }
}

}  // namespace
}  // namespace trainyard
