// Both layouts against the columns that they were made from.
#include "core/algorithms/convex_relu/bit_matrix.h"

#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "tests/core/algorithms/convex_relu/random_products.h"

namespace trainyard::convex_relu {
namespace {

bool Bit(const std::vector<uint64_t>& columns, int64_t rows, int64_t row, int64_t pattern) {
  return (columns[static_cast<size_t>(pattern * BitBlocks(rows) + row / 64)] >> (row % 64) & 1) !=
         0;
}

TEST(BitMatrixTest, LayoutsHoldTheColumns) {
  ThreadPool pool(2);
  Rng rng(1);
  for (const int64_t rows : {1, 63, 64, 65, 200}) {
    for (const int64_t patterns : {1, 5, 64, 130}) {
      const std::vector<uint64_t> columns = RandomColumns(rows, patterns, rng);
      const BitMatrix bits(rows, columns, pool);
      ASSERT_EQ(bits.rows(), rows);
      ASSERT_EQ(bits.patterns(), patterns);
      for (int64_t p = 0; p < patterns; ++p) {
        int64_t active = 0;
        for (int64_t row = 0; row < rows; ++row) {
          const bool bit = Bit(columns, rows, row, p);
          active += bit ? 1 : 0;
          ASSERT_EQ(bits.Active(row, p), bit);
          ASSERT_EQ((bits.RowCodes(p / 64)[row] >> (p % 64) & 1) != 0, bit);
          ASSERT_EQ((bits.PatternCodes(row / 64)[p] >> (row % 64) & 1) != 0, bit);
        }
        EXPECT_EQ(bits.ActiveRows(p), active);
      }
      for (int64_t row = rows; row < 64 * bits.row_blocks(); ++row) {
        for (int64_t b = 0; b < bits.pattern_blocks(); ++b) EXPECT_EQ(bits.RowCodes(b)[row], 0u);
      }
    }
  }
}

TEST(BitMatrixTest, SelectionsHoldTheirPatternsInOrder) {
  ThreadPool pool(2);
  Rng rng(2);
  const int64_t rows = 150;
  const std::vector<uint64_t> columns = RandomColumns(rows, 300, rng);
  const BitMatrix bits(rows, columns, pool);
  std::vector<int64_t> chosen;
  for (int i = 0; i < 100; ++i) chosen.push_back(static_cast<int64_t>(rng.UniformInt(300)));
  const BitMatrix selected = bits.Select(chosen, pool);
  const AlignedArray<uint64_t> codes = bits.SelectRowCodes(chosen, pool);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t p = 0; p < 100; ++p) {
      const bool bit = Bit(columns, rows, row, chosen[static_cast<size_t>(p)]);
      ASSERT_EQ(selected.Active(row, p), bit);
      ASSERT_EQ((selected.RowCodes(p / 64)[row] >> (p % 64) & 1) != 0, bit);
      ASSERT_EQ((codes[p / 64 * 192 + row] >> (p % 64) & 1) != 0, bit);
    }
  }
  EXPECT_EQ(bits.Select({}, pool).patterns(), 0);
}

}  // namespace
}  // namespace trainyard::convex_relu
