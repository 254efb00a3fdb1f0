// Sixteen numbers that are worked on together, in registers of the width that the including file is
// compiled for. Included by the kernels only.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "core/algorithms/quant_bnb/scan.h"

// Code for different instruction sets must not be taken for the same.
#ifdef __AVX512BW__
#define TRAINYARD_ISA avx512
#else
#define TRAINYARD_ISA avx2
#endif

namespace trainyard::quant_bnb::TRAINYARD_ISA {

// The interface is that of Lanes<int16_t>; a mask has all bits of a lane set or none.
template <typename T>
struct Lanes;

template <>
struct Lanes<int16_t> {
  __m256i v;
  static Lanes Load(const void* from) {
    return {_mm256_load_si256(static_cast<const __m256i*>(from))};
  }
  static Lanes Of(int16_t value) { return {_mm256_set1_epi16(value)}; }
  void Store(void* to) const { _mm256_store_si256(static_cast<__m256i*>(to), v); }
  friend Lanes operator+(Lanes a, Lanes b) { return {_mm256_add_epi16(a.v, b.v)}; }
  friend Lanes operator-(Lanes a, Lanes b) { return {_mm256_sub_epi16(a.v, b.v)}; }
  friend Lanes operator&(Lanes a, Lanes b) { return {_mm256_and_si256(a.v, b.v)}; }
  static Lanes Max(Lanes a, Lanes b) { return {_mm256_max_epi16(a.v, b.v)}; }
  static Lanes Min(Lanes a, Lanes b) { return {_mm256_min_epi16(a.v, b.v)}; }
  // Mask of a >= b.
  static Lanes AtLeast(Lanes a, Lanes b) {
    return {_mm256_cmpeq_epi16(_mm256_max_epi16(a.v, b.v), a.v)};
  }
  static Lanes Select(Lanes mask, Lanes yes, Lanes no) {
    return {_mm256_blendv_epi8(no.v, yes.v, mask.v)};
  }
};

#ifdef __AVX512BW__

// As many doubles as fit one register.
struct Doubles {
  static constexpr int kCount = 8;
  __m512d v;
  static Doubles Load(const double* from) { return {_mm512_load_pd(from)}; }
  static Doubles Of(double value) { return {_mm512_set1_pd(value)}; }
  void Store(double* to) const { _mm512_store_pd(to, v); }
  friend Doubles operator+(Doubles a, Doubles b) { return {_mm512_add_pd(a.v, b.v)}; }
  friend Doubles operator-(Doubles a, Doubles b) { return {_mm512_sub_pd(a.v, b.v)}; }
  friend Doubles operator*(Doubles a, Doubles b) { return {_mm512_mul_pd(a.v, b.v)}; }
  friend Doubles operator&(Doubles a, Doubles b) { return {_mm512_and_pd(a.v, b.v)}; }
  using Mask = __mmask8;
  static Mask AtLeast(Doubles a, Doubles b) { return _mm512_cmp_pd_mask(a.v, b.v, _CMP_GE_OQ); }
  static Mask Above(Doubles a, Doubles b) { return _mm512_cmp_pd_mask(a.v, b.v, _CMP_GT_OQ); }
  static Mask Both(Mask a, Mask b) { return static_cast<Mask>(a & b); }
  static Doubles Select(Mask mask, Doubles yes, Doubles no) {
    return {_mm512_mask_mov_pd(no.v, mask, yes.v)};
  }
};

template <>
struct Lanes<int32_t> {
  __m512i v;
  static Lanes Load(const void* from) { return {_mm512_load_si512(from)}; }
  static Lanes Of(int32_t value) { return {_mm512_set1_epi32(value)}; }
  void Store(void* to) const { _mm512_store_si512(to, v); }
  friend Lanes operator+(Lanes a, Lanes b) { return {_mm512_add_epi32(a.v, b.v)}; }
  friend Lanes operator-(Lanes a, Lanes b) { return {_mm512_sub_epi32(a.v, b.v)}; }
  friend Lanes operator&(Lanes a, Lanes b) { return {_mm512_and_si512(a.v, b.v)}; }
  static Lanes Max(Lanes a, Lanes b) { return {_mm512_max_epi32(a.v, b.v)}; }
  static Lanes Min(Lanes a, Lanes b) { return {_mm512_min_epi32(a.v, b.v)}; }
  static Lanes AtLeast(Lanes a, Lanes b) {
    return {_mm512_maskz_set1_epi32(_mm512_cmpge_epi32_mask(a.v, b.v), -1)};
  }
  static Lanes Select(Lanes mask, Lanes yes, Lanes no) {
    return {_mm512_mask_mov_epi32(no.v, _mm512_movepi32_mask(mask.v), yes.v)};
  }
};

template <>
struct Lanes<double> {
  __m512d v[2];
  static Lanes Load(const void* from) {
    const double* const at = static_cast<const double*>(from);
    return {{_mm512_load_pd(at), _mm512_load_pd(at + 8)}};
  }
  static Lanes Of(double value) { return {{_mm512_set1_pd(value), _mm512_set1_pd(value)}}; }
  void Store(void* to) const {
    _mm512_store_pd(static_cast<double*>(to), v[0]);
    _mm512_store_pd(static_cast<double*>(to) + 8, v[1]);
  }
  friend Lanes operator+(Lanes a, Lanes b) {
    return {{_mm512_add_pd(a.v[0], b.v[0]), _mm512_add_pd(a.v[1], b.v[1])}};
  }
  friend Lanes operator-(Lanes a, Lanes b) {
    return {{_mm512_sub_pd(a.v[0], b.v[0]), _mm512_sub_pd(a.v[1], b.v[1])}};
  }
  friend Lanes operator*(Lanes a, Lanes b) {
    return {{_mm512_mul_pd(a.v[0], b.v[0]), _mm512_mul_pd(a.v[1], b.v[1])}};
  }
  friend Lanes operator&(Lanes a, Lanes b) {
    return {{_mm512_and_pd(a.v[0], b.v[0]), _mm512_and_pd(a.v[1], b.v[1])}};
  }
  static Lanes Max(Lanes a, Lanes b) {
    return {{_mm512_max_pd(a.v[0], b.v[0]), _mm512_max_pd(a.v[1], b.v[1])}};
  }
  static Lanes Min(Lanes a, Lanes b) {
    return {{_mm512_min_pd(a.v[0], b.v[0]), _mm512_min_pd(a.v[1], b.v[1])}};
  }
  static Lanes AtLeast(Lanes a, Lanes b) {
    return {{Compare(a.v[0], b.v[0]), Compare(a.v[1], b.v[1])}};
  }
  static Lanes Select(Lanes mask, Lanes yes, Lanes no) {
    return {{Choose(mask.v[0], yes.v[0], no.v[0]), Choose(mask.v[1], yes.v[1], no.v[1])}};
  }

