// The functions of row_blocks.h, compiled once for each instruction set.
#pragma once

#include "core/tensor/cpu/lanes_access.h"
#include "core/tensor/cpu/lanes_functions.h"
#include "core/tensor/cpu/row_blocks.h"

namespace trainyard::TRAINYARD_LANES {

// Four sums side by side, for n numbers given by value(access, j).
template <typename Value>
inline Scalar SumInLanes(int64_t n, Value value) {
  constexpr int64_t k = Lanes::kCount;
  Lanes a = Lanes::Of(0);
  Lanes b = a;
  Lanes c = a;
  Lanes d = a;
  int64_t j = 0;
  for (; j + 4 * k <= n; j += 4 * k) {
    a = a + value(Whole{}, j);
    b = b + value(Whole{}, j + k);
    c = c + value(Whole{}, j + 2 * k);
    d = d + value(Whole{}, j + 3 * k);
  }
  for (; j + k <= n; j += k) a = a + value(Whole{}, j);
  if (j < n) b = b + value(Part{n - j}, j);
  return SumOf((a + b) + (c + d));
}

inline Scalar Sum(const Scalar* x, int64_t n) {
  return SumInLanes(n, [=](auto access, int64_t j) { return access.Load(x + j); });
}

inline Scalar Squares(const Scalar* x, int64_t n, Scalar center) {
  const Lanes mean = Lanes::Of(center);
  return SumInLanes(n, [=](auto access, int64_t j) {
    const Lanes difference = access.Load(x + j, mean) - mean;
    return difference * difference;
  });
}

inline Scalar Dot(const Scalar* x, const Scalar* y, int64_t n) {
  return SumInLanes(
      n, [=](auto access, int64_t j) { return access.Load(x + j) * access.Load(y + j); });
}

struct Larger {
  static constexpr Scalar kStart = -__builtin_inf();
  static Lanes Of(Lanes a, Lanes b) { return Maximum(a, b); }
  static Scalar OfLanes(Lanes a) { return LargestOf(a); }
};
struct Smaller {
  static constexpr Scalar kStart = __builtin_inf();
  static Lanes Of(Lanes a, Lanes b) { return Minimum(a, b); }
  static Scalar OfLanes(Lanes a) { return SmallestOf(a); }
};

template <typename Choice>
inline Scalar Extreme(const Scalar* x, int64_t n) {
  const Lanes start = Lanes::Of(Choice::kStart);
  Lanes a = start;
  Lanes b = start;
  Mask numbers = start <= start;
  const auto take = [&](Lanes value, Lanes& best) {
    best = Choice::Of(value, best);
    numbers = numbers & (value <= value);
  };
  int64_t j = 0;
  for (; j + 2 * Lanes::kCount <= n; j += 2 * Lanes::kCount) {
    take(Lanes::Load(x + j), a);
    take(Lanes::Load(x + j + Lanes::kCount), b);
  }
  for (; j + Lanes::kCount <= n; j += Lanes::kCount) take(Lanes::Load(x + j), a);
  if (j < n) take(Part{n - j}.Load(x + j, start), b);
  return All(numbers) ? Choice::OfLanes(Choice::Of(a, b)) : __builtin_nanf("");
}

// Four rows at a time, so that `to` is read and written a quarter as often.
template <typename Combine>
inline void CombineRows(const Scalar* x, int64_t stride, int64_t rows, int64_t n, Scalar* to,
                        Combine combine) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4, x += 4 * stride) {
    ForLanes(n, [=](auto access, int64_t j) {
      const Lanes first = combine(access.Load(x + j), access.Load(x + stride + j));
      const Lanes second =
          combine(access.Load(x + 2 * stride + j), access.Load(x + 3 * stride + j));
      access.Store(combine(access.Load(to + j), combine(first, second)), to + j);
    });
  }
  for (; i < rows; ++i, x += stride) {
    ForLanes(n, [=](auto access, int64_t j) {
      access.Store(combine(access.Load(to + j), access.Load(x + j)), to + j);
    });
  }
}

inline void AddRows(const Scalar* x, int64_t stride, int64_t rows, int64_t n, Scalar* to) {
  CombineRows(x, stride, rows, n, to, [](Lanes a, Lanes b) { return a + b; });
}

template <BinaryOp op>
void ExtremeRows(const Scalar* x, int64_t stride, int64_t rows, int64_t n, Scalar* to) {
  CombineRows(x, stride, rows, n, to, [](Lanes a, Lanes b) { return Combine<op>(a, b); });
}

// Calls body(gain of lanes at j: a function of access and j).
template <typename Body>
inline void WithGain(const NormRow<Scalar>& row, Body body) {
  const Scalar* const gain = row.gain;
  if (row.one_gain) {
    const Lanes one = Lanes::Of(*gain);
    body([=](auto, int64_t) { return one; });
  } else {
    body([=](auto access, int64_t j) { return access.Load(gain + j); });
  }
}

inline void NormalizeRow(const NormRow<Scalar>& row, Scalar* y) {
  const Scalar* const x = row.x;
  const Scalar* const bias = row.bias;
  const Lanes center = Lanes::Of(row.center);
  const Lanes factor = Lanes::Of(row.factor);
  WithGain(row, [=, &row](auto gain) {
    if (bias == nullptr) {
      ForLanes(row.count, [=](auto access, int64_t j) {
        access.Store((access.Load(x + j) - center) * factor * gain(access, j), y + j);
      });
    } else {
      ForLanes(row.count, [=](auto access, int64_t j) {
        const Lanes normal = (access.Load(x + j) - center) * factor;
        access.Store(Fma(normal, gain(access, j), access.Load(bias + j)), y + j);
      });
    }
  });
}

