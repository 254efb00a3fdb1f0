// The functions of random_blocks.h, compiled once for each instruction set.
#pragma once

#include <immintrin.h>

#include "core/tensor/cpu/lanes.h"
#include "core/tensor/cpu/random_blocks.h"

namespace trainyard::TRAINYARD_LANES {

// Numbers of 64 bits side by side; Product multiplies their lower halves.
#ifdef __AVX512F__
struct Wide {
  static constexpr int kCount = 8;
  __m512i v;
  static Wide Of(uint64_t x) { return {_mm512_set1_epi64(static_cast<int64_t>(x))}; }
  // 0 … 7 in the order in which StoreWords puts blocks.
  static Wide Numbers() { return {_mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7)}; }
  friend Wide operator+(Wide a, Wide b) { return {_mm512_add_epi64(a.v, b.v)}; }
  friend Wide operator^(Wide a, Wide b) { return {_mm512_xor_si512(a.v, b.v)}; }
  static Wide Product(Wide a, Wide b) { return {_mm512_mul_epu32(a.v, b.v)}; }
  Wide Upper() const { return {_mm512_srli_epi64(v, 32)}; }
  // The lower halves of a and, above them, those of b.
  static Wide Halves(Wide a, Wide b) {
    return {_mm512_mask_blend_epi32(0xAAAA, a.v, _mm512_slli_epi64(b.v, 32))};
  }
  static void StoreWords(Wide a, Wide b, uint32_t* to) {
    _mm512_storeu_si512(to, _mm512_unpacklo_epi64(a.v, b.v));
    _mm512_storeu_si512(to + 16, _mm512_unpackhi_epi64(a.v, b.v));
  }
};
#else
struct Wide {
  static constexpr int kCount = 4;
  __m256i v;
  static Wide Of(uint64_t x) { return {_mm256_set1_epi64x(static_cast<int64_t>(x))}; }
  static Wide Numbers() { return {_mm256_setr_epi64x(0, 2, 1, 3)}; }
  friend Wide operator+(Wide a, Wide b) { return {_mm256_add_epi64(a.v, b.v)}; }
  friend Wide operator^(Wide a, Wide b) { return {_mm256_xor_si256(a.v, b.v)}; }
  static Wide Product(Wide a, Wide b) { return {_mm256_mul_epu32(a.v, b.v)}; }
  Wide Upper() const { return {_mm256_srli_epi64(v, 32)}; }
  static Wide Halves(Wide a, Wide b) {
    return {_mm256_blend_epi32(a.v, _mm256_slli_epi64(b.v, 32), 0xAA)};
  }
  static void StoreWords(Wide a, Wide b, uint32_t* to) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_unpacklo_epi64(a.v, b.v));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 8), _mm256_unpackhi_epi64(a.v, b.v));
  }
};
#endif

// So many vectors of blocks at a time that multiplications overlap.
inline constexpr int kWides = 4;
inline constexpr int kBlocks = kWides * Wide::kCount;

// Blocks first, …, first + kBlocks - 1. The words of a counter are lower halves; what is above them
// does not matter.
inline void PhiloxGroup(uint64_t seed, uint64_t stream, uint64_t first, uint32_t* words) {
  const Wide multiplier0 = Wide::Of(0xD2511F53);
  const Wide multiplier1 = Wide::Of(0xCD9E8D57);
  Wide c0[kWides];
  Wide c1[kWides];
  Wide c2[kWides];
  Wide c3[kWides];
  for (int i = 0; i < kWides; ++i) {
    c0[i] = Wide::Of(first + static_cast<uint64_t>(i * Wide::kCount)) + Wide::Numbers();
    c1[i] = c0[i].Upper();
    c2[i] = Wide::Of(stream);
    c3[i] = c2[i].Upper();
  }
  auto key0 = static_cast<uint32_t>(seed);
  auto key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const Wide k0 = Wide::Of(key0);
    const Wide k1 = Wide::Of(key1);
#pragma GCC unroll 4
    for (int i = 0; i < kWides; ++i) {
      const Wide product0 = Wide::Product(c0[i], multiplier0);
      const Wide product1 = Wide::Product(c2[i], multiplier1);
      c0[i] = product1.Upper() ^ c1[i] ^ k0;
      c1[i] = product1;
      c2[i] = product0.Upper() ^ c3[i] ^ k1;
      c3[i] = product0;
    }
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  for (int i = 0; i < kWides; ++i) {
    Wide::StoreWords(Wide::Halves(c0[i], c1[i]), Wide::Halves(c2[i], c3[i]),
                     words + 4 * Wide::kCount * i);
  }
}

inline void FillWords(uint64_t seed, uint64_t stream, uint64_t first, int64_t blocks,
                      uint32_t* words) {
  for (; blocks >= kBlocks; blocks -= kBlocks, first += kBlocks, words += 4 * kBlocks) {
    PhiloxGroup(seed, stream, first, words);
  }
  if (blocks == 0) return;
  uint32_t rest[4 * kBlocks];
  PhiloxGroup(seed, stream, first, rest);
  for (int64_t i = 0; i < 4 * blocks; ++i) words[i] = rest[i];
}

}  // namespace trainyard::TRAINYARD_LANES
