#include "core/trees/boosting/vector_exp.h"

#include <bit>
#include <cstdint>

namespace trainyard {
namespace {

// exp(x) = 2^n exp(r) with n the nearest whole number to x / ln 2, and the Taylor series of exp(r)
// to r^13, whose rest is below 2^-57 for |r| <= ln(2) / 2.
inline double Exp(double x) {
  constexpr double kLog2E = 1.4426950408889634;
  constexpr double kLn2High = 0x1.62e42fefa0000p-1;  // ln 2 to 40 bits: n times it is exact
  constexpr double kLn2Low = 0x1.cf79abc9e3b39p-40;
  constexpr double kShift = 0x1.8p52;  // adding it rounds to whole numbers, kept in the low bits
  x = x > -708.0 ? x : -708.0;
  x = x < 709.0 ? x : 709.0;
  const double shifted = x * kLog2E + kShift;
  const double n = shifted - kShift;
  const double r = (x - n * kLn2High) - n * kLn2Low;
  double sum = 1.0 / 6227020800;
  sum = sum * r + 1.0 / 479001600;
  sum = sum * r + 1.0 / 39916800;
  sum = sum * r + 1.0 / 3628800;
  sum = sum * r + 1.0 / 362880;
  sum = sum * r + 1.0 / 40320;
  sum = sum * r + 1.0 / 5040;
  sum = sum * r + 1.0 / 720;
  sum = sum * r + 1.0 / 120;
  sum = sum * r + 1.0 / 24;
  sum = sum * r + 1.0 / 6;
  sum = sum * r + 0.5;
  sum = sum * r + 1;
  sum = sum * r + 1;
  // 2^n as bits: n + 1023 in the exponent; the shift drops all but the low bits of `shifted`.
  const uint64_t power = (std::bit_cast<uint64_t>(shifted) + 1023) << 52;
  return sum * std::bit_cast<double>(power);
}

}  // namespace

void ExpInPlace(std::span<double> values) {
  for (double& value : values) value = Exp(value);
}

}  // namespace trainyard
