#include "core/data/dense_encoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "proto/schema/violations.h"

namespace trainyard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const double kMissing = std::numeric_limits<double>::quiet_NaN();

TableColumn Numbers(std::string name, v1::ColumnType type, std::vector<double> numbers) {
  return {std::move(name), type, std::move(numbers), {}, {}};
}

TableColumn Levels(std::string name, std::vector<int32_t> codes, std::vector<std::string> levels) {
  return {std::move(name), v1::COLUMN_TYPE_CATEGORICAL, {}, std::move(codes), std::move(levels)};
}

std::shared_ptr<const Table> Make(std::vector<TableColumn> columns) {
  auto table = MakeTable(std::move(columns));
  EXPECT_TRUE(table.ok()) << table.status();
  return *table;
}

// Rows 0 to 3 are for training; row 4 has what they have not.
std::shared_ptr<const Table> MixedTable() {
  return Make(
      {Numbers("age", v1::COLUMN_TYPE_NUMERIC, {10, kMissing, 40, 10, kMissing}),
       Levels("colour", {2, 0, -1, 2, 1}, {"blue", "green", "red"}),
       Numbers("member", v1::COLUMN_TYPE_BOOLEAN, {1, 0, 0, 1, kMissing}),
       Numbers("day", v1::COLUMN_TYPE_DATE, {1.5e9, 1.5e9 + 86400, 1.5e9, 1.5e9, 1.6e9}),
       Numbers("same", v1::COLUMN_TYPE_NUMERIC, {3, 3, 3, 3, 4}),
       Numbers("seen", v1::COLUMN_TYPE_NUMERIC, {5, 5, kMissing, 5, 7}),
       Numbers("none", v1::COLUMN_TYPE_NUMERIC, {kMissing, kMissing, kMissing, kMissing, 7}),
       Levels("one", {0, 0, 0, 0, -1}, {"x"})});
}

std::vector<int> AllColumns(const Table& table) {
  std::vector<int> columns(static_cast<size_t>(table.column_count()));
  std::iota(columns.begin(), columns.end(), 0);
  return columns;
}

absl::StatusOr<DenseEncoder> Learn(const Table& table, const DenseEncoderOptions& options = {},
                                   const std::vector<double>& weights = {}) {
  const std::vector<int64_t> rows = {0, 1, 2, 3};
  return DenseEncoder::Learn(table, AllColumns(table), rows, weights, options, {});
}

std::vector<double> EncodeAll(const DenseEncoder& encoder, const Table& table) {
  const auto columns = encoder.Bind(table);
  EXPECT_TRUE(columns.ok()) << columns.status();
  std::vector<double> rows(static_cast<size_t>(table.row_count() * encoder.width()));
  ThreadPool pool(1);
  encoder.Encode(*columns, 0, table.row_count(), rows.data(), encoder.width(), pool);
  return rows;
}

TEST(DenseEncoderTest, EncodesEveryTypeOfColumn) {
  const auto table = MixedTable();
  const auto encoder = Learn(*table);
  ASSERT_TRUE(encoder.ok()) << encoder.status();
  EXPECT_THAT(encoder->NumberNames(),
              ElementsAre("age", "age is missing", "colour=blue", "colour=red", "member", "day",
                          "seen is missing"));
  EXPECT_THAT(encoder->encoding().constant_columns(), ElementsAre("same", "none", "one"));
  EXPECT_THAT(EncodeAll(*encoder, *table), ElementsAre(10, 0, 0, 1, 1, 1.5e9, 0,          //
                                                       20, 1, 1, 0, 0, 1.5e9 + 86400, 0,  //
                                                       40, 0, 0, 0, 0, 1.5e9, 1,          //
                                                       10, 0, 0, 1, 1, 1.5e9, 0,          //
                                                       20, 1, 0, 0, 0.5, 1.6e9, 0));
}

TEST(DenseEncoderTest, WidthIsWithinWhatTheSchemaSays) {
  const auto table = MixedTable();
  DenseEncoderOptions options;
  EXPECT_EQ(LargestDenseWidth(table->schema(), AllColumns(*table), options),
            2 + 3 + 2 + 1 + 1 + 2 + 2 + 1);
  options.missing_indicators = false;
  options.max_levels = 2;
  EXPECT_EQ(LargestDenseWidth(table->schema(), AllColumns(*table), options),
            1 + 2 + 1 + 1 + 1 + 1 + 1 + 1);
}

TEST(DenseEncoderTest, WeighsTheTrainingRows) {
  const auto table = MixedTable();
  const auto encoder = Learn(*table, {}, {1, 100, 2, 3});
  ASSERT_TRUE(encoder.ok()) << encoder.status();
  EXPECT_DOUBLE_EQ(encoder->encoding().columns(0).mean(), (10 + 2 * 40 + 3 * 10) / 6.0);
}

