// Transposes of 64 x 64 bits.
#pragma once

#include <cstdint>

namespace trainyard::convex_relu {

// Bit c of `words[r]` changes places with bit r of `words[c]`.
inline void TransposeBits(uint64_t words[64]) {
  uint64_t mask = 0x00000000FFFFFFFF;
  for (int width = 32; width != 0; width /= 2, mask ^= mask << width) {
    for (int start = 0; start < 64; start += 2 * width) {
      for (int i = start; i < start + width; ++i) {
        const uint64_t exchanged = ((words[i] >> width) ^ words[i + width]) & mask;
        words[i] ^= exchanged << width;
        words[i + width] ^= exchanged;
      }
    }
  }
}

}  // namespace trainyard::convex_relu
