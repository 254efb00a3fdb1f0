// Random tables, written as CSV in random style, read back equal: through every number of threads
// and pieces.
#include <gtest/gtest.h>
#include <zlib.h>

#include <cmath>

#include "core/base/random.h"
#include "core/data/csv_reader.h"
#include "core/data/table.h"
#include "core/data/value_parsing.h"

namespace trainyard {
namespace {

struct RandomTable {
  std::vector<std::vector<std::string>> rows;  // texts; empty for missing
  std::string csv;
};

std::string RandomText(Rng& rng) {
  static constexpr const char* kParts[] = {"a",    "b", ",", "\"",       "\n",
                                           "\r\n", ";", " ", "\xc3\xa4", "x1"};
  std::string text = "q";  // neither a number, a date, a boolean word nor missing
  for (uint64_t i = rng.UniformInt(6); i > 0; --i)
    text += kParts[rng.UniformInt(std::size(kParts))];
  return text;
}

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    quoted += c;
    if (c == '"') quoted += c;
  }
  return quoted + "\"";
}

RandomTable MakeRandomTable(uint64_t seed) {
  Rng rng(seed);
  const uint64_t columns = 2 + rng.UniformInt(5);
  const uint64_t rows = 1 + rng.UniformInt(60);
  const char delimiter = ",;\t|"[rng.UniformInt(4)];
  const std::string line_end = rng.UniformInt(2) == 0 ? "\n" : "\r\n";
  RandomTable table;
  for (uint64_t c = 0; c < columns; ++c) {
    table.csv += (c == 0 ? "" : std::string(1, delimiter)) + "name" + std::to_string(c);
  }
  table.csv += line_end;
  for (uint64_t r = 0; r < rows; ++r) {
    std::vector<std::string> row;
    for (uint64_t c = 0; c < columns; ++c) {
      std::string text;
      const bool missing = rng.UniformInt(8) == 0;
      if (!missing && c % 2 == 0) text = FormatNumber(std::round(rng.NextGaussian() * 1e4) / 64);
      if (!missing && c % 2 == 1) text = RandomText(rng);
      const bool needs_quotes = text.find_first_of("\"\r\n") != std::string::npos ||
                                text.find(delimiter) != std::string::npos;
      if (c > 0) table.csv += delimiter;
      table.csv += needs_quotes || rng.UniformInt(4) == 0 ? Quoted(text) : text;
      row.push_back(text);
    }
    table.rows.push_back(row);
    if (r + 1 < rows || rng.UniformInt(2) == 0) table.csv += line_end;
    if (rng.UniformInt(10) == 0 && r + 1 < rows) table.csv += line_end;  // a blank line
  }
  return table;
}

void ExpectEqual(const RandomTable& expected, const Table& table) {
  ASSERT_EQ(table.row_count(), static_cast<int64_t>(expected.rows.size()));
  for (int64_t r = 0; r < table.row_count(); ++r) {
    for (int c = 0; c < table.column_count(); ++c) {
      ASSERT_EQ(table.TextAt(r, c), expected.rows[static_cast<size_t>(r)][static_cast<size_t>(c)])
          << "row " << r << " column " << c << " of\n"
          << expected.csv;
    }
  }
}

std::string Gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

TEST(CsvPropertyTest, WhatIsWrittenIsRead) {
  for (uint64_t seed = 0; seed < 150; ++seed) {
    const RandomTable expected = MakeRandomTable(seed);
    for (const int threads : {1, 2, 5}) {
      for (const int64_t piece : {1, 13, 200, 1 << 20}) {
        const auto table = ParseCsv(expected.csv, {}, TableLimits(), threads, piece);
        ASSERT_TRUE(table.ok()) << table.status() << "\n" << expected.csv;
        ExpectEqual(expected, **table);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(CsvPropertyTest, GzipReadsLikePlain) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const RandomTable expected = MakeRandomTable(seed);
    const size_t half = expected.csv.size() / 2;
    const std::string members =
        Gzip(expected.csv.substr(0, half)) + Gzip(expected.csv.substr(half));
    const auto table = ParseTable(members, {}, TableLimits(), 2);
    ASSERT_TRUE(table.ok()) << table.status();
    ExpectEqual(expected, **table);
  }
}

TEST(CsvPropertyTest, DamagedGzipAndBombsAreRefused) {
  const std::string good = Gzip(std::string("a,b\n") + std::string(100'000, '1'));
  TableLimits limits;
  limits.max_uncompressed_bytes = 1000;
  EXPECT_EQ(ParseTable(good, {}, limits, 1).status().code(), absl::StatusCode::kInvalidArgument);
  for (size_t size = 2; size < good.size(); size += 7) {
    EXPECT_EQ(ParseTable(good.substr(0, size), {}, TableLimits(), 1).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_FALSE(ParseTable(good + "garbage", {}, TableLimits(), 1).ok());
}

// Any bytes at all give a table or an error, never a crash.
TEST(CsvPropertyTest, SurvivesMutations) {
  Rng rng(77);
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    std::string csv = MakeRandomTable(seed % 100).csv;
    for (int i = 0; i < 5; ++i) {
      csv[rng.UniformInt(csv.size())] =
          "\",\n\r;\0\xff"
          "1e"[rng.UniformInt(9)];
    }
    const auto table = ParseCsv(csv, {}, TableLimits(), 2, 16);
    EXPECT_TRUE(table.ok() || table.status().code() == absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace trainyard
