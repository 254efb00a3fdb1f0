// The passes of subset_sums.h, compiled once for each instruction set. Nothing from the standard
// library may be used here: its functions would be compiled for the wider set and then be taken by
// others.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "core/algorithms/convex_relu/subset_sums.h"

// Code for different instruction sets must not be taken for the same.
#ifdef __AVX512F__
#define TRAINYARD_ISA avx512
#else
#define TRAINYARD_ISA avx2
#endif

namespace trainyard::convex_relu::TRAINYARD_ISA {

// One cache line of numbers.
template <typename Real>
struct Tile;

#ifdef __AVX512F__

template <>
struct Tile<float> {
  __m512 v;
  static Tile Load(const float* from) { return {_mm512_load_ps(from)}; }
  static Tile Zero() { return {_mm512_setzero_ps()}; }
  void Store(float* to) const { _mm512_store_ps(to, v); }
  friend Tile operator+(Tile a, Tile b) { return {_mm512_add_ps(a.v, b.v)}; }
};

template <>
struct Tile<double> {
  __m512d v;
  static Tile Load(const double* from) { return {_mm512_load_pd(from)}; }
  static Tile Zero() { return {_mm512_setzero_pd()}; }
  void Store(double* to) const { _mm512_store_pd(to, v); }
  friend Tile operator+(Tile a, Tile b) { return {_mm512_add_pd(a.v, b.v)}; }
};

#else

template <>
struct Tile<float> {
  __m256 low, high;
  static Tile Load(const float* from) { return {_mm256_load_ps(from), _mm256_load_ps(from + 8)}; }
  static Tile Zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  void Store(float* to) const {
    _mm256_store_ps(to, low);
    _mm256_store_ps(to + 8, high);
  }
  friend Tile operator+(Tile a, Tile b) {
    return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
  }
};

template <>
struct Tile<double> {
  __m256d low, high;
  static Tile Load(const double* from) { return {_mm256_load_pd(from), _mm256_load_pd(from + 4)}; }
  static Tile Zero() { return {_mm256_setzero_pd(), _mm256_setzero_pd()}; }
  void Store(double* to) const {
    _mm256_store_pd(to, low);
    _mm256_store_pd(to + 4, high);
  }
  friend Tile operator+(Tile a, Tile b) {
    return {_mm256_add_pd(a.low, b.low), _mm256_add_pd(a.high, b.high)};
  }
};

#endif

// A table's bits within a word, and its first entry.
struct Field {
  int shift;
  int bits;
  int entry;
};

template <TableSplit kSplit>
constexpr Field FieldOf(int table) {
  if constexpr (kSplit == TableSplit::kNarrow) return {4 * table, 4, 16 * table};
  if (table < 4) return {6 * table, 6, 64 * table};
  return {24 + 5 * (table - 4), 5, 256 + 32 * (table - 4)};
}

template <TableSplit kSplit>
inline constexpr int kTables = kSplit == TableSplit::kNarrow ? 16 : 12;

// Tables that the first `count` bits of a word need.
template <TableSplit kSplit>
constexpr int TablesFor(int count) {
  int tables = 1;
  while (FieldOf<kSplit>(tables - 1).shift + FieldOf<kSplit>(tables - 1).bits < count) ++tables;
  return tables;
}

// All sums of kBits vectors, of which only the first `count` are there and the others are zero. The
// sums of the first three stay in registers and are added to the sums of the rest.
template <typename Real, int kBits>
void BuildTable(const Real* vectors, int count, Real* table) {
  constexpr int kLanes = kTileLanes<Real>;
  using T = Tile<Real>;
  T low[8];
  T high[1 << (kBits - 3)];
  low[0] = high[0] = T::Zero();
#pragma GCC unroll 8
  for (int b = 0; b < kBits; ++b) {
    const T vector = b < count ? T::Load(vectors + b * kLanes) : T::Zero();
    T* const sums = b < 3 ? low : high;
    const int size = 1 << (b < 3 ? b : b - 3);
#pragma GCC unroll 8
    for (int e = 0; e < size; ++e) sums[size + e] = sums[e] + vector;
  }
#pragma GCC unroll 8
  for (int h = 0; h < 1 << (kBits - 3); ++h) {
#pragma GCC unroll 8
    for (int l = 0; l < 8; ++l) (high[h] + low[l]).Store(table + (8 * h + l) * kLanes);
  }
}

template <typename Real, TableSplit kSplit>
void Build(const Real* vectors, int count, Real* tables) {
  constexpr int kLanes = kTileLanes<Real>;
  const int needed = TablesFor<kSplit>(count);
  for (int t = 0; t < needed; ++t) {
    const Field field = FieldOf<kSplit>(t);
    const Real* const from = vectors + field.shift * kLanes;
    Real* const table = tables + field.entry * kLanes;
    const int present = count - field.shift;
    if constexpr (kSplit == TableSplit::kNarrow) {
      BuildTable<Real, 4>(from, present, table);
    } else if (t < 4) {
      BuildTable<Real, 6>(from, present, table);
    } else {
      BuildTable<Real, 5>(from, present, table);
    }
  }
}

// The entry of table `kTable` that a word names.
template <typename Real, TableSplit kSplit, int kTable>
inline Tile<Real> Entry(const char* tables, uint64_t word) {
  constexpr Field kField = FieldOf<kSplit>(kTable);
  constexpr int kTileShift = 6;
  static_assert(1 << kTileShift == kTileBytes);
  constexpr uint64_t kMask = ((uint64_t{1} << kField.bits) - 1) << kTileShift;
  // Rotated, which takes one instruction: the mask drops what comes round.
  constexpr int kRight = (kField.shift + 64 - kTileShift) % 64;
  const uint64_t offset = (word >> kRight | word << (64 - kRight) % 64) & kMask;
  return Tile<Real>::Load(
      reinterpret_cast<const Real*>(tables + offset + int64_t{kField.entry} * kTileBytes));
}

// The sum of entries of tables kBegin to kEnd - 1, as two chains that do not wait for one another.
template <typename Real, TableSplit kSplit, int kBegin, int kEnd>
inline Tile<Real> SumOfEntries(const char* tables, uint64_t word) {
  if constexpr (kEnd - kBegin == 1) {
    return Entry<Real, kSplit, kBegin>(tables, word);
  } else if constexpr (kBegin == 0 && kEnd >= 4) {
    return SumOfEntries<Real, kSplit, 0, kEnd / 2>(tables, word) +
           SumOfEntries<Real, kSplit, kEnd / 2, kEnd>(tables, word);
  } else {
    return SumOfEntries<Real, kSplit, kBegin, kEnd - 1>(tables, word) +
           Entry<Real, kSplit, kEnd - 1>(tables, word);
  }
}

template <typename Real, TableSplit kSplit, int kCount, bool kFirst>
void AddTables(const Real* tables, const uint64_t* words, int64_t words_count, Real* sums) {
  const char* const bytes = reinterpret_cast<const char*>(tables);
  for (int64_t i = 0; i < words_count; ++i) {
    Tile<Real> sum = SumOfEntries<Real, kSplit, 0, kCount>(bytes, words[i]);
    Real* const to = sums + i * kTileLanes<Real>;
    if constexpr (!kFirst) sum = sum + Tile<Real>::Load(to);
    sum.Store(to);
  }
}

// AddTables for the number of tables that is needed, found by halving [kLow, kHigh].
template <typename Real, TableSplit kSplit, int kLow, int kHigh>
void AddNeeded(int needed, const Real* tables, const uint64_t* words, int64_t words_count,
               bool first, Real* sums) {
  if constexpr (kLow == kHigh) {
    first ? AddTables<Real, kSplit, kLow, true>(tables, words, words_count, sums)
          : AddTables<Real, kSplit, kLow, false>(tables, words, words_count, sums);
  } else {
    constexpr int kMiddle = (kLow + kHigh) / 2;
    needed <= kMiddle
        ? AddNeeded<Real, kSplit, kLow, kMiddle>(needed, tables, words, words_count, first, sums)
        : AddNeeded<Real, kSplit, kMiddle + 1, kHigh>(needed, tables, words, words_count, first,
                                                      sums);
  }
}

template <typename Real, TableSplit kSplit>
void AddSplit(const Real* tables, int count, const uint64_t* words, int64_t words_count, bool first,
              Real* sums) {
  AddNeeded<Real, kSplit, 1, kTables<kSplit>>(TablesFor<kSplit>(count), tables, words, words_count,
                                              first, sums);
}

template <typename Real>
void BuildTables(TableSplit split, const Real* vectors, int count, Real* tables) {
  split == TableSplit::kWide ? Build<Real, TableSplit::kWide>(vectors, count, tables)
                             : Build<Real, TableSplit::kNarrow>(vectors, count, tables);
}

template <typename Real>
void AddSums(TableSplit split, const Real* tables, int count, const uint64_t* words,
             int64_t words_count, bool first, Real* sums) {
  split == TableSplit::kWide
      ? AddSplit<Real, TableSplit::kWide>(tables, count, words, words_count, first, sums)
      : AddSplit<Real, TableSplit::kNarrow>(tables, count, words, words_count, first, sums);
}

template <typename Real>
inline constexpr SubsetSumFunctions<Real> kFunctions = {BuildTables<Real>, AddSums<Real>};

}  // namespace trainyard::convex_relu::TRAINYARD_ISA
