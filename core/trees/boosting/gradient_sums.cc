#include "core/trees/boosting/gradient_sums.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace trainyard {
namespace {

// The least power of two, within the range where its inverse is finite, that lets sums of whole
// numbers of it up to `bound` stay below 2^bits.
double UnitFor(double bound, int bits) {
  if (!(bound > 0)) return 1;
  const int exponent = std::ilogb(bound) + 1 - bits;
  return std::ldexp(1.0, std::clamp(exponent, -1000, 1000));
}

int64_t Round(double value) { return static_cast<int64_t>(value + std::copysign(0.5, value)); }

}  // namespace

void PackedGradients::Pack(std::span<const double> gradients, std::span<const double> hessians,
                           std::span<const uint32_t> rows, ThreadPool& pool, StopToken& stop) {
  const double gradient_sum = SumInBlocks(rows.size(), pool, [&](size_t begin, size_t end) {
    double sum = 0;
    if (stop.Ask()) return sum;
    for (size_t i = begin; i < end; ++i) sum += std::abs(gradients[rows[i]]);
    return sum;
  });
  const double hessian_sum =
      hessians.empty() ? 0 : SumInBlocks(rows.size(), pool, [&](size_t begin, size_t end) {
        double sum = 0;
        for (size_t i = begin; i < end; ++i) sum += hessians[rows[i]];
        return sum;
      });
  format.words = hessians.empty() ? 1 : 2;
  format.row_bits = std::bit_width(rows.size());
  // 61 bits for the sum and as many again for what rounding adds, below the sign.
  format.gradient_unit = UnitFor(gradient_sum, format.words == 1 ? 61 - format.row_bits : 61);
  format.hessian_unit = UnitFor(hessian_sum, 61 - format.row_bits);
  const double gradient_scale = 1 / format.gradient_unit;
  const double hessian_scale = 1 / format.hessian_unit;
  const int64_t one_row = 1;
  const int row_bits = format.row_bits;
  words.resize(gradients.size() * static_cast<size_t>(format.words));
  SumInBlocks(rows.size(), pool, [&](size_t begin, size_t end) {
    if (stop.Ask()) return 0.0;
    for (size_t i = begin; i < end; ++i) {
      const size_t row = rows[i];
      const int64_t gradient = Round(gradients[row] * gradient_scale);
      if (hessians.empty()) {
        words[row] = gradient * (int64_t{1} << row_bits) + one_row;
      } else {
        words[2 * row] = gradient;
        words[2 * row + 1] =
            Round(hessians[row] * hessian_scale) * (int64_t{1} << row_bits) + one_row;
      }
    }
    return 0.0;
  });
}

}  // namespace trainyard
