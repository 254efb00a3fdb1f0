// Texts to numbers, booleans and dates.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace trainyard {

// `text` without spaces and tabs at its ends.
std::string_view TrimBlanks(std::string_view text);

// A finite decimal number in full (`-1.5e3`, `+7`), blanks around it allowed. Infinities and NaN
// are none.
std::optional<double> ParseNumber(std::string_view text);

// A pair of words for false and true, lower case: false/true, no/yes, f/t, n/y.
enum class BooleanWords { kFalseTrue, kNoYes, kFT, kNY };
// The value and the pair that the word, in any case, belongs to.
std::optional<std::pair<bool, BooleanWords>> ParseBoolean(std::string_view text);

// The value of such a word, or of `0` or `1`.
std::optional<bool> ParseBooleanOrDigit(std::string_view text);

// Seconds since 1970-01-01T00:00:00Z of an ISO 8601 date (`2013-06-01`) or date-time
// (`2013-06-01T12:30[:15[.25]]`, a space for the T, then `Z`, `+02:00`, `+0200` or `+02`; without a
// zone it is UTC). Years 0001 to 9999.
std::optional<double> ParseDate(std::string_view text);

// The date as ISO 8601 in UTC: `2013-06-01` at midnight, else `2013-06-01T12:30:15[.25]Z`
// with the fewest digits that read back as the same time, at most nanoseconds. A number where the
// year is none from 1 to 9999.
std::string FormatDate(double seconds);

// Shortest text that reads back as the same number; whole numbers without a fraction.
std::string FormatNumber(double value);

// Position of the first byte that is not part of valid UTF-8, or nullopt.
std::optional<size_t> FindInvalidUtf8(std::string_view text);

}  // namespace trainyard
