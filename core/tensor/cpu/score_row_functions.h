// The float functions of score_rows.h, compiled once for each instruction set. Nothing from the
// standard library may be used here: its functions would be compiled for the wider set and then be
// taken by others.
#pragma once

#include <immintrin.h>

#include <cstdint>

// Code for different instruction sets must not be taken for the same.
#ifdef __AVX512F__
#define TRAINYARD_ISA avx512
#else
#define TRAINYARD_ISA avx2
#endif

namespace trainyard::score_rows {

struct Functions {
  float (*maximum)(const float* scores, int64_t n);
  float (*exponentiate)(float* scores, int64_t n, float shift);
  void (*differentiate)(float* weights, float* gradients, int64_t n, float shift, float mean,
                        float scale);
  void (*square_rectified)(float* scores, const float* bias, int64_t n);
  void (*differentiate_square)(float* scores, float* gradients, const float* bias, int64_t n,
                               float factor);
};

// Which the machine must have.
Functions Avx2Functions();
Functions Avx512Functions();

}  // namespace trainyard::score_rows

namespace trainyard::score_rows::TRAINYARD_ISA {

#ifdef __AVX512F__

struct Lanes {
  static constexpr int64_t kCount = 16;
  __m512 v;

  static Lanes Of(float x) { return {_mm512_set1_ps(x)}; }
  static Lanes Load(const float* from) { return {_mm512_loadu_ps(from)}; }
  // The first `count` < kCount numbers, `rest` in the other lanes.
  static Lanes LoadFirst(const float* from, int64_t count, Lanes rest) {
    return {_mm512_mask_loadu_ps(rest.v, static_cast<__mmask16>((1U << count) - 1), from)};
  }
  void Store(float* to) const { _mm512_storeu_ps(to, v); }
  void StoreFirst(float* to, int64_t count) const {
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1U << count) - 1), v);
  }
  // The second operand where either is not a number.
  static Lanes Maximum(Lanes a, Lanes b) { return {_mm512_max_ps(a.v, b.v)}; }
  static Lanes Fma(Lanes a, Lanes b, Lanes c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
  friend Lanes operator+(Lanes a, Lanes b) { return {_mm512_add_ps(a.v, b.v)}; }
  friend Lanes operator-(Lanes a, Lanes b) { return {_mm512_sub_ps(a.v, b.v)}; }
  friend Lanes operator*(Lanes a, Lanes b) { return {_mm512_mul_ps(a.v, b.v)}; }
  static Lanes Round(Lanes a) {
    return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
  }
  static float SumOf(Lanes a) { return _mm512_reduce_add_ps(a.v); }
  static float MaximumOf(Lanes a) { return _mm512_reduce_max_ps(a.v); }
  // a 2^exponent for whole exponents.
  static Lanes Scale(Lanes a, Lanes exponent) { return {_mm512_scalef_ps(a.v, exponent.v)}; }
};

#else

struct Lanes {
  static constexpr int64_t kCount = 8;
  __m256 v;

  static __m256i First(int64_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static Lanes Of(float x) { return {_mm256_set1_ps(x)}; }
  static Lanes Load(const float* from) { return {_mm256_loadu_ps(from)}; }
  static Lanes LoadFirst(const float* from, int64_t count, Lanes rest) {
    const __m256i mask = First(count);
    return {_mm256_blendv_ps(rest.v, _mm256_maskload_ps(from, mask), _mm256_castsi256_ps(mask))};
  }
  void Store(float* to) const { _mm256_storeu_ps(to, v); }
  void StoreFirst(float* to, int64_t count) const { _mm256_maskstore_ps(to, First(count), v); }
  static Lanes Maximum(Lanes a, Lanes b) { return {_mm256_max_ps(a.v, b.v)}; }
  static Lanes Fma(Lanes a, Lanes b, Lanes c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
  friend Lanes operator+(Lanes a, Lanes b) { return {_mm256_add_ps(a.v, b.v)}; }
  friend Lanes operator-(Lanes a, Lanes b) { return {_mm256_sub_ps(a.v, b.v)}; }
  friend Lanes operator*(Lanes a, Lanes b) { return {_mm256_mul_ps(a.v, b.v)}; }
  static Lanes Round(Lanes a) {
    return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
  }
  static float SumOf(Lanes a) {
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
  }
  static float MaximumOf(Lanes a) {
    __m128 most = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
    most = _mm_max_ps(most, _mm_movehl_ps(most, most));
    return _mm_cvtss_f32(_mm_max_ss(most, _mm_movehdup_ps(most)));
  }
  // a 2^exponent for whole exponents in [-252, 252], in two steps so that each factor is normal.
  static Lanes Scale(Lanes a, Lanes exponent) {
    const __m256i whole = _mm256_cvtps_epi32(exponent.v);
    const __m256i half = _mm256_srai_epi32(whole, 1);
    const __m256i bias = _mm256_set1_epi32(127);
    const __m256i one = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    const __m256i other =
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(whole, half), bias), 23);
    return {
        _mm256_mul_ps(_mm256_mul_ps(a.v, _mm256_castsi256_ps(one)), _mm256_castsi256_ps(other))};
  }
};

