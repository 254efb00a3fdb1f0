// The product of gate_values.h, compiled once for each instruction set. Nothing from the standard
// library may be used here (see subset_sum_functions.h).
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "core/algorithms/convex_relu/gate_values.h"

#ifdef __AVX512F__
#define TRAINYARD_GATE_ISA gates_avx512
#else
#define TRAINYARD_GATE_ISA gates_avx2
#endif

namespace trainyard::convex_relu::TRAINYARD_GATE_ISA {

#ifdef __AVX512F__

struct Doubles {
  __m512d v;
  static Doubles Load(const double* from) { return {_mm512_load_pd(from)}; }
  static Doubles Of(double value) { return {_mm512_set1_pd(value)}; }
  void Store(double* to) const { _mm512_store_pd(to, v); }
  void AddProduct(Doubles a, Doubles b) { v = _mm512_fmadd_pd(a.v, b.v, v); }
};
inline constexpr int kRowsOfPass = 8;

#else

struct Doubles {
  __m256d v;
  static Doubles Load(const double* from) { return {_mm256_load_pd(from)}; }
  static Doubles Of(double value) { return {_mm256_set1_pd(value)}; }
  void Store(double* to) const { _mm256_store_pd(to, v); }
  void AddProduct(Doubles a, Doubles b) { v = _mm256_fmadd_pd(a.v, b.v, v); }
};
inline constexpr int kRowsOfPass = 3;

#endif

inline constexpr int kWidth = static_cast<int>(sizeof(Doubles) / sizeof(double));
inline constexpr int kRegisters = kGateGroup / kWidth;

// kRows rows, whose sums all stay in registers.
template <int kRows>
void Pass(const GateGroup& gates, const double* rows, int64_t stride, double* values) {
  Doubles sums[kRows][kRegisters];
  for (int64_t r = 0; r < kRows; ++r) {
    for (int i = 0; i < kRegisters; ++i) sums[r][i] = Doubles::Of(0);
  }
  for (int64_t k = 0; k < gates.count; ++k) {
    Doubles gate[kRegisters];
    for (int i = 0; i < kRegisters; ++i) {
      gate[i] = Doubles::Load(gates.coordinates + k * kGateGroup + i * kWidth);
    }
    const double* const x = rows + gates.columns[k];
    for (int64_t r = 0; r < kRows; ++r) {
      const Doubles value = Doubles::Of(x[r * stride]);
      for (int i = 0; i < kRegisters; ++i) sums[r][i].AddProduct(value, gate[i]);
    }
  }
  for (int64_t r = 0; r < kRows; ++r) {
    for (int i = 0; i < kRegisters; ++i) sums[r][i].Store(values + r * kGateGroup + i * kWidth);
  }
}

inline void Values(const GateGroup& gates, const double* rows, int64_t stride, int64_t row_count,
                   double* values) {
  int64_t row = 0;
  for (; row + kRowsOfPass <= row_count; row += kRowsOfPass) {
    Pass<kRowsOfPass>(gates, rows + row * stride, stride, values + row * kGateGroup);
  }
  for (; row < row_count; ++row) {
    Pass<1>(gates, rows + row * stride, stride, values + row * kGateGroup);
  }
}

}  // namespace trainyard::convex_relu::TRAINYARD_GATE_ISA