TEST(DenseEncoderTest, LeavesOutIndicatorsWhenToldTo) {
  const auto table = MixedTable();
  DenseEncoderOptions options;
  options.missing_indicators = false;
  const auto encoder = Learn(*table, options);
  ASSERT_TRUE(encoder.ok()) << encoder.status();
  EXPECT_THAT(encoder->NumberNames(),
              ElementsAre("age", "colour=blue", "colour=red", "member", "day"));
}

// Means and variances of the encoded training rows, summed directly.
TEST(DenseEncoderTest, StandardizedNumbersHaveMean0AndVariance1) {
  const auto table = MixedTable();
  DenseEncoderOptions options;
  options.standardize = true;
  const std::vector<double> weights = {1, 0.5, 2, 3};
  const auto encoder = Learn(*table, options, weights);
  ASSERT_TRUE(encoder.ok()) << encoder.status();
  const std::vector<double> rows = EncodeAll(*encoder, *table);
  const size_t width = static_cast<size_t>(encoder->width());
  for (size_t j = 0; j < width; ++j) {
    double mean = 0;
    double square = 0;
    for (size_t i = 0; i < 4; ++i) {
      mean += weights[i] * rows[i * width + j] / 6.5;
      square += weights[i] * rows[i * width + j] * rows[i * width + j] / 6.5;
    }
    // The mean of the dates is rounded to 2e-7 of a standard deviation of 2e4.
    EXPECT_NEAR(mean, 0, 1e-11) << encoder->NumberNames()[j];
    EXPECT_NEAR(square, 1, 1e-12) << encoder->NumberNames()[j];
  }
}

TEST(DenseEncoderTest, FindsColumnsByNameAndLevelsByText) {
  const auto encoder = Learn(*MixedTable());
  const auto other =
      Make({Levels("colour", {0, 1, 2}, {"amber", "blue", "red"}),
            Numbers("day", v1::COLUMN_TYPE_DATE, {1, 2, 3}),
            Numbers("member", v1::COLUMN_TYPE_NUMERIC, {0, 1, 0}), Levels("seen", {-1, -1, -1}, {}),
            Numbers("extra", v1::COLUMN_TYPE_NUMERIC, {1, 1, 2}),
            Numbers("age", v1::COLUMN_TYPE_NUMERIC, {1, 2, kMissing})});
  EXPECT_THAT(EncodeAll(*encoder, *other), ElementsAre(1, 0, 0, 0, 0, 1, 1,  //
                                                       2, 0, 1, 0, 1, 2, 1,  //
                                                       20, 1, 0, 1, 0, 3, 1));
}

TEST(DenseEncoderTest, NamesColumnsThatDoNotFit) {
  const auto encoder = Learn(*MixedTable());
  const auto other = Make({Numbers("colour", v1::COLUMN_TYPE_NUMERIC, {1, 2}),
                           Numbers("day", v1::COLUMN_TYPE_NUMERIC, {1, 2}),
                           Numbers("member", v1::COLUMN_TYPE_BOOLEAN, {0, 1}),
                           Numbers("seen", v1::COLUMN_TYPE_NUMERIC, {0, 1})});
  const auto bound = encoder->Bind(*other);
  EXPECT_EQ(bound.status().code(), absl::StatusCode::kInvalidArgument);
  std::vector<std::string> names;
  for (const FieldViolation& violation : ViolationsOf(bound.status())) {
    names.push_back(violation.field);
  }
  EXPECT_THAT(names, ElementsAre("age", "colour", "day"));
}

TEST(DenseEncoderTest, RefusesWhatCannotBeEncoded) {
  DenseEncoderOptions options;
  options.max_levels = 1;
  const double infinity = std::numeric_limits<double>::infinity();
  const auto table = Make({Levels("colour", {2, 0, -1, 2, 1}, {"blue", "green", "red"}),
                           Numbers("x", v1::COLUMN_TYPE_NUMERIC, {1, 2, infinity, 4, 5}),
                           Numbers("y", v1::COLUMN_TYPE_NUMERIC, {1, 2, -1e146, kMissing, 5})});
  const auto encoder = Learn(*table, options);
  EXPECT_EQ(encoder.status().code(), absl::StatusCode::kInvalidArgument);
  const auto violations = ViolationsOf(encoder.status());
  ASSERT_EQ(violations.size(), 3u);
  EXPECT_EQ(violations[0].field, "colour");
  EXPECT_THAT(violations[0].description, HasSubstr("has 2 different values"));
  EXPECT_EQ(violations[1].field, "x");
  EXPECT_EQ(violations[2].field, "y");
  const auto constant = Make({Numbers("same", v1::COLUMN_TYPE_NUMERIC, {3, 3, 3, 3, 4})});
  EXPECT_THAT(Learn(*constant).status().message(), HasSubstr("are the same in all 4"));
  EXPECT_EQ(DenseEncoder::Learn(*table, AllColumns(*table), std::vector<int64_t>{0, 1}, {}, {},
                                [] { return absl::CancelledError(""); })
                .status()
                .code(),
            absl::StatusCode::kCancelled);
}

