// NumPy files are made here by the published format; LIBSVM lines by hand.
#include "core/data/file_formats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/data/table.h"
#include "proto/schema/violations.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename T>
std::string Npy(const std::string& type, const std::string& shape, const std::vector<T>& values,
                bool fortran = false) {
  std::string header =
      absl::StrCat("{'descr': '", type, "', 'fortran_order': ", fortran ? "True" : "False",
                   ", 'shape': ", shape, ", }");
  while ((10 + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size() & 0xFF);
  file += static_cast<char>(header.size() >> 8);
  file += header;
  file.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  return file;
}

std::shared_ptr<const Table> Parse(const std::string& bytes) {
  auto table = ParseTable(bytes, {}, TableLimits(), 2);
  EXPECT_TRUE(table.ok()) << table.status();
  return table.ok() ? *table : nullptr;
}

std::string FirstError(const std::string& bytes) {
  const auto table = ParseTable(bytes, {}, TableLimits(), 2);
  EXPECT_EQ(table.status().code(), absl::StatusCode::kInvalidArgument);
  const auto violations = ViolationsOf(table.status());
  return violations.empty() ? "" : violations[0].field + ": " + violations[0].description;
}

TEST(NpyTest, BothOrders) {
  const auto c = Parse(Npy<double>("<f8", "(2, 3)", {1, 2, 3, 4, 5, 6}));
  EXPECT_THAT(c->numbers(0), ElementsAre(1, 4));
  EXPECT_THAT(c->numbers(2), ElementsAre(3, 6));
  const auto fortran = Parse(Npy<double>("<f8", "(2, 3)", {1, 2, 3, 4, 5, 6}, true));
  EXPECT_THAT(fortran->numbers(0), ElementsAre(1, 2));
  EXPECT_THAT(fortran->numbers(2), ElementsAre(5, 6));
}

TEST(NpyTest, OneDimensionAndEveryType) {
  EXPECT_THAT(Parse(Npy<float>("<f4", "(2,)", {1.5F, -2}))->numbers(0), ElementsAre(1.5, -2));
  EXPECT_THAT(Parse(Npy<uint16_t>("<f2", "(2,)", {0x3C00, 0xC100}))->numbers(0),
              ElementsAre(1, -2.5));
  EXPECT_THAT(Parse(Npy<int8_t>("|i1", "(2,)", {-1, 5}))->numbers(0), ElementsAre(-1, 5));
  EXPECT_THAT(Parse(Npy<uint16_t>("<u2", "(1,)", {65535}))->numbers(0), ElementsAre(65535));
  EXPECT_THAT(Parse(Npy<int64_t>("<i8", "(1,)", {-7}))->numbers(0), ElementsAre(-7));
  const auto flags = Parse(Npy<uint8_t>("|b1", "(2,)", {0, 1}));
  EXPECT_EQ(flags->column(0).type(), v1::COLUMN_TYPE_BOOLEAN);
}

TEST(NpyTest, WideArraysAreTheSameInBothOrders) {
  constexpr int kRows = 700;
  constexpr int kColumns = 90;
  std::vector<float> by_row;
  std::vector<float> by_column(kRows * kColumns);
  for (int i = 0; i < kRows * kColumns; ++i) {
    by_row.push_back(static_cast<float>(i));
    by_column[static_cast<size_t>(i % kColumns * kRows + i / kColumns)] = static_cast<float>(i);
  }
  const auto c = Parse(Npy<float>("<f4", "(700, 90)", by_row));
  const auto fortran = Parse(Npy<float>("<f4", "(700, 90)", by_column, true));
  for (int column = 0; column < kColumns; ++column) {
    for (int row = 0; row < kRows; ++row) {
      const auto r = static_cast<size_t>(row);
      ASSERT_EQ(c->numbers(column)[r], row * kColumns + column);
      ASSERT_EQ(fortran->numbers(column)[r], row * kColumns + column);
    }
  }
}

TEST(NpyTest, ErrorsComeInTheOrderOfTheRows) {
  const auto table = ParseTable(
      Npy<double>("<f8", "(3, 2)", {1, 2, 3, HUGE_VAL, -HUGE_VAL, HUGE_VAL}), {}, TableLimits(), 2);
  const auto errors = ViolationsOf(table.status());
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_EQ(errors[0].field, "line 2, column 2");
  EXPECT_EQ(errors[1].field, "line 3, column 1");
}

TEST(NpyTest, RefusesTablesBeyondTheMemoryBound) {
  TableLimits limits;
  limits.max_uncompressed_bytes = 8 * 8 - 1;
  const std::string bytes = Npy<int8_t>("|i1", "(8,)", {1, 2, 3, 4, 5, 6, 7, 8});
  EXPECT_EQ(ParseTable(bytes, {}, limits, 1).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(NumericColumnsTest, TypesCanBeGiven) {
  v1::TableReadOptions options;
  (*options.mutable_column_types())["x0"] = v1::COLUMN_TYPE_CATEGORICAL;
  (*options.mutable_column_types())["x1"] = v1::COLUMN_TYPE_BOOLEAN;
  const auto table = ParseTable(Npy<double>("<f8", "(3, 3)", {10, 1, 1, NAN, 0, 2, 9.5, NAN, 3}),
                                options, TableLimits(), 2);
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT((*table)->levels(0), ElementsAre("10", "9.5"));
  EXPECT_THAT((*table)->codes(0), ElementsAre(0, -1, 1));
  EXPECT_EQ((*table)->column(1).type(), v1::COLUMN_TYPE_BOOLEAN);
  EXPECT_EQ((*table)->TextAt(0, 1), "true");
  EXPECT_EQ((*table)->column(2).type(), v1::COLUMN_TYPE_NUMERIC);
}

TEST(NumericColumnsTest, TypesThatDoNotFitAreAllReported) {
  v1::TableReadOptions options;
  (*options.mutable_column_types())["target"] = v1::COLUMN_TYPE_BOOLEAN;
  (*options.mutable_column_types())["x1"] = v1::COLUMN_TYPE_DATE;
  (*options.mutable_column_types())["x9"] = v1::COLUMN_TYPE_NUMERIC;
  const auto table = ParseTable("1 1:2\n3 1:2\n", options, TableLimits(), 1);
  const auto errors = ViolationsOf(table.status());
  ASSERT_EQ(errors.size(), 3u);
  EXPECT_EQ(errors[0].field, "column_types.target");
  EXPECT_THAT(errors[0].description, HasSubstr("the value 3 in row 2 must be 0 or 1"));
  EXPECT_THAT(errors[1].description, HasSubstr("no dates"));
  EXPECT_THAT(errors[2].description, HasSubstr("there is no column 'x9'"));
}

TEST(NpyTest, BadFiles) {
  EXPECT_THAT(FirstError(Npy<double>(">f8", "(1,)", {1})), HasSubstr("type '>f8'"));
  EXPECT_THAT(FirstError(Npy<double>("<f8", "(1, 1, 1)", {1})), HasSubstr("3 dimensions"));
  EXPECT_THAT(FirstError(Npy<double>("<f8", "(2, 2)", {1, 2, 3})), HasSubstr("cut off"));
  EXPECT_THAT(FirstError(Npy<double>("<f8", "(9223372036854775807, 4)", {1})),
              HasSubstr("at most"));
  EXPECT_THAT(FirstError(Npy<double>("<f8", "(0,)", {})), HasSubstr("empty"));
  EXPECT_THAT(FirstError(Npy<double>("<f8", "(2,)", {1, HUGE_VAL})), HasSubstr("line 2, column 1"));
  const std::string good = Npy<double>("<f8", "(2,)", {1, 2});
  for (size_t size = 6; size < good.size(); ++size) {
    EXPECT_FALSE(ParseNpy(good.substr(0, size), {}, TableLimits(), 1).ok()) << size;
  }
}

TEST(LibsvmTest, LabelsAndSparseFeatures) {
  const auto table = Parse("1 1:0.5 3:2 # comment\n-1 2:1e-3\n\n0\n");
  EXPECT_EQ(table->schema().read_options().format(), v1::TableReadOptions::FORMAT_LIBSVM);
  EXPECT_EQ(table->column(3).name(), "target");
  EXPECT_THAT(table->numbers(3), ElementsAre(1, -1, 0));
  EXPECT_THAT(table->numbers(0), ElementsAre(0.5, 0, 0));
  EXPECT_THAT(table->numbers(1), ElementsAre(0, 1e-3, 0));
  EXPECT_THAT(table->numbers(2), ElementsAre(2, 0, 0));
}

TEST(LibsvmTest, ManyPiecesGiveOneTable) {
  std::string text;
  constexpr int kRows = 60'000;
  for (int row = 0; row < kRows; ++row) {
    absl::StrAppend(&text, row, row % 4 == 0 ? "" : absl::StrCat(" ", row % 50 + 1, ":", row, ".5"),
                    " 77:1 # some words that make the file longer than two pieces\n");
  }
  for (const int threads : {1, 3}) {
    const auto table = ParseTable(text, {}, TableLimits(), threads);
    ASSERT_TRUE(table.ok()) << table.status();
    ASSERT_EQ((*table)->row_count(), kRows);
    ASSERT_EQ((*table)->column_count(), 78);
    for (int row = 0; row < kRows; ++row) {
      const auto r = static_cast<size_t>(row);
      ASSERT_EQ((*table)->numbers(77)[r], row);
      ASSERT_EQ((*table)->numbers(row % 50)[r], row % 4 == 0 ? 0 : row + 0.5);
    }
  }
  const auto bad = ParseTable(text + "x 1:1\n", {}, TableLimits(), 3);
  EXPECT_EQ(ViolationsOf(bad.status())[0].field, absl::StrCat("line ", kRows + 1, ", column 1"));
}

TEST(LibsvmTest, BadLines) {
  EXPECT_THAT(FirstError("1 1:2\nx 1:2\n"), HasSubstr("line 2, column 1"));
  EXPECT_THAT(FirstError("1 1:2 1:3\n"), HasSubstr("line 1, column 3"));
  EXPECT_THAT(FirstError("1 2:2 1:3\n"), HasSubstr("above the one before, 2"));
  EXPECT_THAT(FirstError("1 1:2\n1 0:3\n"), HasSubstr("line 2, column 2"));
  EXPECT_THAT(FirstError("1 1:2\n1 1:x\n"), HasSubstr("'1:x' must be INDEX:NUMBER"));
  EXPECT_THAT(FirstError("1 1:2\n1 2000000000:1\n"), HasSubstr("at most 99999"));
}

}  // namespace
}  // namespace trainyard
