#include "core/base/random.h"

#include <bit>
#include <cmath>
#include <numbers>

namespace trainyard {
namespace {

uint64_t SplitMix64(uint64_t& state) {
  state += 0x9E3779B97F4A7C15;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

}  // namespace

Rng::Rng(uint64_t seed, uint64_t stream) {
  uint64_t mixed_stream = stream;
  uint64_t mixer = seed ^ SplitMix64(mixed_stream);
  for (uint64_t& word : state_) word = SplitMix64(mixer);
}

uint64_t Rng::NextUint64() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

uint64_t Rng::UniformInt(uint64_t bound) {
  // Lemire's method: the high half of a 128-bit product, the biased low range rejected.
  __extension__ using Wide = unsigned __int128;
  Wide product = static_cast<Wide>(NextUint64()) * bound;
  if (static_cast<uint64_t>(product) < bound) {
    const uint64_t threshold = (0 - bound) % bound;
    while (static_cast<uint64_t>(product) < threshold) {
      product = static_cast<Wide>(NextUint64()) * bound;
    }
  }
  return static_cast<uint64_t>(product >> 64);
}

double Rng::NextGaussian() {
  const double radius = std::sqrt(-2 * std::log(1 - NextDouble()));
  return radius * std::cos(2 * std::numbers::pi * NextDouble());
}

}  // namespace trainyard