TEST(DenseEncoderTest, GoesThroughItsMessage) {
  const auto table = MixedTable();
  DenseEncoderOptions options;
  options.standardize = true;
  const auto encoder = Learn(*table, options);
  const auto again = DenseEncoder::FromProto(encoder->encoding());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(EncodeAll(*again, *table), EncodeAll(*encoder, *table));
}

TEST(DenseEncoderTest, RefusesDamagedMessages) {
  const auto table = MixedTable();
  DenseEncoderOptions options;
  options.standardize = true;
  const v1::DenseEncoding good = Learn(*table, options)->encoding();
  const auto refused = [&good](const auto& change) {
    v1::DenseEncoding encoding = good;
    change(encoding);
    return DenseEncoder::FromProto(std::move(encoding)).status().code() ==
           absl::StatusCode::kDataLoss;
  };
  using E = v1::DenseEncoding;
  EXPECT_FALSE(refused([](E&) {}));
  EXPECT_TRUE(refused([](E& e) { e.clear_columns(); }));
  EXPECT_TRUE(refused([](E& e) { e.mutable_columns(1)->set_name("age"); }));
  EXPECT_TRUE(refused([](E& e) { e.mutable_columns(0)->clear_type(); }));
  EXPECT_TRUE(
      refused([](E& e) { e.mutable_columns(0)->set_type(static_cast<v1::ColumnType>(9)); }));
  EXPECT_TRUE(refused([](E& e) { e.mutable_columns(0)->set_mean(kMissing); }));
  EXPECT_TRUE(refused([](E& e) { e.mutable_columns(0)->add_levels("x"); }));
  EXPECT_TRUE(refused([](E& e) { e.mutable_columns(0)->set_missing_indicator(false); }));
  EXPECT_TRUE(refused([](E& e) { e.mutable_columns(1)->set_value(true); }));
  EXPECT_TRUE(refused([](E& e) { e.mutable_columns(1)->set_levels(1, "blue"); }));
  EXPECT_TRUE(refused([](E& e) { e.mutable_columns(1)->clear_levels(); }));
  EXPECT_TRUE(refused([](E& e) { e.clear_scale(); }));
  EXPECT_TRUE(refused([](E& e) { e.clear_offset(); }));
  EXPECT_TRUE(refused([](E& e) { e.set_scale(2, 0); }));
  EXPECT_TRUE(refused([](E& e) { e.set_offset(2, kMissing); }));
  EXPECT_TRUE(refused([](E& e) { e.add_scale(1); }));
}

// The same rows one at a time, as float, and on several threads.
TEST(DenseEncoderTest, RowsAreTheSameHoweverTheyAreEncoded) {
  std::vector<double> x(5000);
  std::vector<int32_t> codes(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = i % 7 == 0 ? kMissing : std::sin(static_cast<double>(i));
    codes[i] = static_cast<int32_t>(i % 4) - 1;
  }
  const auto table =
      Make({Numbers("x", v1::COLUMN_TYPE_NUMERIC, x), Levels("c", codes, {"a", "b", "c"})});
  const auto encoder = Learn(*table);
  ASSERT_TRUE(encoder.ok());
  const std::vector<double> all = EncodeAll(*encoder, *table);
  const auto columns = encoder->Bind(*table);
  const size_t width = static_cast<size_t>(encoder->width());
  const size_t stride = width + 3;
  std::vector<int64_t> rows(x.size());
  std::iota(rows.rbegin(), rows.rend(), 0);
  ThreadPool pool(3);
  std::vector<float> reversed(rows.size() * stride, -9);
  encoder->Encode(*columns, rows, reversed.data(), static_cast<int64_t>(stride), pool);
  std::vector<double> part(1000 * width);
  encoder->Encode(*columns, 2500, 3500, part.data(), static_cast<int64_t>(width), pool);
  for (size_t i = 0; i < rows.size(); ++i) {
    const float* row = reversed.data() + (rows.size() - 1 - i) * stride;
    for (size_t j = 0; j < width; ++j) {
      EXPECT_EQ(row[j], static_cast<float>(all[i * width + j]));
      if (i >= 2500 && i < 3500) {
        EXPECT_EQ(part[(i - 2500) * width + j], all[i * width + j]);
      }
    }
    for (size_t j = width; j < stride; ++j) EXPECT_EQ(row[j], -9);
  }
}

}  // namespace
}  // namespace trainyard
