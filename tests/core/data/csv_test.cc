#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/data/table.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::IsNan;

std::shared_ptr<const Table> Parse(std::string_view text,
                                   const v1::TableReadOptions& options = {}) {
  auto table = ParseTable(text, options, TableLimits(), 2);
  EXPECT_TRUE(table.ok()) << table.status();
  return table.ok() ? *table : nullptr;
}

std::vector<std::string> Names(const Table& table) {
  std::vector<std::string> names;
  for (int i = 0; i < table.column_count(); ++i) names.push_back(table.column(i).name());
  return names;
}

std::vector<std::string> Texts(const Table& table, int column) {
  std::vector<std::string> texts;
  for (int64_t row = 0; row < table.row_count(); ++row) texts.push_back(table.TextAt(row, column));
  return texts;
}

TEST(CsvTest, ReadsNumbersWithHeader) {
  const auto table = Parse("a,b\n1,2.5\n-3,4e2\n");
  EXPECT_THAT(Names(*table), ElementsAre("a", "b"));
  EXPECT_THAT(table->numbers(0), ElementsAre(1, -3));
  EXPECT_THAT(table->numbers(1), ElementsAre(2.5, 400));
  EXPECT_TRUE(table->schema().read_options().header());
  EXPECT_EQ(table->schema().read_options().delimiter(), ",");
}

TEST(CsvTest, DetectsThatThereIsNoHeader) {
  const auto table = Parse("1,x\n2,y\n");
  EXPECT_THAT(Names(*table), ElementsAre("x0", "x1"));
  EXPECT_EQ(table->row_count(), 2);
}

TEST(CsvTest, HeaderCanBeGiven) {
  v1::TableReadOptions options;
  options.set_header(true);
  EXPECT_THAT(Names(*Parse("1,2\n3,4\n", options)), ElementsAre("1", "2"));
  options.set_header(false);
  const auto table = Parse("a,b\nc,d\n", options);
  EXPECT_THAT(Texts(*table, 0), ElementsAre("a", "c"));
}

TEST(CsvTest, DetectsEveryDelimiter) {
  for (const std::string delimiter : {",", ";", "\t", "|", " "}) {
    const auto table = Parse("a" + delimiter + "b\n1" + delimiter + "2\n");
    EXPECT_EQ(table->schema().read_options().delimiter(), delimiter);
    EXPECT_THAT(table->numbers(1), ElementsAre(2));
  }
}

TEST(CsvTest, SemicolonsWinOverDecimalCommasInTexts) {
  const auto table = Parse("name;value\n\"a, b\";1\n\"c, d\";2\n");
  EXPECT_EQ(table->schema().read_options().delimiter(), ";");
  EXPECT_THAT(Texts(*table, 0), ElementsAre("a, b", "c, d"));
}

TEST(CsvTest, QuotesHoldDelimitersLineEndsAndQuotes) {
  const auto table =
      Parse("t,n\n\"a,b\",1\n\"two\nlines\",2\n\"say \"\"hi\"\"\",3\n\"\",4\nx\"y,5\n");
  EXPECT_THAT(Texts(*table, 0), ElementsAre("a,b", "two\nlines", "say \"hi\"", "", "x\"y"));
  EXPECT_THAT(table->numbers(1), ElementsAre(1, 2, 3, 4, 5));
}

TEST(CsvTest, AllLineEndsAndAMissingLastOne) {
  for (const std::string text : {"a,b\n1,2\n3,x", "a,b\r\n1,2\r\n3,x\r\n", "a,b\r1,2\r3,x\r",
                                 "\n\na,b\n\n1,2\n\r\n3,x\n\n\n", "a,b\r\n1,2\r\n3,\"x\"\r\n"}) {
    const auto table = Parse(text);
    EXPECT_THAT(table->numbers(0), ElementsAre(1, 3)) << text;
    EXPECT_THAT(Texts(*table, 1), ElementsAre("2", "x")) << text;
  }
}

TEST(CsvTest, ByteOrderMarkIsNoPartOfTheFirstName) {
  EXPECT_THAT(Names(*Parse("\xEF\xBB\xBF"
                           "a,b\n1,2\n")),
              ElementsAre("a", "b"));
}

TEST(CsvTest, NamesBecomeUniqueAndNotEmpty) {
  EXPECT_THAT(Names(*Parse("a,,a, a \n1,2,3,4\n")), ElementsAre("a", "x1", "a_2", "a_3"));
}

TEST(CsvTest, MissingValues) {
  const auto table = Parse("n,t\n1,a\n,NA\nNA,\n?,b\nNaN,c\n");
  EXPECT_THAT(table->numbers(0), ElementsAre(1, IsNan(), IsNan(), IsNan(), IsNan()));
  EXPECT_THAT(table->codes(1), ElementsAre(0, -1, -1, 1, 2));
  EXPECT_EQ(table->column(0).missing_count(), 4);
  EXPECT_EQ(table->column(1).missing_count(), 2);
}

