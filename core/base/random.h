// Random numbers that are the same on every machine, compiler and thread count.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

namespace trainyard {

// xoshiro256** (Blackman and Vigna), seeded through SplitMix64 from a seed and a stream number, so
// that every task may have its own stream whatever thread runs it. Not thread-safe.
class Rng {
 public:
  explicit Rng(uint64_t seed, uint64_t stream = 0);

  uint64_t NextUint64();
  // Uniform in [0, 1), 53 bits.
  double NextDouble() { return static_cast<double>(NextUint64() >> 11) * 0x1.0p-53; }
  // Uniform in 0 to bound - 1, without bias; bound >= 1.
  uint64_t UniformInt(uint64_t bound);
  // Standard normal, of one draw (the inverse of its cumulative function).
  double NextGaussian();

  // A uniformly random permutation of `values` (Fisher and Yates).
  template <typename T>
  void Shuffle(std::span<T> values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[UniformInt(i)]);
  }

 private:
  uint64_t state_[4];
};

// The number that a standard normal variable stays below with probability `p` in (0, 1).
double NormalQuantile(double p);

}  // namespace trainyard
