// The functions of lane_tile.h, compiled once for each instruction set. Nothing from the standard
// library may be used here: the linker keeps one copy of a function of several files, and it might
// be one that not every processor runs.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "core/tensor/cpu/lane_tile.h"

#ifdef __AVX512F__
#define TRAINYARD_LANE_ISA lanes_avx512
#else
#define TRAINYARD_LANE_ISA lanes_avx2
#endif

namespace trainyard::TRAINYARD_LANE_ISA {

inline constexpr int kPrefetched = 16;  // floats of a line of the cache

inline __m128 LoadTwo(const float* from) {
  return _mm_loadl_pi(_mm_setzero_ps(), reinterpret_cast<const __m64*>(from));
}

#ifdef __AVX512F__

using Floats = __m512;
using Mask = __mmask16;
inline constexpr int kWidth = 16;
inline constexpr int kVectors = 4;
// Sums fill the registers but for those of one row of b and one element of a.
inline constexpr int kRows[kMostVectors] = {12, 8, 8, 6};

inline Floats Load(const float* from) { return _mm512_loadu_ps(from); }
inline Floats Load(Mask mask, const float* from) { return _mm512_maskz_loadu_ps(mask, from); }
inline void Store(Mask mask, float* to, Floats value) { _mm512_mask_storeu_ps(to, mask, value); }
inline Floats Broadcast(float value) { return _mm512_set1_ps(value); }
inline Floats MultiplyAdd(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
inline Floats Add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
inline Mask FirstLanes(int count) { return static_cast<Mask>((1U << count) - 1); }

template <LaneLoad kLoad>
Floats LoadLanes(const float* from) {
  if constexpr (kLoad == LaneLoad::kOne) return _mm512_set1_ps(*from);
  if constexpr (kLoad == LaneLoad::kTwo) {
    return _mm512_castpd_ps(_mm512_broadcastsd_pd(_mm_castps_pd(LoadTwo(from))));
  }
  if constexpr (kLoad == LaneLoad::kFour) return _mm512_broadcast_f32x4(_mm_loadu_ps(from));
  if constexpr (kLoad == LaneLoad::kEight) {
    return _mm512_castpd_ps(_mm512_broadcast_f64x4(_mm256_castps_pd(_mm256_loadu_ps(from))));
  }
  if constexpr (kLoad == LaneLoad::kSixteen) return _mm512_loadu_ps(from);
}

#else

using Floats = __m256;
using Mask = __m256i;
inline constexpr int kWidth = 8;
inline constexpr int kVectors = 2;
inline constexpr int kRows[kMostVectors] = {10, 6, 0, 0};

inline Floats Load(const float* from) { return _mm256_loadu_ps(from); }
inline Floats Load(Mask mask, const float* from) { return _mm256_maskload_ps(from, mask); }
inline void Store(Mask mask, float* to, Floats value) { _mm256_maskstore_ps(to, mask, value); }
inline Floats Broadcast(float value) { return _mm256_set1_ps(value); }
inline Floats MultiplyAdd(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
inline Floats Add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
inline Mask FirstLanes(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

template <LaneLoad kLoad>
Floats LoadLanes(const float* from) {
  if constexpr (kLoad == LaneLoad::kOne) return _mm256_set1_ps(*from);
  if constexpr (kLoad == LaneLoad::kTwo) {
    return _mm256_castpd_ps(_mm256_broadcastsd_pd(_mm_castps_pd(LoadTwo(from))));
  }
  if constexpr (kLoad == LaneLoad::kFour) {
    return _mm256_broadcast_ps(reinterpret_cast<const __m128*>(from));
  }
  if constexpr (kLoad == LaneLoad::kEight) return _mm256_loadu_ps(from);
}

#endif

// Inlined, as sums would leave their registers otherwise.
template <int kTileRows, int kTileVectors>
[[gnu::always_inline]] inline void StoreTile(const LaneTile& tile,
                                             const Floats (&sums)[kTileRows][kTileVectors]) {
  const Mask all = FirstLanes(tile.valid);
  const Mask last = FirstLanes(tile.last_valid);
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r) {
    if (r >= tile.rows) return;
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) {
      const Mask mask = v + 1 < kTileVectors ? all : last;
      float* const to = tile.c + r * tile.c_row + v * tile.c_vector;
      Floats value = sums[r][v];
      if (tile.accumulate) value = Add(value, Load(mask, to));
      if (tile.bias != nullptr) value = Add(value, Load(mask, tile.bias + v * tile.c_vector));
      Store(mask, to, value);
    }
  }
}

// What is stored to at the end, and the rows of the next tile, arrive while the sums are made.
template <int kTileVectors>
[[gnu::always_inline]] inline void Prefetch(const LaneTile& tile) {
  for (int r = 0; r < tile.rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) {
      _mm_prefetch(reinterpret_cast<const char*>(tile.c + r * tile.c_row + v * tile.c_vector),
                   _MM_HINT_T0);
    }
  }
  for (int64_t i = 0; tile.next_a != nullptr && i < tile.k; i += kPrefetched) {
    for (int r = 0; r < tile.rows; ++r) {
      _mm_prefetch(reinterpret_cast<const char*>(tile.next_a + r * tile.a_row + i), _MM_HINT_T0);
    }
  }
}

template <LaneLoad kLoad, int kTileRows, int kTileVectors>
void Multiply(const LaneTile& tile) {
  Floats sums[kTileRows][kTileVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) sums[r][v] = Broadcast(0);
  }
  Prefetch<kTileVectors>(tile);
  const float* a = tile.a;
  const float* b = tile.b;
  const int64_t a_row = tile.a_row;
  for (int64_t k = tile.k; k > 0; --k) {
    Floats column[kTileVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kTileVectors; ++v) column[v] = Load(b + v * kWidth);
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r) {
      const Floats element = LoadLanes<kLoad>(a + r * a_row);
#pragma GCC unroll 4
      for (int v = 0; v < kTileVectors; ++v) {
        sums[r][v] = MultiplyAdd(element, column[v], sums[r][v]);
      }
    }
    a += tile.a_step;
    b += kTileVectors * kWidth;
  }
  StoreTile(tile, sums);
}

template <LaneLoad kLoad, int kMadeFor, int kTileVectors>
void AddFunctions(LaneFunctions& functions) {
  functions.rows[kMadeFor - 1] = kRows[kMadeFor - 1];
  functions.tile[static_cast<int>(kLoad)][kMadeFor - 1][kTileVectors - 1] =
      Multiply<kLoad, kRows[kMadeFor - 1], kTileVectors>;
  if constexpr (kTileVectors > 1) {
    AddFunctions<kLoad, kMadeFor, kTileVectors - 1>(functions);
  } else if constexpr (kMadeFor > 1) {
    AddFunctions<kLoad, kMadeFor - 1, kMadeFor - 1>(functions);
  }
}

inline LaneFunctions AllFunctions() {
  LaneFunctions functions;
  functions.width = kWidth;
  functions.most_vectors = kVectors;
  AddFunctions<LaneLoad::kOne, kVectors, kVectors>(functions);
  AddFunctions<LaneLoad::kTwo, kVectors, kVectors>(functions);
  AddFunctions<LaneLoad::kFour, kVectors, kVectors>(functions);
  AddFunctions<LaneLoad::kEight, kVectors, kVectors>(functions);
#ifdef __AVX512F__
  AddFunctions<LaneLoad::kSixteen, kVectors, kVectors>(functions);
#endif
  return functions;
}

}  // namespace trainyard::TRAINYARD_LANE_ISA
