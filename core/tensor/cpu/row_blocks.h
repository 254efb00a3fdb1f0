// What is done to one row or to a few rows of numbers, for the instruction set of this machine.
#pragma once

#include <cstdint>

namespace trainyard {

// One row that is normalised: y = (x - center) * factor * gain + bias.
template <typename T>
struct NormRow {
  int64_t count = 0;
  const T* x = nullptr;
  const T* gain = nullptr;
  bool one_gain = false;    // `gain` is one number
  const T* bias = nullptr;  // or null
  T center = 0;
  T factor = 1;  // 1 / root
  // Results are written past the caches, to lines of 64 bytes that begin there.
  bool stream = false;
};

// Its gradients. With x' = (x - center) * factor: sums of gain * dy and of gain * dy * x' (with
// one_gain: of dy and of dy * x').
template <typename T>
struct NormGradientRow {
  const T* dy = nullptr;
  T* dgain = nullptr;  // dgain += dy x', unless null
  T* dbias = nullptr;  // dbias += dy, unless null
  T sum = 0;
  T product = 0;
  // Second step: dx (+)= factor * (gain * dy - mean_sum - x' * mean_product).
  T* dx = nullptr;
  bool accumulate = false;
  T mean_sum = 0;
  T mean_product = 0;
};

// Sums are taken in lanes of T, in an order that depends on the length alone; who sums more than
// kSumLength numbers adds the sums of parts in double.
inline constexpr int64_t kSumLength = 1024;

template <typename T>
struct RowBlocks {
  T (*sum)(const T* x, int64_t n) = nullptr;
  T (*squares)(const T* x, int64_t n, T center) = nullptr;  // of x - center
  T (*dot)(const T* x, const T* y, int64_t n) = nullptr;
  // Not a number where one is none; minus and plus infinity for n = 0.
  T (*maximum)(const T* x, int64_t n) = nullptr;
  T (*minimum)(const T* x, int64_t n) = nullptr;
  // to = to + rows, max(to, rows), min(to, rows): rows x n numbers, `stride` apart.
  void (*add_rows)(const T* x, int64_t stride, int64_t rows, int64_t n, T* to) = nullptr;
  void (*maximum_rows)(const T* x, int64_t stride, int64_t rows, int64_t n, T* to) = nullptr;
  void (*minimum_rows)(const T* x, int64_t stride, int64_t rows, int64_t n, T* to) = nullptr;

  void (*normalize)(const NormRow<T>& row, T* y) = nullptr;
  void (*norm_sums)(const NormRow<T>& row, NormGradientRow<T>& gradient) = nullptr;
  void (*norm_gradient)(const NormRow<T>& row, const NormGradientRow<T>& gradient) = nullptr;

  // y = exp(x - shift), or nothing where y is null; returns the sum.
  T (*exp_sum)(const T* x, int64_t n, T shift, T* y) = nullptr;
  void (*scale)(const T* x, int64_t n, T factor, T shift, T* y) = nullptr;  // y = factor x + shift
  void (*add_scaled)(const T* x, int64_t n, T factor, T* y) = nullptr;      // y += factor x
  // dx (+)= y * (dy - mean).
  void (*softmax_gradient)(const T* y, const T* dy, int64_t n, T mean, T* dx,
                           bool accumulate) = nullptr;
  // dx (+)= dy - exp(y) * sum.
  void (*log_softmax_gradient)(const T* y, const T* dy, int64_t n, T sum, T* dx,
                               bool accumulate) = nullptr;
};

template <typename T>
const RowBlocks<T>& RowBlocksOf();
template <>
const RowBlocks<float>& RowBlocksOf<float>();
template <>
const RowBlocks<double>& RowBlocksOf<double>();

void SetAvx2Blocks(RowBlocks<float>& blocks);
void SetAvx512Blocks(RowBlocks<float>& blocks);
void SetDoubleBlocks(RowBlocks<double>& blocks);

// Calls part(begin, count), which returns a sum, for parts of [0, n) of kSumLength.
template <typename Part>
double SumOfParts(int64_t n, const Part& part) {
  double sum = 0;
  for (int64_t i = 0; i < n; i += kSumLength) {
    sum += part(i, n - i < kSumLength ? n - i : kSumLength);
  }
  return sum;
}

}  // namespace trainyard
