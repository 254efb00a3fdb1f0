// Sums of those of 64 vectors that the bits of a word name, for many words: the "method of the four
// Russians". Tables hold the sums of all subsets of a few vectors each; a sum over 64 bits is then
// one addition for each table instead of one for each vector.
#pragma once

#include <cstdint>

namespace trainyard::convex_relu {

// Vectors are tiles of one cache line.
inline constexpr int kTileBytes = 64;
template <typename Real>
inline constexpr int kTileLanes = kTileBytes / static_cast<int>(sizeof(Real));

// How a word's 64 bits are divided among tables.
enum class TableSplit {
  kWide,    // 4 tables of 6 bits and 8 of 5: 32 KB, for many words
  kNarrow,  // 16 tables of 4 bits: 16 KB, for few
};
inline constexpr int64_t kMaxTableEntries = 4 * 64 + 8 * 32;

// The passes, by instruction set. Pointers to tiles are aligned to kTileBytes. The results are the
// same bits for every instruction set.
template <typename Real>
struct SubsetSumFunctions {
  // Tables of `count` (1 to 64) vectors; `tables` has room for kMaxTableEntries tiles.
  void (*build)(TableSplit split, const Real* vectors, int count, Real* tables);
  // sums[i] = (first ? 0 : sums[i]) + sum of the vectors b for which bit b of words[i] is set, for
  // i in [0, words_count). Bits from `count` on must be 0.
  void (*add)(TableSplit split, const Real* tables, int count, const uint64_t* words,
              int64_t words_count, bool first, Real* sums);
};

enum class InstructionSet { kAvx2, kAvx512 };

// The best that this machine has; kAvx2 is always there.
InstructionSet FastestInstructionSet();

template <typename Real>
const SubsetSumFunctions<Real>& SubsetSums(InstructionSet set);

}  // namespace trainyard::convex_relu
