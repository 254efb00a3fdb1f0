// The random numbers of all devices: Philox4x32-10 by its counter, and what is made of its words.
// Only operations that round alike everywhere are used (additions, multiplications, divisions,
// roots and explicit fused multiplications and additions), so every device gets the same bits.
#pragma once

#include <math.h>

#include <cstdint>

#include "core/tensor/kernels/portable.h"

namespace trainyard {

// Four words: numbers 4 * block, …, 4 * block + 3 of a stream.
struct PhiloxBlock {
  uint32_t words[4];
};

// Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), section 4.3. The key is
// the seed; the counter holds the block's number below and the stream's above.
TRAINYARD_PORTABLE PhiloxBlock Philox(uint64_t seed, uint64_t stream, uint64_t block) {
  constexpr uint32_t kMultiplier0 = 0xD2511F53;
  constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9;
  constexpr uint32_t kWeyl1 = 0xBB67AE85;
  auto key0 = static_cast<uint32_t>(seed);
  auto key1 = static_cast<uint32_t>(seed >> 32);
  auto c0 = static_cast<uint32_t>(block);
  auto c1 = static_cast<uint32_t>(block >> 32);
  auto c2 = static_cast<uint32_t>(stream);
  auto c3 = static_cast<uint32_t>(stream >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{kMultiplier0} * c0;
    const uint64_t product1 = uint64_t{kMultiplier1} * c2;
    c0 = static_cast<uint32_t>(product1 >> 32) ^ c1 ^ key0;
    c1 = static_cast<uint32_t>(product1);
    c2 = static_cast<uint32_t>(product0 >> 32) ^ c3 ^ key1;
    c3 = static_cast<uint32_t>(product0);
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return {{c0, c1, c2, c3}};
}

// 24 bits of a word; u = bits / 2^24 in [0, 1) is exact in float.
TRAINYARD_PORTABLE uint32_t UniformBits(uint32_t word) { return word >> 8; }

TRAINYARD_PORTABLE double UniformFrom(uint32_t word) { return UniformBits(word) * 0x1p-24; }

// ln(n / 2^24), 1 <= n <= 2^24, to about 1e-16 absolute.
TRAINYARD_PORTABLE double LogOfUniform(uint32_t n) {
  // n = m * 2^e with m in [1/sqrt(2), sqrt(2)); ln m = 2 artanh((m - 1) / (m + 1)).
  double m = n;
  int exponent = -24;
  while (m >= 0x1p12) {
    m *= 0x1p-12;
    exponent += 12;
  }
  while (m >= 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1) / (m + 1);
  const double square = s * s;
  double series = 1.0 / 23;
  for (int odd = 21; odd >= 1; odd -= 2) series = fma(series, square, 1.0 / odd);
  const double log_m = 2 * s * series;
  return fma(static_cast<double>(exponent), 0.69314718055994530942, log_m);
}

struct SineCosine {
  double sine;
  double cosine;
};

// Of 2 pi k / 2^24.
TRAINYARD_PORTABLE SineCosine SineCosineOfTurn(uint32_t k) {
  // The angle is quadrant * pi/2 + x with x in [-pi/4, pi/4), exactly until the last step.
  const uint32_t quadrant = (k + (1U << 21)) >> 22 & 3;
  const auto rest = static_cast<int32_t>((k + (1U << 21)) & ((1U << 22) - 1)) - (1 << 21);
  const double x = rest * (6.28318530717958647692 * 0x1p-24);
  const double square = x * x;
  // Taylor's series, to x^17 and x^18.
  double sine = 1;
  double cosine = 1;
  for (int i = 16; i >= 2; i -= 2) {
    sine = fma(sine * square, -1.0 / (i * (i + 1)), 1.0);
    cosine = fma(cosine * square, -1.0 / ((i + 1) * (i + 2)), 1.0);
  }
  cosine = fma(cosine * square, -0.5, 1.0);
  sine *= x;
  switch (quadrant) {
    case 0:
      return {sine, cosine};
    case 1:
      return {cosine, -sine};
    case 2:
      return {-sine, -cosine};
    default:
      return {-cosine, sine};
  }
}

struct NormalPair {
  double first;
  double second;
};

// Two independent standard normal numbers, for elements 2i and 2i + 1, from the words of these
// elements (Box and Muller, 1958).
TRAINYARD_PORTABLE NormalPair NormalsFrom(uint32_t word0, uint32_t word1) {
  const double radius = sqrt(-2 * LogOfUniform(UniformBits(word0) + 1));
  const SineCosine direction = SineCosineOfTurn(UniformBits(word1));
  return {radius * direction.cosine, radius * direction.sine};
}

}  // namespace trainyard