TEST(CsvTest, MissingTextsCanBeGiven) {
  v1::TableReadOptions options;
  options.add_missing_values("-999");
  const auto table = Parse("n,t\n-999,NA\n5,b\n", options);
  EXPECT_THAT(table->numbers(0), ElementsAre(IsNan(), 5));
  EXPECT_THAT(Texts(*table, 1), ElementsAre("NA", "b"));
}

TEST(CsvTest, InfersTypes) {
  const auto table = Parse(
      "number,word,flag,date,zero_one,mixed,letters\n"
      "1,red,yes,2013-06-01,0,1,y\n"
      "2,green,No,2013-06-02T12:00Z,1,x,t\n");
  using enum v1::ColumnType;
  std::vector<v1::ColumnType> types;
  for (int i = 0; i < table->column_count(); ++i) types.push_back(table->column(i).type());
  EXPECT_THAT(types,
              ElementsAre(v1::COLUMN_TYPE_NUMERIC, v1::COLUMN_TYPE_CATEGORICAL,
                          v1::COLUMN_TYPE_BOOLEAN, v1::COLUMN_TYPE_DATE, v1::COLUMN_TYPE_NUMERIC,
                          v1::COLUMN_TYPE_CATEGORICAL, v1::COLUMN_TYPE_CATEGORICAL));
  EXPECT_THAT(table->levels(1), ElementsAre("green", "red"));
  EXPECT_THAT(table->numbers(2), ElementsAre(1, 0));
  EXPECT_THAT(table->numbers(3), ElementsAre(1370044800, 1370174400));
}

TEST(CsvTest, TypesCanBeGiven) {
  v1::TableReadOptions options;
  (*options.mutable_column_types())["code"] = v1::COLUMN_TYPE_CATEGORICAL;
  (*options.mutable_column_types())["flag"] = v1::COLUMN_TYPE_BOOLEAN;
  (*options.mutable_column_types())["words"] = v1::COLUMN_TYPE_CATEGORICAL;
  const auto table = Parse("code,flag,words\n10,0,yes\n9,1,no\n", options);
  EXPECT_THAT(table->levels(0), ElementsAre("10", "9"));
  EXPECT_EQ(table->column(1).type(), v1::COLUMN_TYPE_BOOLEAN);
  EXPECT_THAT(table->numbers(1), ElementsAre(0, 1));
  EXPECT_EQ(table->column(2).type(), v1::COLUMN_TYPE_CATEGORICAL);
}

TEST(CsvTest, ColumnThatLooksLikeDatesAtFirstBecomesCategorical) {
  const auto table = Parse("d\n2013-06-01\nsoon\n2013-06-02\n");
  EXPECT_EQ(table->column(0).type(), v1::COLUMN_TYPE_CATEGORICAL);
  EXPECT_THAT(Texts(*table, 0), ElementsAre("2013-06-01", "soon", "2013-06-02"));
}

TEST(CsvTest, SummariesDescribeTheValues) {
  const auto table = Parse("n,t\n1,a\n3,b\n,a\n3,\n");
  const v1::ColumnSchema& numbers = table->column(0);
  EXPECT_EQ(numbers.distinct_count(), 2);
  EXPECT_EQ(numbers.minimum(), 1);
  EXPECT_EQ(numbers.maximum(), 3);
  EXPECT_DOUBLE_EQ(numbers.mean(), 7.0 / 3);
  EXPECT_THAT(table->column(1).levels(), ElementsAre("a", "b"));
}

TEST(CsvTest, SummariesTellWholeNumbers) {
  const auto table = Parse("a,b,c,d,e\n0,0,-1e300,yes,\n0.5,1,2,no,\n1,,3,yes,\n1,2,4,no,\n");
  EXPECT_TRUE(table->column(0).has_whole_numbers());
  EXPECT_FALSE(table->column(0).whole_numbers());
  EXPECT_TRUE(table->column(1).whole_numbers());
  EXPECT_TRUE(table->column(2).whole_numbers());
  EXPECT_FALSE(table->column(3).has_whole_numbers()) << "no numbers";
  EXPECT_FALSE(table->column(4).has_whole_numbers()) << "no values";
}

TEST(CsvTest, MeanOfHugeValuesIsFinite) {
  EXPECT_DOUBLE_EQ(Parse("n,m\n1.5e308,1\n1.3e308,1\n")->column(0).mean(), 1.4e308);
}

TEST(CsvTest, AllMissingColumnIsNumericWithoutExtremes) {
  const auto table = Parse("a,b\n1,\n2,\n");
  EXPECT_EQ(table->column(1).type(), v1::COLUMN_TYPE_NUMERIC);
  EXPECT_EQ(table->column(1).missing_count(), 2);
  EXPECT_FALSE(table->column(1).has_minimum());
}

}  // namespace
}  // namespace trainyard