 private:
  static __m512d Compare(__m512d a, __m512d b) {
    return _mm512_castsi512_pd(
        _mm512_maskz_set1_epi64(_mm512_cmp_pd_mask(a, b, _CMP_GE_OQ), int64_t{-1}));
  }
  static __m512d Choose(__m512d mask, __m512d yes, __m512d no) {
    return _mm512_mask_mov_pd(no, _mm512_movepi64_mask(_mm512_castpd_si512(mask)), yes);
  }
};

#else

struct Doubles {
  static constexpr int kCount = 4;
  __m256d v;
  static Doubles Load(const double* from) { return {_mm256_load_pd(from)}; }
  static Doubles Of(double value) { return {_mm256_set1_pd(value)}; }
  void Store(double* to) const { _mm256_store_pd(to, v); }
  friend Doubles operator+(Doubles a, Doubles b) { return {_mm256_add_pd(a.v, b.v)}; }
  friend Doubles operator-(Doubles a, Doubles b) { return {_mm256_sub_pd(a.v, b.v)}; }
  friend Doubles operator*(Doubles a, Doubles b) { return {_mm256_mul_pd(a.v, b.v)}; }
  friend Doubles operator&(Doubles a, Doubles b) { return {_mm256_and_pd(a.v, b.v)}; }
  using Mask = __m256d;
  static Mask AtLeast(Doubles a, Doubles b) { return _mm256_cmp_pd(a.v, b.v, _CMP_GE_OQ); }
  static Mask Above(Doubles a, Doubles b) { return _mm256_cmp_pd(a.v, b.v, _CMP_GT_OQ); }
  static Mask Both(Mask a, Mask b) { return _mm256_and_pd(a, b); }
  static Doubles Select(Mask mask, Doubles yes, Doubles no) {
    return {_mm256_blendv_pd(no.v, yes.v, mask)};
  }
};

template <>
struct Lanes<int32_t> {
  __m256i v[2];
  static Lanes Load(const void* from) {
    const __m256i* const at = static_cast<const __m256i*>(from);
    return {{_mm256_load_si256(at), _mm256_load_si256(at + 1)}};
  }
  static Lanes Of(int32_t value) { return {{_mm256_set1_epi32(value), _mm256_set1_epi32(value)}}; }
  void Store(void* to) const {
    _mm256_store_si256(static_cast<__m256i*>(to), v[0]);
    _mm256_store_si256(static_cast<__m256i*>(to) + 1, v[1]);
  }
  friend Lanes operator+(Lanes a, Lanes b) {
    return {{_mm256_add_epi32(a.v[0], b.v[0]), _mm256_add_epi32(a.v[1], b.v[1])}};
  }
  friend Lanes operator-(Lanes a, Lanes b) {
    return {{_mm256_sub_epi32(a.v[0], b.v[0]), _mm256_sub_epi32(a.v[1], b.v[1])}};
  }
  friend Lanes operator&(Lanes a, Lanes b) {
    return {{_mm256_and_si256(a.v[0], b.v[0]), _mm256_and_si256(a.v[1], b.v[1])}};
  }
  static Lanes Max(Lanes a, Lanes b) {
    return {{_mm256_max_epi32(a.v[0], b.v[0]), _mm256_max_epi32(a.v[1], b.v[1])}};
  }
  static Lanes Min(Lanes a, Lanes b) {
    return {{_mm256_min_epi32(a.v[0], b.v[0]), _mm256_min_epi32(a.v[1], b.v[1])}};
  }
  static Lanes AtLeast(Lanes a, Lanes b) {
    const Lanes greater = Max(a, b);
    return {{_mm256_cmpeq_epi32(greater.v[0], a.v[0]), _mm256_cmpeq_epi32(greater.v[1], a.v[1])}};
  }
  static Lanes Select(Lanes mask, Lanes yes, Lanes no) {
    return {{_mm256_blendv_epi8(no.v[0], yes.v[0], mask.v[0]),
             _mm256_blendv_epi8(no.v[1], yes.v[1], mask.v[1])}};
  }
};

template <>
struct Lanes<double> {
  __m256d v[4];
  static Lanes Load(const void* from) {
    const double* const at = static_cast<const double*>(from);
    return {{_mm256_load_pd(at), _mm256_load_pd(at + 4), _mm256_load_pd(at + 8),
             _mm256_load_pd(at + 12)}};
  }
  static Lanes Of(double value) {
    const __m256d all = _mm256_set1_pd(value);
    return {{all, all, all, all}};
  }
  void Store(void* to) const {
    for (int i = 0; i < 4; ++i) _mm256_store_pd(static_cast<double*>(to) + 4 * i, v[i]);
  }
  friend Lanes operator+(Lanes a, Lanes b) {
    return {{_mm256_add_pd(a.v[0], b.v[0]), _mm256_add_pd(a.v[1], b.v[1]),
             _mm256_add_pd(a.v[2], b.v[2]), _mm256_add_pd(a.v[3], b.v[3])}};
  }
  friend Lanes operator-(Lanes a, Lanes b) {
    return {{_mm256_sub_pd(a.v[0], b.v[0]), _mm256_sub_pd(a.v[1], b.v[1]),
             _mm256_sub_pd(a.v[2], b.v[2]), _mm256_sub_pd(a.v[3], b.v[3])}};
  }
  friend Lanes operator*(Lanes a, Lanes b) {
    return {{_mm256_mul_pd(a.v[0], b.v[0]), _mm256_mul_pd(a.v[1], b.v[1]),
             _mm256_mul_pd(a.v[2], b.v[2]), _mm256_mul_pd(a.v[3], b.v[3])}};
  }
  friend Lanes operator&(Lanes a, Lanes b) {
    return {{_mm256_and_pd(a.v[0], b.v[0]), _mm256_and_pd(a.v[1], b.v[1]),
             _mm256_and_pd(a.v[2], b.v[2]), _mm256_and_pd(a.v[3], b.v[3])}};
  }
  static Lanes Max(Lanes a, Lanes b) {
    return {{_mm256_max_pd(a.v[0], b.v[0]), _mm256_max_pd(a.v[1], b.v[1]),
             _mm256_max_pd(a.v[2], b.v[2]), _mm256_max_pd(a.v[3], b.v[3])}};
  }
  static Lanes Min(Lanes a, Lanes b) {
    return {{_mm256_min_pd(a.v[0], b.v[0]), _mm256_min_pd(a.v[1], b.v[1]),
             _mm256_min_pd(a.v[2], b.v[2]), _mm256_min_pd(a.v[3], b.v[3])}};
  }
  static Lanes AtLeast(Lanes a, Lanes b) {
    return {{_mm256_cmp_pd(a.v[0], b.v[0], _CMP_GE_OQ), _mm256_cmp_pd(a.v[1], b.v[1], _CMP_GE_OQ),
             _mm256_cmp_pd(a.v[2], b.v[2], _CMP_GE_OQ), _mm256_cmp_pd(a.v[3], b.v[3], _CMP_GE_OQ)}};
  }
  static Lanes Select(Lanes mask, Lanes yes, Lanes no) {
    return {{_mm256_blendv_pd(no.v[0], yes.v[0], mask.v[0]),
             _mm256_blendv_pd(no.v[1], yes.v[1], mask.v[1]),
             _mm256_blendv_pd(no.v[2], yes.v[2], mask.v[2]),
             _mm256_blendv_pd(no.v[3], yes.v[3], mask.v[3])}};
  }
};

#endif

}  // namespace trainyard::quant_bnb::TRAINYARD_ISA
