// The float functions of score_rows.h, compiled once for each instruction set.
#pragma once

#include <cstdint>

#include "core/tensor/cpu/lanes.h"

namespace trainyard {

struct ScoreRowFunctions {
  float (*maximum)(const float* scores, int64_t n);
  float (*exponentiate)(float* scores, int64_t n, float shift);
  void (*differentiate)(float* weights, float* gradients, int64_t n, float shift, float mean,
                        float scale);
  void (*square_rectified)(float* scores, const float* bias, int64_t n);
  void (*differentiate_square)(float* scores, float* gradients, const float* bias, int64_t n,
                               float factor);
};

// Which the machine must have.
ScoreRowFunctions Avx2ScoreRows();
ScoreRowFunctions Avx512ScoreRows();

}  // namespace trainyard

namespace trainyard::TRAINYARD_LANES {

// 2^x: a minimax polynomial of degree 5 on [-1/2, 1/2] (relative error 2^-23.4) times a power.
// Below -160 it is 0 (and so for minus infinity); above 128 infinite; what is not a number stays
// so.
inline Lanes Exp2(Lanes x) {
  x = Minimum(Lanes::Of(160.0F), Maximum(Lanes::Of(-160.0F), x));
  const Lanes whole = Round(x);
  const Lanes r = x - whole;
  Lanes p = Lanes::Of(0.00132647273F);
  p = Fma(p, r, Lanes::Of(0.00967151277F));
  p = Fma(p, r, Lanes::Of(0.0555073374F));
  p = Fma(p, r, Lanes::Of(0.240222421F));
  p = Fma(p, r, Lanes::Of(0.693146978F));
  p = Fma(p, r, Lanes::Of(1.0F));
  return Scale(p, whole);
}

inline float MaximumOfScores(const float* scores, int64_t n) {
  constexpr int64_t kStep = 4 * Lanes::kCount;
  const Lanes lowest = Lanes::Of(-__builtin_inff());
  Lanes a = lowest;
  Lanes b = lowest;
  Lanes c = lowest;
  Lanes d = lowest;
  int64_t j = 0;
  for (; j + kStep <= n; j += kStep) {
    a = Maximum(a, Lanes::Load(scores + j));
    b = Maximum(b, Lanes::Load(scores + j + Lanes::kCount));
    c = Maximum(c, Lanes::Load(scores + j + 2 * Lanes::kCount));
    d = Maximum(d, Lanes::Load(scores + j + 3 * Lanes::kCount));
  }
  for (; j + Lanes::kCount <= n; j += Lanes::kCount) {
    a = Maximum(a, Lanes::Load(scores + j));
  }
  if (j < n) b = Maximum(b, Lanes::LoadFirst(scores + j, n - j, lowest));
  return LargestOf(Maximum(Maximum(a, b), Maximum(c, d)));
}

inline float ExponentiateScores(float* scores, int64_t n, float shift) {
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
  return SumOf(sum + other);
}

inline void DifferentiateScores(float* weights, float* gradients, int64_t n, float shift,
                                float mean, float scale) {
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
    p = Maximum(zero, p);
    (p * p).Store(scores + j);
  }
  if (j < n) {
    Lanes p = Lanes::LoadFirst(scores + j, n - j, zero);
    if constexpr (kBias) p = p + Lanes::LoadFirst(bias + j, n - j, zero);
    p = Maximum(zero, p);
    (p * p).StoreFirst(scores + j, n - j);
  }
}

inline void SquareRectifiedScores(float* scores, const float* bias, int64_t n) {
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
    p = Maximum(zero, p);
    (Lanes::Load(gradients + j) * (scale * p)).Store(gradients + j);
    (p * p).Store(scores + j);
  }
  if (j < n) {
    Lanes p = Lanes::LoadFirst(scores + j, n - j, zero);
    if constexpr (kBias) p = p + Lanes::LoadFirst(bias + j, n - j, zero);
    p = Maximum(zero, p);
    const Lanes gradient = Lanes::LoadFirst(gradients + j, n - j, zero);
    (gradient * (scale * p)).StoreFirst(gradients + j, n - j);
    (p * p).StoreFirst(scores + j, n - j);
  }
}

inline void DifferentiateSquareScores(float* scores, float* gradients, const float* bias, int64_t n,
                                      float factor) {
  if (bias == nullptr) {
    DifferentiateSquareLanes<false>(scores, gradients, bias, n, factor);
  } else {
    DifferentiateSquareLanes<true>(scores, gradients, bias, n, factor);
  }
}

// What the machine's functions are.
inline ScoreRowFunctions AllScoreRows() {
  return {MaximumOfScores, ExponentiateScores, DifferentiateScores, SquareRectifiedScores,
          DifferentiateSquareScores};
}

}  // namespace trainyard::TRAINYARD_LANES