#endif

// 2^x: a minimax polynomial of degree 5 on [-1/2, 1/2] (relative error 2^-23.4) times a power.
// Below -160 it is 0 (and so for minus infinity); above 128 infinite; what is not a number stays
// so.
inline Lanes Exp2(Lanes x) {
  x = Lanes::Maximum(Lanes::Of(-160.0F), x);
#ifndef __AVX512F__
  x = {_mm256_min_ps(_mm256_set1_ps(160.0F), x.v)};
#endif
  const Lanes whole = Lanes::Round(x);
  const Lanes r = x - whole;
  Lanes p = Lanes::Of(0.00132647273F);
  p = Lanes::Fma(p, r, Lanes::Of(0.00967151277F));
  p = Lanes::Fma(p, r, Lanes::Of(0.0555073374F));
  p = Lanes::Fma(p, r, Lanes::Of(0.240222421F));
  p = Lanes::Fma(p, r, Lanes::Of(0.693146978F));
  p = Lanes::Fma(p, r, Lanes::Of(1.0F));
  return Lanes::Scale(p, whole);
}

inline float Maximum(const float* scores, int64_t n) {
  constexpr int64_t kStep = 4 * Lanes::kCount;
  const Lanes lowest = Lanes::Of(-__builtin_inff());
  Lanes a = lowest;
  Lanes b = lowest;
  Lanes c = lowest;
  Lanes d = lowest;
  int64_t j = 0;
  for (; j + kStep <= n; j += kStep) {
    a = Lanes::Maximum(a, Lanes::Load(scores + j));
    b = Lanes::Maximum(b, Lanes::Load(scores + j + Lanes::kCount));
    c = Lanes::Maximum(c, Lanes::Load(scores + j + 2 * Lanes::kCount));
    d = Lanes::Maximum(d, Lanes::Load(scores + j + 3 * Lanes::kCount));
  }
  for (; j + Lanes::kCount <= n; j += Lanes::kCount) {
    a = Lanes::Maximum(a, Lanes::Load(scores + j));
  }
  if (j < n) b = Lanes::Maximum(b, Lanes::LoadFirst(scores + j, n - j, lowest));
  return Lanes::MaximumOf(Lanes::Maximum(Lanes::Maximum(a, b), Lanes::Maximum(c, d)));
}

inline float Exponentiate(float* scores, int64_t n, float shift) {
  const Lanes offset = Lanes::Of(shift);
  Lanes sum = Lanes::Of(0);
  Lanes other = Lanes::Of(0);
  int64_t j = 0;
  for (; j + 2 * Lanes::kCount <= n; j += 2 * Lanes::kCount) {
    const Lanes first = Exp2(Lanes::Load(scores + j) - offset);
    const Lanes second = Exp2(Lanes::Load(scores + j + Lanes::kCount) - offset);
    first.Store(scores + j);
    second.Store(scores + j + Lanes::kCount);
    sum = sum + first;
    other = other + second;
  }
  for (; j < n; j += Lanes::kCount) {
    const int64_t count = n - j < Lanes::kCount ? n - j : Lanes::kCount;
    if (count == Lanes::kCount) {
      const Lanes value = Exp2(Lanes::Load(scores + j) - offset);
      value.Store(scores + j);
      sum = sum + value;
    } else {
      const Lanes lowest = Lanes::Of(-__builtin_inff());
      const Lanes value = Exp2(Lanes::LoadFirst(scores + j, count, lowest) - offset);
      value.StoreFirst(scores + j, count);
      other = other + value;
    }
  }
  return Lanes::SumOf(sum + other);
}

