#include "core/data/value_parsing.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/time/civil_time.h"
#include "fast_float/fast_float.h"

namespace trainyard {
namespace {

constexpr double kSecondsPerDay = 86400;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Reads exactly `count` digits at the front of `text` and removes them.
std::optional<int> TakeDigits(std::string_view& text, size_t count) {
  if (text.size() < count) return std::nullopt;
  int value = 0;
  for (size_t i = 0; i < count; ++i) {
    if (!IsDigit(text[i])) return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(count);
  return value;
}

bool TakeChar(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

// The digits at the front of `text`, at least one, as a decimal fraction. Digits behind the
// fifteenth change nothing: a second of our time has 22 binary digits behind the point.
std::optional<double> TakeFraction(std::string_view& text) {
  double digits = 0;
  double scale = 1;
  size_t count = 0;
  for (; count < text.size() && IsDigit(text[count]); ++count) {
    if (count >= 15) continue;
    digits = digits * 10 + (text[count] - '0');
    scale *= 10;
  }
  text.remove_prefix(count);
  if (count == 0) return std::nullopt;
  return digits / scale;
}

// Seconds of the day at the front of `text`: `HH:MM[:SS[.fraction]]`.
std::optional<double> TakeTime(std::string_view& text) {
  const auto hour = TakeDigits(text, 2);
  if (!hour || *hour > 24 || !TakeChar(text, ':')) return std::nullopt;
  const auto minute = TakeDigits(text, 2);
  if (!minute || *minute > 59) return std::nullopt;
  double seconds = 0;
  if (TakeChar(text, ':')) {
    const auto whole = TakeDigits(text, 2);
    if (!whole || *whole > 59) return std::nullopt;
    seconds = *whole;
    if (TakeChar(text, '.')) {
      const auto fraction = TakeFraction(text);
      if (!fraction) return std::nullopt;
      seconds += *fraction;
    }
  }
  const double of_day = *hour * 3600.0 + *minute * 60.0 + seconds;
  if (of_day > kSecondsPerDay) return std::nullopt;
  return of_day;
}

// Offset from UTC, in seconds; what is left of `text` must be a zone or nothing.
std::optional<double> ParseZone(std::string_view text) {
  if (text.empty() || text == "Z" || text == "z") return 0.0;
  const bool negative = text.front() == '-';
  if (!negative && text.front() != '+') return std::nullopt;
  text.remove_prefix(1);
  const auto hours = TakeDigits(text, 2);
  if (!hours || *hours > 23) return std::nullopt;
  int minutes = 0;
  if (!text.empty()) {
    TakeChar(text, ':');
    const auto parsed = TakeDigits(text, 2);
    if (!parsed || *parsed > 59 || !text.empty()) return std::nullopt;
    minutes = *parsed;
  }
  const double offset = *hours * 3600.0 + minutes * 60.0;
  return negative ? -offset : offset;
}

}  // namespace

std::string_view TrimBlanks(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::optional<double> ParseNumber(std::string_view text) {
  text = TrimBlanks(text);
  if (text.size() > 1 && text.front() == '+' && text[1] != '-') text.remove_prefix(1);
  if (text.empty()) return std::nullopt;
  double value = 0;
  const char* end = text.data() + text.size();
  const auto result = fast_float::from_chars(text.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<std::pair<bool, BooleanWords>> ParseBoolean(std::string_view text) {
  struct Word {
    absl::string_view text;
    bool value;
    BooleanWords pair;
  };
  static constexpr std::array<Word, 8> kWords = {{{"false", false, BooleanWords::kFalseTrue},
                                                  {"true", true, BooleanWords::kFalseTrue},
                                                  {"no", false, BooleanWords::kNoYes},
                                                  {"yes", true, BooleanWords::kNoYes},
                                                  {"f", false, BooleanWords::kFT},
                                                  {"t", true, BooleanWords::kFT},
                                                  {"n", false, BooleanWords::kNY},
                                                  {"y", true, BooleanWords::kNY}}};
  const std::string_view trimmed = TrimBlanks(text);
  if (trimmed.size() > 5) return std::nullopt;
  for (const Word& word : kWords) {
    if (absl::EqualsIgnoreCase(absl::string_view(trimmed.data(), trimmed.size()), word.text)) {
      return std::pair(word.value, word.pair);
    }
  }
  return std::nullopt;
}

std::optional<bool> ParseBooleanOrDigit(std::string_view text) {
  if (const auto word = ParseBoolean(text)) return word->first;
  const std::string_view trimmed = TrimBlanks(text);
  if (trimmed != "0" && trimmed != "1") return std::nullopt;
  return trimmed == "1";
}

std::optional<double> ParseDate(std::string_view text) {
  text = TrimBlanks(text);
  const auto year = TakeDigits(text, 4);
  if (!year || *year == 0 || !TakeChar(text, '-')) return std::nullopt;
  const auto month = TakeDigits(text, 2);
  if (!month || !TakeChar(text, '-')) return std::nullopt;
  const auto day = TakeDigits(text, 2);
  if (!day) return std::nullopt;
  const absl::CivilDay date(*year, *month, *day);
  if (date.year() != *year || date.month() != *month || date.day() != *day) return std::nullopt;
  const double midnight = static_cast<double>(date - absl::CivilDay(1970, 1, 1)) * kSecondsPerDay;
  if (text.empty()) return midnight;
  if (!TakeChar(text, 'T') && !TakeChar(text, 't') && !TakeChar(text, ' ')) return std::nullopt;
  const auto time = TakeTime(text);
  if (!time) return std::nullopt;
  const auto zone = ParseZone(text);
  if (!zone) return std::nullopt;
  return midnight + *time - *zone;
}

std::string FormatDate(double seconds) {
  const double days = std::floor(seconds / kSecondsPerDay);
  const absl::CivilDay epoch(1970, 1, 1);
  const auto first = static_cast<double>(absl::CivilDay(1, 1, 1) - epoch);
  const auto last = static_cast<double>(absl::CivilDay(9999, 12, 31) - epoch);
  if (!(days >= first && days <= last)) return FormatNumber(seconds);
  const absl::CivilDay date = epoch + static_cast<int64_t>(days);
  const double of_day = seconds - days * kSecondsPerDay;
  const auto whole = static_cast<int>(of_day);
  std::string day = absl::StrFormat("%04d-%02d-%02d", date.year(), date.month(), date.day());
  if (of_day == 0) return day;
  const std::string to_second =
      absl::StrFormat("%sT%02d:%02d:%02d", day, whole / 3600, whole / 60 % 60, whole % 60);
  if (of_day == whole) return to_second + "Z";
  // The fewest digits that read back as the same time.
  std::string text;
  double power = 1;
  for (int digits = 1; digits <= 9; ++digits) {
    power *= 10;
    const auto fraction =
        std::min(std::llround((of_day - whole) * power), static_cast<long long>(power) - 1);
    text = absl::StrFormat("%s.%0*dZ", to_second, digits, fraction);
    if (ParseDate(text) == seconds) break;
  }
  return text;
}

std::string FormatNumber(double value) {
  std::array<char, 32> text{};
  if (value == std::floor(value) && std::abs(value) < 1e15) {
    const auto end =
        std::to_chars(text.data(), text.data() + text.size(), static_cast<int64_t>(value));
    return std::string(text.data(), end.ptr);
  }
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
  return std::string(text.data(), end.ptr);
}

std::optional<size_t> FindInvalidUtf8(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  for (size_t i = 0; i < text.size();) {
    const unsigned char lead = byte(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || i + length > text.size()) return i;
    for (size_t k = 1; k < length; ++k) {
      if ((byte(i + k) & 0xC0) != 0x80) return i;
    }
    const unsigned char second = byte(i + 1);
    const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
    const bool beyond = (lead == 0xED && second > 0x9F) || (lead == 0xF4 && second > 0x8F);
    if (overlong || beyond) return i;
    i += length;
  }
  return std::nullopt;
}

}  // namespace trainyard
