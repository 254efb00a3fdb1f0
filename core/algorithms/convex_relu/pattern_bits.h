// Activation patterns as bits, a row of words for each pattern.
#pragma once

#include <cstdint>
#include <vector>

namespace trainyard::convex_relu {

// Whether row j of a pattern is active, from the pattern's words.
inline bool IsActive(const uint64_t* pattern, int64_t row) {
  return (pattern[row >> 6] >> (row & 63) & 1) != 0;
}

// P patterns of n rows; all inactive at first.
class PatternBits {
 public:
  PatternBits() = default;
  PatternBits(int64_t patterns, int64_t rows)
      : patterns_(patterns),
        rows_(rows),
        words_((rows + 63) / 64),
        bits_(static_cast<size_t>(patterns * words_)) {}

  int64_t patterns() const { return patterns_; }
  int64_t rows() const { return rows_; }
  const uint64_t* pattern(int64_t index) const { return bits_.data() + index * words_; }
  // Rows 64 * word to 64 * word + 63, the first in the lowest bit.
  void SetWord(int64_t pattern, int64_t word, uint64_t bits) {
    bits_[static_cast<size_t>(pattern * words_ + word)] = bits;
  }
  void Activate(int64_t pattern, int64_t row) {
    bits_[static_cast<size_t>(pattern * words_ + (row >> 6))] |= uint64_t{1} << (row & 63);
  }

 private:
  int64_t patterns_ = 0;
  int64_t rows_ = 0;
  int64_t words_ = 0;
  std::vector<uint64_t> bits_;
};

}  // namespace trainyard::convex_relu
