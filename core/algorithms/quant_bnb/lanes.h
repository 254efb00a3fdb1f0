// Numbers for both sides of sixteen thresholds that are worked on together, in registers of the
// width that the including file is compiled for. Included by the scans only.
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

// One register of T.
template <typename T>
struct Register;

#ifdef __AVX512BW__

template <>
struct Register<int16_t> {
  using Mask = __mmask32;
  __m512i v;
  static Register Load(const int16_t* from) { return {_mm512_load_si512(from)}; }
  static Register Of(int16_t value) { return {_mm512_set1_epi16(value)}; }
  void Store(int16_t* to) const { _mm512_store_si512(to, v); }
  friend Register operator+(Register a, Register b) { return {_mm512_add_epi16(a.v, b.v)}; }
  friend Register operator-(Register a, Register b) { return {_mm512_sub_epi16(a.v, b.v)}; }
  friend Register operator&(Register a, Register b) { return {_mm512_and_si512(a.v, b.v)}; }
  static Register Max(Register a, Register b) { return {_mm512_max_epi16(a.v, b.v)}; }
  static Register Min(Register a, Register b) { return {_mm512_min_epi16(a.v, b.v)}; }
  static Mask AtLeast(Register a, Register b) { return _mm512_cmpge_epi16_mask(a.v, b.v); }
  static Mask Both(Mask a, Mask b) { return a & b; }
  static Register Select(Mask mask, Register yes, Register no) {
    return {_mm512_mask_mov_epi16(no.v, mask, yes.v)};
  }
};

template <>
struct Register<int32_t> {
  using Mask = __mmask16;
  __m512i v;
  static Register Load(const int32_t* from) { return {_mm512_load_si512(from)}; }
  static Register Of(int32_t value) { return {_mm512_set1_epi32(value)}; }
  void Store(int32_t* to) const { _mm512_store_si512(to, v); }
  friend Register operator+(Register a, Register b) { return {_mm512_add_epi32(a.v, b.v)}; }
  friend Register operator-(Register a, Register b) { return {_mm512_sub_epi32(a.v, b.v)}; }
  friend Register operator&(Register a, Register b) { return {_mm512_and_si512(a.v, b.v)}; }
  static Register Max(Register a, Register b) { return {_mm512_max_epi32(a.v, b.v)}; }
  static Register Min(Register a, Register b) { return {_mm512_min_epi32(a.v, b.v)}; }
  static Mask AtLeast(Register a, Register b) { return _mm512_cmpge_epi32_mask(a.v, b.v); }
  static Mask Both(Mask a, Mask b) { return static_cast<Mask>(a & b); }
  static Register Select(Mask mask, Register yes, Register no) {
    return {_mm512_mask_mov_epi32(no.v, mask, yes.v)};
  }
};

template <>
struct Register<double> {
  using Mask = __mmask8;
  __m512d v;
  static Register Load(const double* from) { return {_mm512_load_pd(from)}; }
  static Register Of(double value) { return {_mm512_set1_pd(value)}; }
  void Store(double* to) const { _mm512_store_pd(to, v); }
  friend Register operator+(Register a, Register b) { return {_mm512_add_pd(a.v, b.v)}; }
  friend Register operator-(Register a, Register b) { return {_mm512_sub_pd(a.v, b.v)}; }
  friend Register operator*(Register a, Register b) { return {_mm512_mul_pd(a.v, b.v)}; }
  friend Register operator&(Register a, Register b) { return {_mm512_and_pd(a.v, b.v)}; }
  // c - a * b.
  static Register SubtractProduct(Register c, Register a, Register b) {
    return {_mm512_fnmadd_pd(a.v, b.v, c.v)};
  }
  static Register Max(Register a, Register b) { return {_mm512_max_pd(a.v, b.v)}; }
  static Register Min(Register a, Register b) { return {_mm512_min_pd(a.v, b.v)}; }
  static Mask AtLeast(Register a, Register b) { return _mm512_cmp_pd_mask(a.v, b.v, _CMP_GE_OQ); }
  static Mask Above(Register a, Register b) { return _mm512_cmp_pd_mask(a.v, b.v, _CMP_GT_OQ); }
  static Mask Both(Mask a, Mask b) { return static_cast<Mask>(a & b); }
  static Register Select(Mask mask, Register yes, Register no) {
    return {_mm512_mask_mov_pd(no.v, mask, yes.v)};
  }
};

#else

template <>
struct Register<int16_t> {
  using Mask = __m256i;
  __m256i v;
  static Register Load(const int16_t* from) {
    return {_mm256_load_si256(reinterpret_cast<const __m256i*>(from))};
  }
  static Register Of(int16_t value) { return {_mm256_set1_epi16(value)}; }
  void Store(int16_t* to) const { _mm256_store_si256(reinterpret_cast<__m256i*>(to), v); }
  friend Register operator+(Register a, Register b) { return {_mm256_add_epi16(a.v, b.v)}; }
  friend Register operator-(Register a, Register b) { return {_mm256_sub_epi16(a.v, b.v)}; }
  friend Register operator&(Register a, Register b) { return {_mm256_and_si256(a.v, b.v)}; }
  static Register Max(Register a, Register b) { return {_mm256_max_epi16(a.v, b.v)}; }
  static Register Min(Register a, Register b) { return {_mm256_min_epi16(a.v, b.v)}; }
  static Mask AtLeast(Register a, Register b) {
    return _mm256_cmpeq_epi16(_mm256_max_epi16(a.v, b.v), a.v);
  }
  static Mask Both(Mask a, Mask b) { return _mm256_and_si256(a, b); }
  static Register Select(Mask mask, Register yes, Register no) {
    return {_mm256_blendv_epi8(no.v, yes.v, mask)};
  }
};

