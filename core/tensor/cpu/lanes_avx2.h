// 8 floats; see lanes.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace trainyard::lanes_avx2 {

using Scalar = float;

struct Mask {
  __m256 m;
  friend Mask operator&(Mask a, Mask b) { return {_mm256_and_ps(a.m, b.m)}; }
  friend Mask operator|(Mask a, Mask b) { return {_mm256_or_ps(a.m, b.m)}; }
};

struct Lanes {
  static constexpr int64_t kCount = 8;
  __m256 v;

  static Lanes Of(float x) { return {_mm256_set1_ps(x)}; }
  static Lanes Load(const float* from) { return {_mm256_loadu_ps(from)}; }
  // The first `count` < kCount numbers and zeros.
  static Lanes LoadFirst(const float* from, int64_t count) {
    return {_mm256_maskload_ps(from, First(count))};
  }
  // The same with `rest` in the other lanes.
  static Lanes LoadFirst(const float* from, int64_t count, Lanes rest) {
    const __m256i first = First(count);
    return {_mm256_blendv_ps(rest.v, _mm256_maskload_ps(from, first), _mm256_castsi256_ps(first))};
  }
  void Store(float* to) const { _mm256_storeu_ps(to, v); }
  void StoreFirst(float* to, int64_t count) const { _mm256_maskstore_ps(to, First(count), v); }
  // Past the caches; `to` is aligned to all lanes.
  void Stream(float* to) const { _mm256_stream_ps(to, v); }

  friend Lanes operator+(Lanes a, Lanes b) { return {_mm256_add_ps(a.v, b.v)}; }
  friend Lanes operator-(Lanes a, Lanes b) { return {_mm256_sub_ps(a.v, b.v)}; }
  friend Lanes operator*(Lanes a, Lanes b) { return {_mm256_mul_ps(a.v, b.v)}; }
  friend Lanes operator/(Lanes a, Lanes b) { return {_mm256_div_ps(a.v, b.v)}; }
  friend Mask operator<(Lanes a, Lanes b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
  friend Mask operator<=(Lanes a, Lanes b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ)}; }

 private:
  static __m256i First(int64_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
};

inline Lanes Select(Mask mask, Lanes yes, Lanes no) {
  return {_mm256_blendv_ps(no.v, yes.v, mask.m)};
}
inline bool All(Mask a) { return _mm256_movemask_ps(a.m) == 0xFF; }
// a b + c, rounded once.
inline Lanes Fma(Lanes a, Lanes b, Lanes c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
// The second operand where either is not a number.
inline Lanes Maximum(Lanes a, Lanes b) { return {_mm256_max_ps(a.v, b.v)}; }
inline Lanes Minimum(Lanes a, Lanes b) { return {_mm256_min_ps(a.v, b.v)}; }
// Over all lanes, in a fixed order.
template <typename Operation>
inline float OverLanes(Lanes a, Operation operation) {
  __m128 x = operation(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  x = operation(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(operation(x, _mm_movehdup_ps(x)));
}
inline float SumOf(Lanes a) {
  return OverLanes(a, [](__m128 x, __m128 y) { return _mm_add_ps(x, y); });
}
inline float LargestOf(Lanes a) {
  return OverLanes(a, [](__m128 x, __m128 y) { return _mm_max_ps(x, y); });
}
inline float SmallestOf(Lanes a) {
  return OverLanes(a, [](__m128 x, __m128 y) { return _mm_min_ps(x, y); });
}
inline Lanes Sqrt(Lanes a) { return {_mm256_sqrt_ps(a.v)}; }
inline Lanes Abs(Lanes a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0F), a.v)}; }
inline Lanes Negate(Lanes a) { return {_mm256_xor_ps(_mm256_set1_ps(-0.0F), a.v)}; }
// |a| with the sign of b.
inline Lanes CopySign(Lanes a, Lanes b) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  return {_mm256_or_ps(_mm256_andnot_ps(sign, a.v), _mm256_and_ps(sign, b.v))};
}
inline Lanes Round(Lanes a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// a 2^exponent for whole exponents in [-252, 252], in two steps so that each factor is normal.
inline Lanes Scale(Lanes a, Lanes exponent) {
  const __m256i whole = _mm256_cvtps_epi32(exponent.v);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i one = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i other =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(whole, half), bias), 23);
  return {_mm256_mul_ps(_mm256_mul_ps(a.v, _mm256_castsi256_ps(one)), _mm256_castsi256_ps(other))};
}
// x = mantissa * 2^exponent with the mantissa in [1, 2), for positive finite x.
struct Parts {
  __m256 normal;  // x, times 2^24 where that was below the normal numbers
  __m256 shift;   // 24 there, else 0
  explicit Parts(Lanes x) {
    const __m256 tiny = _mm256_cmp_ps(x.v, _mm256_set1_ps(1.17549435e-38F), _CMP_LT_OQ);
    normal = _mm256_blendv_ps(x.v, _mm256_mul_ps(x.v, _mm256_set1_ps(16777216.0F)), tiny);
    shift = _mm256_and_ps(tiny, _mm256_set1_ps(24.0F));
  }
};
inline Lanes Mantissa(Lanes x) {
  const __m256i bits = _mm256_castps_si256(Parts(x).normal);
  return {_mm256_castsi256_ps(_mm256_or_si256(_mm256_and_si256(bits, _mm256_set1_epi32(0x007FFFFF)),
                                              _mm256_set1_epi32(0x3F800000)))};
}
inline Lanes Exponent(Lanes x) {
  const Parts parts(x);
  const __m256i field = _mm256_srli_epi32(_mm256_castps_si256(parts.normal), 23);
  return {_mm256_sub_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(field, _mm256_set1_epi32(127))),
                        parts.shift)};
}

}  // namespace trainyard::lanes_avx2
