// The fast path for numbers: short decimals, all characters at once.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace trainyard {

// Reads fields such as `7`, `-12.5` or `.25`: a minus sign or none, then at most eight digits and
// one point. Such a number is a whole number below 2^53 divided by a power of ten below 10^8, both
// exact, so that the quotient is the double nearest to the decimal. Needs a little-endian machine.
class ShortNumberReader {
 public:
  // Bytes that must be readable from a field's beginning.
  static constexpr int64_t kReadAhead = 16;

  // Fields end at `delimiter` and `line_end`; a `\r` ends one too where `line_end` is `\n`.
  ShortNumberReader(char delimiter, char line_end)
      : delimiters_(Repeat(delimiter)),
        line_ends_(Repeat(line_end)),
        returns_(Repeat(line_end == '\n' ? '\r' : line_end)) {}

  // Reads the field at `at` into `value` and returns its end, or null when it is anything else.
  const char* Read(const char* at, double& value) const {
    const bool negative = *at == '-';
    at += negative ? 1 : 0;
    uint64_t word = Load(at);
    const uint64_t ends =
        Matches(word, delimiters_) | Matches(word, line_ends_) | Matches(word, returns_);
    const unsigned bits = ends != 0 ? FirstByte(ends) : 64;
    if (bits == 0 || (ends == 0 && !EndsAt(at + 8))) return nullptr;
    // The field moves to the right end of eight digits, zeros come before it.
    word =
        bits == 64 ? word : (word << (64 - bits)) | (kZeros & ((uint64_t{1} << (64 - bits)) - 1));
    unsigned fraction_digits = 0;
    if (const uint64_t points = Matches(word, Repeat('.')); points != 0) {
      const unsigned point = FirstByte(points);
      const uint64_t before = (uint64_t{1} << point) - 1;
      const uint64_t after = ~(before << 8 | 0xFF);
      word = (word & after) | (word & before) << 8 | '0';
      fraction_digits = 7 - point / 8;
      if (bits == 8) return nullptr;  // a point alone
    }
    if (!AllDigits(word)) return nullptr;
    const double whole = static_cast<double>(Convert(word));
    const double magnitude = whole / kPowersOfTen[fraction_digits];
    value = negative ? -magnitude : magnitude;
    return at + bits / 8;
  }

 private:
  static constexpr uint64_t kOnes = 0x0101010101010101;
  static constexpr uint64_t kZeros = kOnes * '0';
  static constexpr uint64_t kHighBits = kOnes * 0x80;
  static constexpr uint64_t kHighHalves = kOnes * 0xF0;
  static constexpr double kPowersOfTen[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7};

  static constexpr uint64_t Repeat(char c) { return kOnes * static_cast<unsigned char>(c); }
  static uint64_t Load(const char* at) {
    uint64_t word = 0;
    std::memcpy(&word, at, sizeof(word));
    return word;
  }
  // The high bit of each byte equal to the pattern's; bytes above the first one may be wrong.
  static uint64_t Matches(uint64_t word, uint64_t pattern) {
    const uint64_t difference = word ^ pattern;
    return (difference - kOnes) & ~difference & kHighBits;
  }
  // Bits below the lowest marked byte.
  static unsigned FirstByte(uint64_t marks) {
    return static_cast<unsigned>(std::countr_zero(marks)) & ~7U;
  }
  bool EndsAt(const char* at) const {
    const auto byte = static_cast<unsigned char>(*at);
    return byte == (delimiters_ & 0xFF) || byte == (line_ends_ & 0xFF) || byte == (returns_ & 0xFF);
  }
  static bool AllDigits(uint64_t word) {
    return (word & kHighHalves) == kZeros && ((word + kOnes * 6) & kHighHalves) == kZeros;
  }
  // The number that eight digits write: neighbours join to pairs, pairs to fours, fours to the
  // whole.
  static uint64_t Convert(uint64_t word) {
    word -= kZeros;
    word = word * 10 + (word >> 8);
    constexpr uint64_t kPairs = 0x000000FF000000FF;
    return ((word & kPairs) * 0x000F424000000064 + (word >> 16 & kPairs) * 0x0000271000000001) >>
           32;
  }

  const uint64_t delimiters_;
  const uint64_t line_ends_;
  const uint64_t returns_;
};

}  // namespace trainyard
