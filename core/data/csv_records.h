// Records and fields of CSV text (RFC 4180).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace trainyard {

// One field as read. `text` points into the file, or into the scratch string where quotes were
// doubled.
struct CsvField {
  std::string_view text;
  bool quoted = false;
  const char* end = nullptr;    // the delimiter or line end behind it, or the end of the text
  int64_t lines_inside = 0;     // line ends within quotes
  const char* error = nullptr;  // what is wrong with it; null if nothing is
};

// The field that begins at `begin`; `end` is the end of the text. A field is quoted when its first
// character is a quote; quotes elsewhere are ordinary characters.
CsvField ReadField(const char* begin, const char* end, char delimiter, char line_end,
                   std::string& scratch);

// The end of the unquoted field that begins at `begin`: the next delimiter or line end, or `end`.
const char* FindFieldEnd(const char* begin, const char* end, char delimiter, char line_end);

// How often `byte` occurs.
int64_t CountByte(std::string_view text, char byte);

// Cuts `text`, which begins at the start of a record, into about `pieces` pieces that begin and end
// with records. Where quotes are not closed, the last piece holds everything from the record's
// start.
std::vector<std::string_view> CutIntoRecords(std::string_view text, int64_t pieces, char delimiter,
                                             char line_end);

}  // namespace trainyard
