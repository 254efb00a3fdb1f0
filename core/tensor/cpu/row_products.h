// Products of short rows of numbers, for kernels where a matrix product would not pay.
#pragma once

#include <cstdint>

namespace trainyard {

// Sum of a[i] b[i], in an order that depends on n alone; several sums at once, so that compilers
// can vectorise it.
template <typename T>
T Dot(const T* a, const T* b, int64_t n) {
  constexpr int64_t kLanes = 16;
  T sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (int64_t lane = 0; i < n; ++i, ++lane) sums[lane] += a[i] * b[i];
  T sum = 0;
  for (const T part : sums) sum += part;
  return sum;
}

// to[i] += sum over j of factors[j] * from[j * stride + i], for i < n and j < rows.
template <typename T>
void AddCombination(const T* factors, const T* from, int64_t stride, int64_t rows, int64_t n,
                    T* to) {
  int64_t j = 0;
  for (; j + 4 <= rows; j += 4) {
    const T* const a = from + j * stride;
    const T* const b = a + stride;
    const T* const c = b + stride;
    const T* const d = c + stride;
    for (int64_t i = 0; i < n; ++i) {
      to[i] += (factors[j] * a[i] + factors[j + 1] * b[i]) +
               (factors[j + 2] * c[i] + factors[j + 3] * d[i]);
    }
  }
  for (; j < rows; ++j) {
    const T* const a = from + j * stride;
    for (int64_t i = 0; i < n; ++i) to[i] += factors[j] * a[i];
  }
}

}  // namespace trainyard
