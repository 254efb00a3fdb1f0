// Hashing of machine words.
#pragma once

#include <cstdint>

namespace trainyard {

// Both halves of the product of `a` and `b`, folded: every bit of the result depends on all bits.
inline uint64_t MixBits(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

}  // namespace trainyard