inline void NormSums(const NormRow<Scalar>& row, NormGradientRow<Scalar>& gradient) {
  const Scalar* const dy = gradient.dy;
  Scalar* const dgain = gradient.dgain;
  Scalar* const dbias = gradient.dbias;
  const Scalar* const x = row.x;
  const Scalar* const gain = row.one_gain ? nullptr : row.gain;
  const Lanes center = Lanes::Of(row.center);
  const Lanes factor = Lanes::Of(row.factor);
  Lanes sum = Lanes::Of(0);
  Lanes product = sum;
  ForLanes(row.count, [&](auto access, int64_t j) {
    const Lanes d = access.Load(dy + j);
    const Lanes normal = (access.Load(x + j, center) - center) * factor;
    if (dgain != nullptr) access.Store(Fma(d, normal, access.Load(dgain + j)), dgain + j);
    if (dbias != nullptr) access.Store(access.Load(dbias + j) + d, dbias + j);
    const Lanes weighted = gain != nullptr ? d * access.Load(gain + j) : d;
    sum = sum + weighted;
    product = Fma(weighted, normal, product);
  });
  gradient.sum = SumOf(sum);
  gradient.product = SumOf(product);
}

inline void NormGradient(const NormRow<Scalar>& row, const NormGradientRow<Scalar>& gradient) {
  const Scalar* const x = row.x;
  const Scalar* const dy = gradient.dy;
  Scalar* const dx = gradient.dx;
  const bool accumulate = gradient.accumulate;
  const Lanes center = Lanes::Of(row.center);
  const Lanes factor = Lanes::Of(row.factor);
  const Lanes mean_sum = Lanes::Of(gradient.mean_sum);
  const Lanes mean_product = Lanes::Of(gradient.mean_product);
  WithGain(row, [=, &row](auto gain) {
    ForLanes(row.count, [=](auto access, int64_t j) {
      const Lanes normal = (access.Load(x + j) - center) * factor;
      const Lanes weighted = access.Load(dy + j) * gain(access, j);
      const Lanes value = (weighted - Fma(normal, mean_product, mean_sum)) * factor;
      access.Store(accumulate ? access.Load(dx + j) + value : value, dx + j);
    });
  });
}

inline Scalar ExpSum(const Scalar* x, int64_t n, Scalar shift, Scalar* y) {
  const Lanes offset = Lanes::Of(shift);
  const Lanes nothing = Lanes::Of(-__builtin_inf());
  if (y == nullptr) {
    return SumInLanes(
        n, [=](auto access, int64_t j) { return Exp(access.Load(x + j, nothing) - offset); });
  }
  return SumInLanes(n, [=](auto access, int64_t j) {
    const Lanes value = Exp(access.Load(x + j, nothing) - offset);
    access.Store(value, y + j);
    return value;
  });
}

inline void ScaleRow(const Scalar* x, int64_t n, Scalar factor, Scalar shift, Scalar* y) {
  const Lanes a = Lanes::Of(factor);
  const Lanes b = Lanes::Of(shift);
  ForLanes(n, [=](auto access, int64_t j) { access.Store(Fma(a, access.Load(x + j), b), y + j); });
}

inline void AddScaledRow(const Scalar* x, int64_t n, Scalar factor, Scalar* y) {
  const Lanes a = Lanes::Of(factor);
  ForLanes(n, [=](auto access, int64_t j) {
    access.Store(Fma(a, access.Load(x + j), access.Load(y + j)), y + j);
  });
}

inline void SoftmaxGradient(const Scalar* y, const Scalar* dy, int64_t n, Scalar mean, Scalar* dx,
                            bool accumulate) {
  const Lanes center = Lanes::Of(mean);
  ForLanes(n, [=](auto access, int64_t j) {
    const Lanes value = access.Load(y + j) * (access.Load(dy + j) - center);
    access.Store(accumulate ? access.Load(dx + j) + value : value, dx + j);
  });
}

inline void LogSoftmaxGradient(const Scalar* y, const Scalar* dy, int64_t n, Scalar sum, Scalar* dx,
                               bool accumulate) {
  const Lanes factor = Lanes::Of(sum);
  ForLanes(n, [=](auto access, int64_t j) {
    const Lanes value = access.Load(dy + j) - Exp(access.Load(y + j)) * factor;
    access.Store(accumulate ? access.Load(dx + j) + value : value, dx + j);
  });
}

inline void SetAll(RowBlocks<Scalar>& blocks) {
  blocks.sum = Sum;
  blocks.squares = Squares;
  blocks.dot = Dot;
  blocks.maximum = Extreme<Larger>;
  blocks.minimum = Extreme<Smaller>;
  blocks.add_rows = AddRows;
  blocks.maximum_rows = ExtremeRows<BinaryOp::kMaximum>;
  blocks.minimum_rows = ExtremeRows<BinaryOp::kMinimum>;
  blocks.normalize = NormalizeRow;
  blocks.norm_sums = NormSums;
  blocks.norm_gradient = NormGradient;
  blocks.exp_sum = ExpSum;
  blocks.scale = ScaleRow;
  blocks.add_scaled = AddScaledRow;
  blocks.softmax_gradient = SoftmaxGradient;
  blocks.log_softmax_gradient = LogSoftmaxGradient;
}

}  // namespace trainyard::TRAINYARD_LANES
