#include "client/cli/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace trainyard::cli {
namespace {

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

struct CodePoint {
  char32_t value = 0;  // 0xFFFFFFFF when the bytes are no UTF-8
  size_t bytes = 1;
};

constexpr char32_t kInvalid = 0xFFFFFFFF;

CodePoint Decode(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return {kInvalid, 1};
  char32_t value = lead & (0xFF >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {kInvalid, 1};
    value = (value << 6) | (byte(i) & 0x3F);
  }
  constexpr std::array<char32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast[bytes] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
    return {kInvalid, 1};
  }
  return {value, bytes};
}

int WidthOf(char32_t c) {
  const auto in = [c](char32_t low, char32_t high) { return c >= low && c <= high; };
  if (c < 0x20 || in(0x7F, 0x9F) || in(0x300, 0x36F) || in(0x200B, 0x200F) || in(0xFE00, 0xFE0F)) {
    return 0;
  }
  if (in(0x1100, 0x115F) || in(0x2E80, 0xA4CF) || in(0xAC00, 0xD7A3) || in(0xF900, 0xFAFF) ||
      in(0xFE30, 0xFE6F) || in(0xFF00, 0xFF60) || in(0x1F300, 0x1FAFF) || in(0x20000, 0x3FFFD)) {
    return 2;
  }
  return 1;
}

// Length of the escape sequence that `text` begins with; 0 for none.
size_t EscapeLength(std::string_view text) {
  if (text.size() < 2 || text[0] != '\x1b' || text[1] != '[') return 0;
  size_t end = 2;
  while (end < text.size() && (text[end] < '@' || text[end] > '~')) ++end;
  return std::min(end + 1, text.size());
}

// Whether a character may change how a terminal behaves or reorders text.
bool IsControl(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x202A && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069);
}

// Optimal string alignment distance: insertions, deletions, changes, swaps of neighbours.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min(
          {d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

std::string Folded(std::string_view name) {
  std::string folded = absl::AsciiStrToLower(View(name));
  std::replace(folded.begin(), folded.end(), '-', '_');
  return folded;
}

}  // namespace

int DisplayWidth(std::string_view text) {
  int width = 0;
  while (!text.empty()) {
    if (const size_t escape = EscapeLength(text); escape > 0) {
      text.remove_prefix(escape);
      continue;
    }
    const CodePoint point = Decode(text);
    width += point.value == kInvalid ? 1 : WidthOf(point.value);
    text.remove_prefix(point.bytes);
  }
  return width;
}

std::string Printable(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    if (const size_t escape = EscapeLength(text); escape > 0) {
      text.remove_prefix(escape);
      continue;
    }
    const CodePoint point = Decode(text);
    if (point.value == '\t') {
      result += ' ';
    } else if (point.value == kInvalid) {
      result += '?';
    } else if (!IsControl(point.value)) {
      result += text.substr(0, point.bytes);
    }
    text.remove_prefix(point.bytes);
  }
  return result;
}

std::string ValidUtf8(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const CodePoint point = Decode(text);
    if (point.value == kInvalid) {
      result += '?';
    } else {
      result += text.substr(0, point.bytes);
    }
    text.remove_prefix(point.bytes);
  }
  return result;
}

std::string Fit(std::string_view text, int width) {
  if (DisplayWidth(text) <= width) return std::string(text);
  std::string result;
  int used = 0;
  bool coloured = false;
  while (!text.empty()) {
    if (const size_t escape = EscapeLength(text); escape > 0) {
      result += text.substr(0, escape);
      text.remove_prefix(escape);
      coloured = true;
      continue;
    }
    const CodePoint point = Decode(text);
    const int next = point.value == kInvalid ? 1 : WidthOf(point.value);
    if (used + next > width - 1) break;
    result += text.substr(0, point.bytes);
    used += next;
    text.remove_prefix(point.bytes);
  }
  if (width > 0) result += "…";
  if (coloured) result += "\x1b[0m";
  return result;
}

std::string Pad(std::string_view text, int width, bool right_aligned) {
  const int missing = width - DisplayWidth(text);
  const std::string blanks(static_cast<size_t>(std::max(0, missing)), ' ');
  return right_aligned ? blanks + std::string(text) : std::string(text) + blanks;
}

std::vector<std::string> Wrap(std::string_view text, int width) {
  std::vector<std::string> lines;
  for (const absl::string_view word : absl::StrSplit(View(text), ' ', absl::SkipEmpty())) {
    const std::string_view piece(word.data(), word.size());
    if (lines.empty() || DisplayWidth(lines.back()) + 1 + DisplayWidth(piece) > width) {
      lines.emplace_back(piece);
    } else {
      absl::StrAppend(&lines.back(), " ", word);
    }
  }
  return lines;
}

