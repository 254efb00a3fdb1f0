#include "core/algorithms/convex_relu/bit_matrix.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "core/algorithms/convex_relu/bit_transpose.h"

namespace trainyard::convex_relu {
namespace {

// Calls `task` for each block of rows; other threads are woken for many words alone.
void ForEachRowBlock(int64_t row_blocks, int64_t patterns, ThreadPool& pool,
                     const std::function<void(int64_t, int)>& task) {
  constexpr int64_t kSharedFrom = 16384;
  if (row_blocks * patterns >= kSharedFrom) return pool.Run(row_blocks, task);
  for (int64_t block = 0; block < row_blocks; ++block) task(block, 0);
}

// Row codes of `patterns` patterns from the words `word(row_block, pattern)`.
template <typename Word>
void FillRowCodes(int64_t row_blocks, int64_t patterns, ThreadPool& pool, uint64_t* row_codes,
                  const Word& word) {
  const int64_t blocks = BitBlocks(patterns);
  ForEachRowBlock(row_blocks, patterns, pool, [&](int64_t row_block, int) {
    uint64_t words[64];
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t count = std::min<int64_t>(64, patterns - 64 * block);
      for (int64_t i = 0; i < count; ++i) words[i] = word(row_block, 64 * block + i);
      std::fill(words + count, words + 64, 0);
      TransposeBits(words);
      std::copy(words, words + 64, row_codes + (block * row_blocks + row_block) * 64);
    }
  });
}

}  // namespace

BitMatrix::BitMatrix(int64_t rows, int64_t patterns)
    : rows_(rows),
      patterns_(patterns),
      row_codes_(pattern_blocks() * row_blocks() * 64),
      pattern_codes_(row_blocks() * patterns) {}

BitMatrix::BitMatrix(int64_t rows, std::span<const uint64_t> columns, ThreadPool& pool)
    : BitMatrix(rows, rows == 0 ? 0 : static_cast<int64_t>(columns.size()) / BitBlocks(rows)) {
  const int64_t words = row_blocks();
  ForEachRowBlock(words, patterns_, pool, [&](int64_t row_block, int) {
    uint64_t* const codes = pattern_codes_.data() + row_block * patterns_;
    for (int64_t p = 0; p < patterns_; ++p) {
      codes[p] = columns[static_cast<size_t>(p * words + row_block)];
    }
  });
  FillRowCodes(words, patterns_, pool, row_codes_.data(),
               [this](int64_t row_block, int64_t p) { return PatternCodes(row_block)[p]; });
}

int64_t BitMatrix::ActiveRows(int64_t pattern) const {
  int64_t count = 0;
  for (int64_t block = 0; block < row_blocks(); ++block) {
    count += std::popcount(PatternCodes(block)[pattern]);
  }
  return count;
}

std::vector<uint64_t> BitMatrix::Columns() const {
  std::vector<uint64_t> columns(static_cast<size_t>(row_blocks() * patterns_));
  for (int64_t block = 0; block < row_blocks(); ++block) {
    const uint64_t* codes = PatternCodes(block);
    for (int64_t i = 0; i < patterns_; ++i) {
      columns[static_cast<size_t>(i * row_blocks() + block)] = codes[i];
    }
  }
  return columns;
}

BitMatrix BitMatrix::Select(std::span<const int64_t> patterns, ThreadPool& pool) const {
  BitMatrix selected(rows_, static_cast<int64_t>(patterns.size()));
  ForEachRowBlock(row_blocks(), selected.patterns_, pool, [&](int64_t row_block, int) {
    const uint64_t* const from = PatternCodes(row_block);
    uint64_t* const to = selected.pattern_codes_.data() + row_block * selected.patterns_;
    for (size_t i = 0; i < patterns.size(); ++i) to[i] = from[patterns[i]];
  });
  FillRowCodes(
      row_blocks(), selected.patterns_, pool, selected.row_codes_.data(),
      [&selected](int64_t row_block, int64_t p) { return selected.PatternCodes(row_block)[p]; });
  return selected;
}

AlignedArray<uint64_t> BitMatrix::SelectRowCodes(std::span<const int64_t> patterns,
                                                 ThreadPool& pool) const {
  const int64_t count = static_cast<int64_t>(patterns.size());
  AlignedArray<uint64_t> codes(BitBlocks(count) * row_blocks() * 64);
  FillRowCodes(row_blocks(), count, pool, codes.data(), [&](int64_t row_block, int64_t p) {
    return PatternCodes(row_block)[patterns[static_cast<size_t>(p)]];
  });
  return codes;
}

}  // namespace trainyard::convex_relu