template <>
struct Register<int32_t> {
  using Mask = __m256i;
  __m256i v;
  static Register Load(const int32_t* from) {
    return {_mm256_load_si256(reinterpret_cast<const __m256i*>(from))};
  }
  static Register Of(int32_t value) { return {_mm256_set1_epi32(value)}; }
  void Store(int32_t* to) const { _mm256_store_si256(reinterpret_cast<__m256i*>(to), v); }
  friend Register operator+(Register a, Register b) { return {_mm256_add_epi32(a.v, b.v)}; }
  friend Register operator-(Register a, Register b) { return {_mm256_sub_epi32(a.v, b.v)}; }
  friend Register operator&(Register a, Register b) { return {_mm256_and_si256(a.v, b.v)}; }
  static Register Max(Register a, Register b) { return {_mm256_max_epi32(a.v, b.v)}; }
  static Register Min(Register a, Register b) { return {_mm256_min_epi32(a.v, b.v)}; }
  static Mask AtLeast(Register a, Register b) {
    return _mm256_cmpeq_epi32(_mm256_max_epi32(a.v, b.v), a.v);
  }
  static Mask Both(Mask a, Mask b) { return _mm256_and_si256(a, b); }
  static Register Select(Mask mask, Register yes, Register no) {
    return {_mm256_blendv_epi8(no.v, yes.v, mask)};
  }
};

template <>
struct Register<double> {
  using Mask = __m256d;
  __m256d v;
  static Register Load(const double* from) { return {_mm256_load_pd(from)}; }
  static Register Of(double value) { return {_mm256_set1_pd(value)}; }
  void Store(double* to) const { _mm256_store_pd(to, v); }
  friend Register operator+(Register a, Register b) { return {_mm256_add_pd(a.v, b.v)}; }
  friend Register operator-(Register a, Register b) { return {_mm256_sub_pd(a.v, b.v)}; }
  friend Register operator*(Register a, Register b) { return {_mm256_mul_pd(a.v, b.v)}; }
  friend Register operator&(Register a, Register b) { return {_mm256_and_pd(a.v, b.v)}; }
  static Register SubtractProduct(Register c, Register a, Register b) {
    return {_mm256_fnmadd_pd(a.v, b.v, c.v)};
  }
  static Register Max(Register a, Register b) { return {_mm256_max_pd(a.v, b.v)}; }
  static Register Min(Register a, Register b) { return {_mm256_min_pd(a.v, b.v)}; }
  static Mask AtLeast(Register a, Register b) { return _mm256_cmp_pd(a.v, b.v, _CMP_GE_OQ); }
  static Mask Above(Register a, Register b) { return _mm256_cmp_pd(a.v, b.v, _CMP_GT_OQ); }
  static Mask Both(Mask a, Mask b) { return _mm256_and_pd(a, b); }
  static Register Select(Mask mask, Register yes, Register no) {
    return {_mm256_blendv_pd(no.v, yes.v, mask)};
  }
};

#endif

// T for each side of each threshold of a group: [side][lane].
template <typename T>
struct Lanes {
  using R = Register<T>;
  static constexpr int kWidth = static_cast<int>(sizeof(R) / sizeof(T));
  static constexpr int kRegisters = 2 * kLanes / kWidth;
  R r[kRegisters];

  static Lanes Load(const T* from) {
    Lanes lanes;
    for (int i = 0; i < kRegisters; ++i) lanes.r[i] = R::Load(from + i * kWidth);
    return lanes;
  }
  static Lanes Of(T value) {
    Lanes lanes;
    for (int i = 0; i < kRegisters; ++i) lanes.r[i] = R::Of(value);
    return lanes;
  }
  void Store(T* to) const {
    for (int i = 0; i < kRegisters; ++i) r[i].Store(to + i * kWidth);
  }
  friend Lanes operator+(const Lanes& a, const Lanes& b) {
    Lanes lanes;
    for (int i = 0; i < kRegisters; ++i) lanes.r[i] = a.r[i] + b.r[i];
    return lanes;
  }
  friend Lanes operator-(const Lanes& a, const Lanes& b) {
    Lanes lanes;
    for (int i = 0; i < kRegisters; ++i) lanes.r[i] = a.r[i] - b.r[i];
    return lanes;
  }
  friend Lanes operator&(const Lanes& a, const Lanes& b) {
    Lanes lanes;
    for (int i = 0; i < kRegisters; ++i) lanes.r[i] = a.r[i] & b.r[i];
    return lanes;
  }
  static Lanes Max(const Lanes& a, const Lanes& b) {
    Lanes lanes;
    for (int i = 0; i < kRegisters; ++i) lanes.r[i] = R::Max(a.r[i], b.r[i]);
    return lanes;
  }
  static Lanes Min(const Lanes& a, const Lanes& b) {
    Lanes lanes;
    for (int i = 0; i < kRegisters; ++i) lanes.r[i] = R::Min(a.r[i], b.r[i]);
    return lanes;
  }
};

}  // namespace trainyard::quant_bnb::TRAINYARD_ISA
