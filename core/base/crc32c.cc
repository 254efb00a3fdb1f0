#include "core/base/crc32c.h"

#include <nmmintrin.h>

#include <array>
#include <cstddef>
#include <cstring>

namespace trainyard {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;  // bit-reversed
constexpr size_t kLane = 1024;                // bytes of one of three interleaved streams

// Tables that advance a CRC over kLane zero bytes, one byte of the CRC each.
using ZeroTables = std::array<std::array<uint32_t, 256>, 4>;

constexpr uint32_t ShiftByByte(uint32_t crc) {
  for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
  return crc;
}

ZeroTables MakeZeroTables() {
  ZeroTables tables{};
  std::array<uint32_t, 32> basis{};
  for (int bit = 0; bit < 32; ++bit) {
    uint32_t crc = uint32_t{1} << bit;
    for (size_t i = 0; i < kLane; ++i) crc = ShiftByByte(crc);
    basis[bit] = crc;
  }
  for (int byte = 0; byte < 4; ++byte) {
    for (uint32_t value = 0; value < 256; ++value) {
      for (int bit = 0; bit < 8; ++bit) {
        if ((value >> bit) & 1) tables[byte][value] ^= basis[8 * byte + bit];
      }
    }
  }
  return tables;
}

uint32_t AdvanceOverLane(const ZeroTables& tables, uint32_t crc) {
  return tables[0][crc & 0xFF] ^ tables[1][(crc >> 8) & 0xFF] ^ tables[2][(crc >> 16) & 0xFF] ^
         tables[3][crc >> 24];
}

uint64_t Load(const char* at) {
  uint64_t word = 0;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

}  // namespace

uint32_t Crc32c(std::string_view bytes) { return ExtendCrc32c(0, bytes); }

// The instruction has a latency of three cycles and a throughput of one, so three streams run at
// once.
uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes) {
  static const ZeroTables kTables = MakeZeroTables();
  const char* at = bytes.data();
  size_t left = bytes.size();
  uint64_t state = ~crc;
  while (left >= 3 * kLane) {
    uint64_t second = 0;
    uint64_t third = 0;
    for (size_t i = 0; i < kLane; i += 8) {
      state = _mm_crc32_u64(state, Load(at + i));
      second = _mm_crc32_u64(second, Load(at + kLane + i));
      third = _mm_crc32_u64(third, Load(at + 2 * kLane + i));
    }
    state = AdvanceOverLane(kTables, static_cast<uint32_t>(state)) ^ second;
    state = AdvanceOverLane(kTables, static_cast<uint32_t>(state)) ^ third;
    at += 3 * kLane;
    left -= 3 * kLane;
  }
  for (; left >= 8; left -= 8, at += 8) state = _mm_crc32_u64(state, Load(at));
  uint32_t tail = static_cast<uint32_t>(state);
  for (; left > 0; --left, ++at) tail = _mm_crc32_u8(tail, static_cast<unsigned char>(*at));
  return ~tail;
}

}  // namespace trainyard
