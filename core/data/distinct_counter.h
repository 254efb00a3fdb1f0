// Counts distinct numbers up to a bound.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "core/data/mix_bits.h"

namespace trainyard {

// A set of numbers: an open-addressed table of bit patterns, fetched into the cache ahead of their
// use, because every cell of a file comes through here. Not thread-safe.
class DistinctCounter {
 public:
  explicit DistinctCounter(int64_t bound) : bound_(bound), slots_(kFirstSlots, kEmpty) {}

  // Adds the values that are not NaN.
  void Add(std::span<const double> values) {
    constexpr size_t kBatch = 32;
    while (!values.empty() && count_ <= bound_) {
      const std::span<const double> batch = values.first(std::min(kBatch, values.size()));
      values = values.subspan(batch.size());
      for (const double value : batch) __builtin_prefetch(&slots_[FirstSlot(BitsOf(value))], 1);
      for (const double value : batch) {
        if (!std::isnan(value)) AddBits(BitsOf(value));
      }
    }
    count_ = std::min(count_, bound_ + 1);
  }

  // Number of distinct values added, at most bound + 1.
  int64_t count() const { return count_; }

 private:
  static constexpr size_t kFirstSlots = 64;
  static constexpr uint64_t kEmpty = std::numeric_limits<uint64_t>::max();  // a NaN

  static uint64_t BitsOf(double value) {
    return std::bit_cast<uint64_t>(value + 0.0);  // -0 counts as 0
  }

  size_t FirstSlot(uint64_t bits) const {
    return MixBits(bits, 0x9E3779B97F4A7C15) & (slots_.size() - 1);
  }

  uint64_t& SlotOf(uint64_t bits) {
    size_t at = FirstSlot(bits);
    while (slots_[at] != kEmpty && slots_[at] != bits) at = (at + 1) & (slots_.size() - 1);
    return slots_[at];
  }

  void AddBits(uint64_t bits) {
    uint64_t& slot = SlotOf(bits);
    if (slot == bits) return;
    slot = bits;
    ++count_;
    if (static_cast<size_t>(count_) * 2 > slots_.size()) Grow();
  }

  void Grow() {
    std::vector<uint64_t> old(slots_.size() * 4, kEmpty);
    old.swap(slots_);
    for (const uint64_t bits : old) {
      if (bits != kEmpty) SlotOf(bits) = bits;
    }
  }

  const int64_t bound_;
  int64_t count_ = 0;
  std::vector<uint64_t> slots_;
};

}  // namespace trainyard