inline void Differentiate(float* weights, float* gradients, int64_t n, float shift, float mean,
                          float scale) {
  const Lanes offset = Lanes::Of(shift);
  const Lanes center = Lanes::Of(mean);
  const Lanes factor = Lanes::Of(scale);
  int64_t j = 0;
  for (; j + Lanes::kCount <= n; j += Lanes::kCount) {
    const Lanes weight = Exp2(Lanes::Load(weights + j) - offset);
    weight.Store(weights + j);
    (weight * (Lanes::Load(gradients + j) - center) * factor).Store(gradients + j);
  }
  if (j < n) {
    const Lanes weight = Exp2(Lanes::LoadFirst(weights + j, n - j, offset) - offset);
    const Lanes gradient = Lanes::LoadFirst(gradients + j, n - j, center);
    weight.StoreFirst(weights + j, n - j);
    (weight * (gradient - center) * factor).StoreFirst(gradients + j, n - j);
  }
}

template <bool kBias>
inline void SquareRectifiedLanes(float* scores, const float* bias, int64_t n) {
  const Lanes zero = Lanes::Of(0);
  int64_t j = 0;
  for (; j + Lanes::kCount <= n; j += Lanes::kCount) {
    Lanes p = Lanes::Load(scores + j);
    if constexpr (kBias) p = p + Lanes::Load(bias + j);
    p = Lanes::Maximum(zero, p);
    (p * p).Store(scores + j);
  }
  if (j < n) {
    Lanes p = Lanes::LoadFirst(scores + j, n - j, zero);
    if constexpr (kBias) p = p + Lanes::LoadFirst(bias + j, n - j, zero);
    p = Lanes::Maximum(zero, p);
    (p * p).StoreFirst(scores + j, n - j);
  }
}

inline void SquareRectified(float* scores, const float* bias, int64_t n) {
  if (bias == nullptr) {
    SquareRectifiedLanes<false>(scores, bias, n);
  } else {
    SquareRectifiedLanes<true>(scores, bias, n);
  }
}

template <bool kBias>
inline void DifferentiateSquareLanes(float* scores, float* gradients, const float* bias, int64_t n,
                                     float factor) {
  const Lanes zero = Lanes::Of(0);
  const Lanes scale = Lanes::Of(factor);
  int64_t j = 0;
  for (; j + Lanes::kCount <= n; j += Lanes::kCount) {
    Lanes p = Lanes::Load(scores + j);
    if constexpr (kBias) p = p + Lanes::Load(bias + j);
    p = Lanes::Maximum(zero, p);
    (Lanes::Load(gradients + j) * (scale * p)).Store(gradients + j);
    (p * p).Store(scores + j);
  }
  if (j < n) {
    Lanes p = Lanes::LoadFirst(scores + j, n - j, zero);
    if constexpr (kBias) p = p + Lanes::LoadFirst(bias + j, n - j, zero);
    p = Lanes::Maximum(zero, p);
    const Lanes gradient = Lanes::LoadFirst(gradients + j, n - j, zero);
    (gradient * (scale * p)).StoreFirst(gradients + j, n - j);
    (p * p).StoreFirst(scores + j, n - j);
  }
}

inline void DifferentiateSquare(float* scores, float* gradients, const float* bias, int64_t n,
                                float factor) {
  if (bias == nullptr) {
    DifferentiateSquareLanes<false>(scores, gradients, bias, n, factor);
  } else {
    DifferentiateSquareLanes<true>(scores, gradients, bias, n, factor);
  }
}

}  // namespace trainyard::score_rows::TRAINYARD_ISA
