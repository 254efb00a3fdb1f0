// 16 floats; see lanes.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace trainyard::lanes_avx512 {

using Scalar = float;

struct Mask {
  __mmask16 m;
  friend Mask operator&(Mask a, Mask b) { return {static_cast<__mmask16>(a.m & b.m)}; }
  friend Mask operator|(Mask a, Mask b) { return {static_cast<__mmask16>(a.m | b.m)}; }
};

struct Lanes {
  static constexpr int64_t kCount = 16;
  __m512 v;

  static Lanes Of(float x) { return {_mm512_set1_ps(x)}; }
  static Lanes Load(const float* from) { return {_mm512_loadu_ps(from)}; }
  // The first `count` < kCount numbers and zeros.
  static Lanes LoadFirst(const float* from, int64_t count) {
    return {_mm512_maskz_loadu_ps(First(count), from)};
  }
  // The same with `rest` in the other lanes.
  static Lanes LoadFirst(const float* from, int64_t count, Lanes rest) {
    return {_mm512_mask_loadu_ps(rest.v, First(count), from)};
  }
  void Store(float* to) const { _mm512_storeu_ps(to, v); }
  void StoreFirst(float* to, int64_t count) const { _mm512_mask_storeu_ps(to, First(count), v); }
  // Past the caches; `to` is aligned to all lanes.
  void Stream(float* to) const { _mm512_stream_ps(to, v); }

  friend Lanes operator+(Lanes a, Lanes b) { return {_mm512_add_ps(a.v, b.v)}; }
  friend Lanes operator-(Lanes a, Lanes b) { return {_mm512_sub_ps(a.v, b.v)}; }
  friend Lanes operator*(Lanes a, Lanes b) { return {_mm512_mul_ps(a.v, b.v)}; }
  friend Lanes operator/(Lanes a, Lanes b) { return {_mm512_div_ps(a.v, b.v)}; }
  friend Mask operator<(Lanes a, Lanes b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
  friend Mask operator<=(Lanes a, Lanes b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)}; }

 private:
  static __mmask16 First(int64_t count) { return static_cast<__mmask16>((1U << count) - 1); }
};

inline Lanes Select(Mask mask, Lanes yes, Lanes no) {
  return {_mm512_mask_blend_ps(mask.m, no.v, yes.v)};
}
inline bool All(Mask a) { return a.m == 0xFFFF; }
// a b + c, rounded once.
inline Lanes Fma(Lanes a, Lanes b, Lanes c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
// The second operand where either is not a number.
inline Lanes Maximum(Lanes a, Lanes b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Lanes Minimum(Lanes a, Lanes b) { return {_mm512_min_ps(a.v, b.v)}; }
// Over all lanes, in a fixed order.
inline float SumOf(Lanes a) { return _mm512_reduce_add_ps(a.v); }
inline float LargestOf(Lanes a) { return _mm512_reduce_max_ps(a.v); }
inline float SmallestOf(Lanes a) { return _mm512_reduce_min_ps(a.v); }
inline Lanes Sqrt(Lanes a) { return {_mm512_sqrt_ps(a.v)}; }
inline Lanes Abs(Lanes a) { return {_mm512_abs_ps(a.v)}; }
inline Lanes Negate(Lanes a) {
  return {_mm512_castsi512_ps(
      _mm512_xor_si512(_mm512_castps_si512(a.v), _mm512_set1_epi32(static_cast<int>(0x80000000))))};
}
// |a| with the sign of b.
inline Lanes CopySign(Lanes a, Lanes b) {
  const __m512i sign = _mm512_set1_epi32(static_cast<int>(0x80000000));
  // Bits of b where sign is set, else of a.
  return {_mm512_castsi512_ps(
      _mm512_ternarylogic_epi32(sign, _mm512_castps_si512(b.v), _mm512_castps_si512(a.v), 0xCA))};
}
inline Lanes Round(Lanes a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
// a 2^exponent for whole exponents in [-252, 252].
inline Lanes Scale(Lanes a, Lanes exponent) { return {_mm512_scalef_ps(a.v, exponent.v)}; }
// x = mantissa * 2^exponent with the mantissa in [1, 2), for positive finite x.
inline Lanes Mantissa(Lanes x) {
  return {_mm512_getmant_ps(x.v, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src)};
}
inline Lanes Exponent(Lanes x) { return {_mm512_getexp_ps(x.v)}; }

}  // namespace trainyard::lanes_avx512
