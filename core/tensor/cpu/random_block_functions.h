// The functions of random_blocks.h, compiled once for each instruction set: loops that the compiler
// vectorises over blocks.
#pragma once

#include "core/tensor/cpu/lanes.h"
#include "core/tensor/cpu/random_blocks.h"

namespace trainyard::TRAINYARD_LANES {

// Many blocks side by side. As many as fill some vectors, so that multiplications overlap.
inline constexpr int kBlocks = 32;

// Blocks `first`, …, first + kBlocks - 1, whose numbers have one upper half.
inline void PhiloxGroup(uint64_t seed, uint64_t stream, uint64_t first, uint32_t* words) {
  const auto upper = static_cast<uint32_t>(first >> 32);
  const auto lower = static_cast<uint32_t>(first);
  for (uint32_t i = 0; i < kBlocks; ++i) {
    auto key0 = static_cast<uint32_t>(seed);
    auto key1 = static_cast<uint32_t>(seed >> 32);
    uint32_t c0 = lower + i;
    uint32_t c1 = upper;
    auto c2 = static_cast<uint32_t>(stream);
    auto c3 = static_cast<uint32_t>(stream >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const uint64_t product0 = uint64_t{0xD2511F53} * c0;
      const uint64_t product1 = uint64_t{0xCD9E8D57} * c2;
      c0 = static_cast<uint32_t>(product1 >> 32) ^ c1 ^ key0;
      c1 = static_cast<uint32_t>(product1);
      c2 = static_cast<uint32_t>(product0 >> 32) ^ c3 ^ key1;
      c3 = static_cast<uint32_t>(product0);
      key0 += 0x9E3779B9;
      key1 += 0xBB67AE85;
    }
    words[4 * i] = c0;
    words[4 * i + 1] = c1;
    words[4 * i + 2] = c2;
    words[4 * i + 3] = c3;
  }
}

inline void FillWords(uint64_t seed, uint64_t stream, uint64_t first, int64_t blocks,
                      uint32_t* words) {
  uint32_t rest[4 * kBlocks];
  while (blocks > 0) {
    // Up to where the upper half changes.
    const uint64_t until = (uint64_t{1} << 32) - (first & 0xFFFFFFFF);
    int64_t count = blocks < kBlocks ? blocks : kBlocks;
    if (static_cast<uint64_t>(count) > until) count = static_cast<int64_t>(until);
    if (count == kBlocks) {
      PhiloxGroup(seed, stream, first, words);
    } else {
      PhiloxGroup(seed, stream, first, rest);
      for (int64_t i = 0; i < 4 * count; ++i) words[i] = rest[i];
    }
    first += static_cast<uint64_t>(count);
    blocks -= count;
    words += 4 * count;
  }
}

}  // namespace trainyard::TRAINYARD_LANES
