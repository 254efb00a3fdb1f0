// Strict reading of small JSON texts, token by token (RFC 8259).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace trainyard {

// Reads from the front of a text. A method that answers false has met something else or the end;
// the scanner then stands at an undetermined place. White space before a token is skipped.
class JsonScanner {
 public:
  explicit JsonScanner(std::string_view text) : rest_(text) {}

  // Takes one of `{`, `}`, `[`, `]`, `:`, `,` if it comes next; stays where it is otherwise.
  bool Take(char token);
  // A string, escapes resolved. False for control characters, unknown escapes and lone surrogates.
  bool TakeString(std::string& text);
  // A whole number from 0 to 2^63 - 1 without sign, leading zeros, fraction or exponent.
  bool TakeWhole(int64_t& number);
  // Whether only white space is left.
  bool AtEnd();

 private:
  void SkipSpace();
  bool TakeEscape(std::string& text);
  bool TakeHex(uint32_t& unit);

  std::string_view rest_;
};

// `text`, which is UTF-8, as a JSON string with its quotes: only `"`, `\` and control characters
// are escaped.
std::string JsonString(std::string_view text);

}  // namespace trainyard