std::string HumanBytes(int64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (std::llabs(bytes) < 1024) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (std::abs(value) >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

std::string HumanDuration(double seconds) {
  if (!std::isfinite(seconds)) return "?";
  if (seconds < 0) return "-" + HumanDuration(-seconds);
  if (seconds == 0) return "0 s";
  if (seconds < 0.0000995) return absl::StrFormat("%.3g µs", seconds * 1e6);
  if (seconds < 0.0995) return absl::StrFormat("%.3g ms", seconds * 1e3);
  if (seconds < 9.95) return absl::StrFormat("%.2g s", seconds);
  const double rounded = std::round(seconds);
  if (rounded < 60) return absl::StrFormat("%.0f s", rounded);
  if (rounded > 1e9) return absl::StrFormat("%.3g d", seconds / 86400);
  const auto whole = static_cast<int64_t>(rounded);
  if (whole < 3600) return absl::StrFormat("%d min %02d s", whole / 60, whole % 60);
  if (whole < 86400) return absl::StrFormat("%d h %02d min", whole / 3600, whole / 60 % 60);
  return absl::StrFormat("%d d %02d h", whole / 86400, whole / 3600 % 24);
}

absl::StatusOr<google::protobuf::Duration> ParseDuration(std::string_view text) {
  const absl::string_view view = View(text);
  absl::Duration duration;
  double seconds = 0;
  if (absl::SimpleAtod(view, &seconds)) {
    duration = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(view, &duration)) {
    duration = absl::InfiniteDuration();
  }
  constexpr int64_t kMostSeconds = 315576000000;  // of google.protobuf.Duration
  if (duration < absl::ZeroDuration() || duration > absl::Seconds(kMostSeconds)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", view, "\" is not a duration such as 90s, 10m or 1h30m"));
  }
  google::protobuf::Duration message;
  message.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  message.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
  return message;
}

absl::StatusOr<int64_t> ParseBytes(std::string_view text) {
  const absl::string_view view = absl::StripAsciiWhitespace(View(text));
  const size_t end = view.find_first_not_of("0123456789.");
  const absl::string_view digits = view.substr(0, end);
  std::string unit;
  if (end != absl::string_view::npos) {
    unit = absl::AsciiStrToLower(absl::StripAsciiWhitespace(view.substr(end)));
  }
  constexpr std::array<const char*, 5> kUnits = {"", "k", "m", "g", "t"};
  double value = 0;
  for (size_t power = 0; power < kUnits.size(); ++power) {
    const std::string name = kUnits[power];
    if (unit != name && unit != name + "b" && unit != name + "ib") continue;
    if (!absl::SimpleAtod(digits, &value)) break;
    value *= std::pow(1024.0, static_cast<double>(power));
    if (value < 9e18) return static_cast<int64_t>(std::llround(value));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", view, "\" is not a number of bytes such as 4096, 512M or 4GiB"));
}

std::string HumanNumber(double value, int digits) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  if (value == std::trunc(value) && std::abs(value) < 1e9) return absl::StrFormat("%.0f", value);
  return absl::StrFormat("%.*g", digits, value);
}

absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

double Seconds(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) + 1e-9 * duration.nanos();
}

std::string HumanTime(const google::protobuf::Timestamp& time, absl::Time now,
                      absl::TimeZone zone) {
  if (time.seconds() == 0 && time.nanos() == 0) return "";
  const absl::Time at = ToTime(time);
  const absl::CivilSecond civil = absl::ToCivilSecond(at, zone);
  const absl::CivilSecond civil_now = absl::ToCivilSecond(now, zone);
  if (absl::CivilDay(civil) == absl::CivilDay(civil_now)) {
    return absl::FormatTime("%H:%M:%S", at, zone);
  }
  const bool same_year = civil.year() == civil_now.year();
  return absl::FormatTime(same_year ? "%b %e %H:%M" : "%Y-%m-%d", at, zone);
}

std::vector<std::string> NearestNames(std::string_view word,
                                      const std::vector<std::string>& candidates, size_t limit) {
  const std::string wanted = Folded(word);
  std::vector<std::pair<size_t, std::string>> scored;
  for (const std::string& candidate : candidates) {
    const std::string name = Folded(candidate);
    // A dotted path is also known by its last part.
    const std::string last = name.substr(name.rfind('.') + 1);
    size_t distance = std::min(EditDistance(wanted, name), EditDistance(wanted, last));
    if (wanted.size() >= 3 && name.find(wanted) != std::string::npos) {
      distance = std::min<size_t>(distance, 2);
    }
    const size_t most = std::max<size_t>(1, (wanted.size() + 2) / 3);
    if (distance <= most) scored.emplace_back(distance, candidate);
  }
  std::stable_sort(scored.begin(), scored.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> nearest;
  for (const auto& [distance, name] : scored) {
    if (nearest.size() < limit) nearest.push_back(name);
  }
  return nearest;
}

std::string DidYouMean(std::string_view word, const std::vector<std::string>& candidates) {
  std::vector<std::string> names = NearestNames(word, candidates);
  if (names.empty()) return "";
  const std::string last = names.back();
  names.pop_back();
  return names.empty()
             ? absl::StrCat("; did you mean ", last, "?")
             : absl::StrCat("; did you mean ", absl::StrJoin(names, ", "), " or ", last, "?");
}

}  // namespace trainyard::cli
