// NumPy files are made here by the published format; LIBSVM lines by hand.
#include "core/data/file_formats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
