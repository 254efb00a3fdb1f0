// Gradients as whole numbers, whose sums are exact in any order, on any number of threads, and
// under subtraction.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/trees/stop_token.h"

namespace trainyard {

// Sums over some rows.
struct GradientSums {
  double gradient = 0;  // G
  double hessian = 0;   // H
  int64_t rows = 0;
};

// How a row's gradient g and second derivative h are packed into one or two 64-bit words, and sums
// of such words unpacked. With b bits for the number of rows:
//   one word (h = 1 for all rows):  round(g / unit) * 2^b + 1
//   two words:                      round(g / unit) and round(h / unit') * 2^b + 1
// The units are powers of two so small that no sum over the rows overflows: the unit of g is about
// 2^(b - 61) times the sum of |g|, for 100 000 rows 2^-27 times the mean of |g|.
struct GradientFormat {
  int words = 1;
  int row_bits = 1;
  double gradient_unit = 1;
  double hessian_unit = 1;

  GradientSums Unpack(const int64_t* sum) const {
    return words == 1 ? Unpack<1>(sum) : Unpack<2>(sum);
  }
  // The same where the number of words is known.
  template <int kWords>
  GradientSums Unpack(const int64_t* sum) const {
    if constexpr (kWords == 1) {
      const int64_t rows = sum[0] & RowMask();
      return {static_cast<double>(sum[0] >> row_bits) * gradient_unit, static_cast<double>(rows),
              rows};
    } else {
      return {static_cast<double>(sum[0]) * gradient_unit,
              static_cast<double>(sum[1] >> row_bits) * hessian_unit, sum[1] & RowMask()};
    }
  }
  int64_t RowMask() const { return (int64_t{1} << row_bits) - 1; }
};

// The packed gradients of a tree's rows, [row][word], indexed like `gradients`.
struct PackedGradients {
  GradientFormat format;
  std::vector<int64_t> words;

  // Packs the gradients of `rows` (indices). `hessians` is empty where all are 1. The sums that
  // decide on the units are taken in blocks of fixed size, so the result does not depend on the
  // threads. At most 2^26 rows. Meaningless once `stop` is set.
  void Pack(std::span<const double> gradients, std::span<const double> hessians,
            std::span<const uint32_t> rows, ThreadPool& pool, StopToken& stop);
};

// Sum over blocks of fixed size of `sum_of(begin, end)`, blocks added in order; blocks run on the
// threads of the pool.
template <typename SumOf>
double SumInBlocks(size_t count, ThreadPool& pool, const SumOf& sum_of) {
  constexpr size_t kBlock = 8192;
  std::vector<double> sums((count + kBlock - 1) / kBlock);
  pool.Run(static_cast<int64_t>(sums.size()), [&](int64_t block, int) {
    const size_t begin = static_cast<size_t>(block) * kBlock;
    sums[static_cast<size_t>(block)] =
        sum_of(begin, begin + kBlock < count ? begin + kBlock : count);
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace trainyard
