// Functions of floats in lanes: errors of few units in the last place (tests/core/tensor/
// lanes_math_test.cc), special values as in the standard library unless said otherwise.
// Polynomials are minimax fits by Remez' exchange.
#pragma once

#include "core/tensor/cpu/lanes.h"

namespace trainyard::TRAINYARD_LANES {

// exp(x - low) for a low far below x: e^r with r in [-ln 2 / 2, ln 2 / 2] times a power of two.
// The error of x itself is what is left, so functions of large squares give it in two parts.
inline Lanes ExpOf(Lanes x, Lanes low) {
  // Beyond these all is 0 or infinite. What is not a number stays so.
  x = Minimum(Lanes::Of(89.0F), Maximum(Lanes::Of(-105.0F), x));
  const Lanes whole = Round(x * Lanes::Of(1.44269504F));
  Lanes r = Fma(whole, Lanes::Of(-0.693145751953125F), x);
  r = Fma(whole, Lanes::Of(-1.42860682e-6F), r) - low;
  Lanes p = Lanes::Of(0.000197892962882F);
  p = Fma(p, r, Lanes::Of(0.0013945751622F));
  p = Fma(p, r, Lanes::Of(0.00833350369112F));
  p = Fma(p, r, Lanes::Of(0.0416662803367F));
  p = Fma(p, r, Lanes::Of(0.166666658204F));
  p = Fma(p, r, Lanes::Of(0.500000007167F));
  p = Fma(p * r, r, r) + Lanes::Of(1.0F);
  return Scale(p, whole);
}
inline Lanes Exp(Lanes x) { return ExpOf(x, Lanes::Of(0.0F)); }

// log(1 + u) for u in [0, 1], and log(m) = Log1p of (m - 1) for m near 1: 2 artanh(s).
inline Lanes TwiceArtanh(Lanes s) {
  const Lanes z = s * s;
  Lanes p = Lanes::Of(0.121534162812F);
  p = Fma(p, z, Lanes::Of(0.107131082599F));
  p = Fma(p, z, Lanes::Of(0.143085023902F));
  p = Fma(p, z, Lanes::Of(0.199994369328F));
  p = Fma(p, z, Lanes::Of(0.333333378301F));
  const Lanes twice = s + s;
  return Fma(p * z, twice, twice);
}

inline Lanes Log(Lanes x) {
  Lanes m = Mantissa(x);
  Lanes e = Exponent(x);
  const Mask large = Lanes::Of(1.41421356F) < m;
  m = Select(large, m * Lanes::Of(0.5F), m);
  e = Select(large, e + Lanes::Of(1.0F), e);
  const Lanes f = m - Lanes::Of(1.0F);
  const Lanes log_m = TwiceArtanh(f / (m + Lanes::Of(1.0F)));
  Lanes y = Fma(e, Lanes::Of(0.693145751953125F), Fma(e, Lanes::Of(1.42860682e-6F), log_m));
  const Lanes infinity = Lanes::Of(__builtin_inff());
  y = Select(x < infinity, y, x);  // infinity and what is not a number
  y = Select(x <= Lanes::Of(0.0F), Negate(infinity), y);
  return Select(x < Lanes::Of(0.0F), Lanes::Of(__builtin_nanf("")), y);
}

inline Lanes Sigmoid(Lanes x) {
  const Lanes one = Lanes::Of(1.0F);
  return one / (one + Exp(Negate(x)));
}

inline Lanes Tanh(Lanes x) {
  const Lanes z = x * x;
  Lanes p = Lanes::Of(-0.0056483072015F);
  p = Fma(p, z, Lanes::Of(0.0205898168186F));
  p = Fma(p, z, Lanes::Of(-0.0537251230661F));
  p = Fma(p, z, Lanes::Of(0.133312743796F));
  p = Fma(p, z, Lanes::Of(-0.333332760567F));
  const Lanes near = Fma(p * z, x, x);
  const Lanes one = Lanes::Of(1.0F);
  const Lanes size = Abs(x);
  const Lanes far = one - Lanes::Of(2.0F) / (Exp(size + size) + one);
  return Select(size < Lanes::Of(0.625F), near, CopySign(far, x));
}

inline Lanes Softplus(Lanes x) {
  const Lanes u = Exp(Negate(Abs(x)));
  const Lanes log = TwiceArtanh(u / (u + Lanes::Of(2.0F)));
  return Maximum(Lanes::Of(0.0F), x) + log;
}

template <typename Function>
inline Lanes LaneByLane(Lanes x, Function function) {
  float values[Lanes::kCount];
  x.Store(values);
  for (float& value : values) value = function(value);
  return Lanes::Load(values);
}

// sin(x + turn * pi / 2) for |x| <= kMostTurned and a whole number of quarter turns.
inline constexpr float kMostTurned = 30000.0F;
inline Lanes SinOfQuarters(Lanes x, float turn) {
  const Lanes half = Lanes::Of(0.5F);
  const Lanes quarter = Lanes::Of(0.25F);
  Lanes k = Round(x * Lanes::Of(0.636619772F));
  // pi / 2 in three parts.
  Lanes r = Fma(k, Lanes::Of(-1.570796251297F), x);
  r = Fma(k, Lanes::Of(-7.5497894158616e-8F), r);
  r = Fma(k, Lanes::Of(-5.39030252995776e-15F), r);
  const Lanes z = r * r;
  Lanes sine = Lanes::Of(-0.000195108388479F);
  sine = Fma(sine, z, Lanes::Of(0.00833213149402F));
  sine = Fma(sine, z, Lanes::Of(-0.166666542255F));
  sine = Fma(sine * z, r, r);
  Lanes cosine = Lanes::Of(2.44312054359e-5F);
  cosine = Fma(cosine, z, Lanes::Of(-0.00138873060485F));
  cosine = Fma(cosine, z, Lanes::Of(0.041666645653F));
  cosine = Fma(cosine * z, z, Fma(Negate(half), z, Lanes::Of(1.0F)));
  // Quarters of a turn: odd ones take the cosine, the second half of each turn changes the sign.
  k = k + Lanes::Of(turn);
  const Lanes halves = Round(Fma(k, half, Negate(quarter)));
  const Lanes turns = Round(Fma(halves, half, Negate(quarter)));
  const Lanes size = Select(quarter < k * half - halves, cosine, sine);
  return Select(quarter < halves * half - turns, Negate(size), size);
}

inline Lanes Sin(Lanes x) {
  if (All(Abs(x) <= Lanes::Of(kMostTurned))) return SinOfQuarters(x, 0.0F);
  return LaneByLane(x, [](float value) { return __builtin_sinf(value); });
}
inline Lanes Cos(Lanes x) {
  if (All(Abs(x) <= Lanes::Of(kMostTurned))) return SinOfQuarters(x, 1.0F);
  return LaneByLane(x, [](float value) { return __builtin_cosf(value); });
}

// Phi(x) and its derivative phi(x), of the standard normal distribution.
//
// Phi(-t) = e^(-t^2 / 2) Q(t), where Q is a polynomial in 1 / (1 + 0.3 t) for t in [0, 14.5];
// beyond, all is 0. Also the tail has a small relative error.
struct NormalDistribution {
  Lanes cumulative;
  Lanes density;
  explicit NormalDistribution(Lanes x) {
    const Lanes one = Lanes::Of(1.0F);
    const Lanes half = Lanes::Of(0.5F);
    const Lanes t = Minimum(Lanes::Of(20.0F), Abs(x));
    const Lanes square = t * t;
    // What rounding took from the square matters where the exponential is small.
    const Lanes rest = Fma(t, t, Negate(square));
    const Lanes e = ExpOf(square * Lanes::Of(-0.5F), rest * half);
    const Lanes s = one / Fma(t, Lanes::Of(0.3F), one);
    Lanes q = Lanes::Of(-0.0200195374888F);
    q = Fma(q, s, Lanes::Of(0.108889054763F));
    q = Fma(q, s, Lanes::Of(-0.219084742831F));
    q = Fma(q, s, Lanes::Of(0.178248796653F));
    q = Fma(q, s, Lanes::Of(-0.0666473098759F));
    q = Fma(q, s, Lanes::Of(0.0881527073841F));
    q = Fma(q, s, Lanes::Of(0.0817531686009F));
    q = Fma(q, s, Lanes::Of(0.109301132817F));
    q = Fma(q, s, Lanes::Of(0.119735704546F));
    q = Fma(q, s, Lanes::Of(0.119670317135F));
    q = Fma(q, s, Lanes::Of(7.06801288941e-7F));
    const Lanes tail = e * q;
    Lanes p = Lanes::Of(-7.46289078061e-6F);
    p = Fma(p, square, Lanes::Of(0.000112952159222F));
    p = Fma(p, square, Lanes::Of(-0.00118578496739F));
    p = Fma(p, square, Lanes::Of(0.00997307836927F));
    p = Fma(p, square, Lanes::Of(-0.0664903143593F));
    p = Fma(p, square, Lanes::Of(0.398942277677F));
    cumulative = Select(t < one, Fma(p, x, half), Select(x < half, tail, one - tail));
    density = e * Lanes::Of(0.398942280F);
  }
};

}  // namespace trainyard::TRAINYARD_LANES
