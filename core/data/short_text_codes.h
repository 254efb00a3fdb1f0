// The fast path of categorical columns: codes of texts of at most fifteen bytes.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "core/data/mix_bits.h"

namespace trainyard {

// A text of at most fifteen bytes in two machine words; its length is in the last byte.
struct ShortText {
  static constexpr int64_t kMaxBytes = 15;
  static constexpr int64_t kReadAhead = 16;

  // Needs kReadAhead readable bytes at `text`.
  static ShortText Load(const char* text, size_t length) {
    uint64_t words[2];
    std::memcpy(words, text, sizeof(words));
    const uint64_t low = length >= 8 ? ~uint64_t{0} : (uint64_t{1} << 8 * length) - 1;
    const uint64_t high = length <= 8 ? 0 : (uint64_t{1} << 8 * (length - 8)) - 1;
    return {words[0] & low, (words[1] & high) | static_cast<uint64_t>(length) << 56};
  }

  friend bool operator==(const ShortText&, const ShortText&) = default;

  uint64_t low = 0;
  uint64_t high = 0;  // 0 is no text: an empty one never comes here
};

// An open-addressed map from short texts, not empty, to codes. Not thread-safe.
class ShortTextCodes {
 public:
  static constexpr int32_t kUnknown = -2;

  // The code, or kUnknown.
  int32_t Find(const ShortText& text) const {
    if (slots_.empty()) return kUnknown;
    const Slot& slot = slots_[PlaceOf(text)];
    return slot.text == text ? slot.code : kUnknown;
  }

  // Adds a text that is unknown.
  void Add(const ShortText& text, int32_t code) {
    if (2 * (count_ + 1) > slots_.size()) Grow();
    slots_[PlaceOf(text)] = {text, code};
    ++count_;
  }

 private:
  struct Slot {
    ShortText text;
    int32_t code = kUnknown;
  };

  // Where the text is, or would be.
  size_t PlaceOf(const ShortText& text) const {
    const size_t mask = slots_.size() - 1;
    size_t at = MixBits(text.low ^ 0x9E3779B97F4A7C15, text.high ^ 0xD6E8FEB86659FD93) & mask;
    while (slots_[at].text.high != 0 && !(slots_[at].text == text)) at = (at + 1) & mask;
    return at;
  }

  void Grow() {
    std::vector<Slot> old(slots_.empty() ? 64 : slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.text.high != 0) slots_[PlaceOf(slot.text)] = slot;
    }
  }

  size_t count_ = 0;
  std::vector<Slot> slots_;
};

}  // namespace trainyard
