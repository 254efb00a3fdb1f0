#include "core/model_io/json_scanner.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_format.h"

namespace trainyard {
namespace {

void AppendUtf8(uint32_t code, std::string& text) {
  const auto put = [&text](uint32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      put(0xE0 | code >> 12);
    } else {
      put(0xF0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3F));
    }
    put(0x80 | (code >> 6 & 0x3F));
  }
  put(0x80 | (code & 0x3F));
}

}  // namespace

void JsonScanner::SkipSpace() {
  const size_t first = rest_.find_first_not_of(" \t\r\n");
  rest_.remove_prefix(first == std::string_view::npos ? rest_.size() : first);
}

bool JsonScanner::AtEnd() {
  SkipSpace();
  return rest_.empty();
}

bool JsonScanner::Take(char token) {
  SkipSpace();
  if (rest_.empty() || rest_.front() != token) return false;
  rest_.remove_prefix(1);
  return true;
}

bool JsonScanner::TakeString(std::string& text) {
  text.clear();
  if (!Take('"')) return false;
  while (!rest_.empty()) {
    const char c = rest_.front();
    rest_.remove_prefix(1);
    if (c == '"') return true;
    if (static_cast<unsigned char>(c) < 0x20) return false;
    if (c != '\\') {
      text.push_back(c);
    } else if (!TakeEscape(text)) {
      return false;
    }
  }
  return false;
}

bool JsonScanner::TakeEscape(std::string& text) {
  if (rest_.empty()) return false;
  const char c = rest_.front();
  rest_.remove_prefix(1);
  if (c == 'u') {
    uint32_t unit = 0;
    if (!TakeHex(unit)) return false;
    if (unit >= 0xDC00 && unit < 0xE000) return false;
    if (unit >= 0xD800 && unit < 0xDC00) {
      uint32_t low = 0;
      if (!rest_.starts_with("\\u")) return false;
      rest_.remove_prefix(2);
      if (!TakeHex(low) || low < 0xDC00 || low >= 0xE000) return false;
      unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
    }
    AppendUtf8(unit, text);
    return true;
  }
  constexpr std::string_view kEscapes = "\"\\/bfnrt";
  constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
  const size_t which = kEscapes.find(c);
  if (which == std::string_view::npos) return false;
  text.push_back(kMeanings[which]);
  return true;
}

bool JsonScanner::TakeHex(uint32_t& unit) {
  if (rest_.size() < 4) return false;
  for (size_t i = 0; i < 4; ++i) {
    const char c = rest_[i];
    if (c >= '0' && c <= '9') {
      unit = unit << 4 | static_cast<uint32_t>(c - '0');
    } else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
      unit = unit << 4 | static_cast<uint32_t>((c | 0x20) - 'a' + 10);
    } else {
      return false;
    }
  }
  rest_.remove_prefix(4);
  return true;
}

bool JsonScanner::TakeWhole(int64_t& number) {
  SkipSpace();
  const size_t size = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
  if (size == 0 || (size > 1 && rest_.front() == '0')) return false;
  if (size < rest_.size() && std::string_view(".eE").find(rest_[size]) != std::string_view::npos) {
    return false;
  }
  number = 0;
  for (const char c : rest_.substr(0, size)) {
    const int64_t digit = c - '0';
    if (number > (std::numeric_limits<int64_t>::max() - digit) / 10) return false;
    number = number * 10 + digit;
  }
  rest_.remove_prefix(size);
  return true;
}

std::string JsonString(std::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    constexpr std::string_view kMeanings = "\"\\\b\f\n\r\t";
    constexpr std::string_view kEscapes = "\"\\bfnrt";
    const size_t which = kMeanings.find(c);
    if (which != std::string_view::npos) {
      json += '\\';
      json += kEscapes[which];
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&json, "\\u%04x", static_cast<int>(c));
    } else {
      json += c;
    }
  }
  return json + '"';
}

}  // namespace trainyard
