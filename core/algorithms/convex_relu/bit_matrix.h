// Activation patterns as bits, once by rows and once by patterns.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/algorithms/convex_relu/padded_matrix.h"
#include "core/base/thread_pool.h"

namespace trainyard::convex_relu {

constexpr int64_t BitBlocks(int64_t bits) { return (bits + 63) / 64; }

// The patterns D_i = diag(1[X g_i > 0]) of n rows as an n x P matrix of bits. It is stored twice,
// in blocks of 64, the way the products read it: about n P / 4 bytes. Movable; safe to read from
// any thread.
class BitMatrix {
 public:
  BitMatrix() = default;
  // `columns`: for each pattern BitBlocks(rows) words; bit b of word w is row 64 w + b, and bits of
  // rows that do not exist are 0.
  BitMatrix(int64_t rows, std::span<const uint64_t> columns, ThreadPool& pool);

  int64_t rows() const { return rows_; }          // n
  int64_t patterns() const { return patterns_; }  // P
  int64_t row_blocks() const { return BitBlocks(rows_); }
  int64_t pattern_blocks() const { return BitBlocks(patterns_); }

  // 1[x_row^T g_pattern > 0].
  bool Active(int64_t row, int64_t pattern) const {
    return (PatternCodes(row / 64)[pattern] >> (row % 64) & 1) != 0;
  }
  // Rows in which a pattern is active.
  int64_t ActiveRows(int64_t pattern) const;

  // One word for each row, and zeros up to 64 * row_blocks(): bit b is pattern
  // 64 * pattern_block + b.
  const uint64_t* RowCodes(int64_t pattern_block) const {
    return row_codes_.data() + pattern_block * 64 * row_blocks();
  }
  // One word for each pattern: bit b is row 64 * row_block + b.
  const uint64_t* PatternCodes(int64_t row_block) const {
    return pattern_codes_.data() + row_block * patterns_;
  }

  // All columns, as the constructor takes them.
  std::vector<uint64_t> Columns() const;
  // Some of the patterns, in the order given.
  BitMatrix Select(std::span<const int64_t> patterns, ThreadPool& pool) const;
  // The row codes alone of some of the patterns: [pattern block][row].
  AlignedArray<uint64_t> SelectRowCodes(std::span<const int64_t> patterns, ThreadPool& pool) const;

 private:
  BitMatrix(int64_t rows, int64_t patterns);

  int64_t rows_ = 0;
  int64_t patterns_ = 0;
  AlignedArray<uint64_t> row_codes_;
  AlignedArray<uint64_t> pattern_codes_;
};

}  // namespace trainyard::convex_relu
