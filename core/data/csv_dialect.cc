#include "core/data/csv_dialect.h"

#include <algorithm>
#include <array>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/data/csv_records.h"
#include "core/data/parse_errors.h"
#include "core/data/value_parsing.h"

namespace trainyard {
namespace {

constexpr size_t kSampleBytes = size_t{64} << 10;
constexpr int kSampleRecords = 50;
constexpr size_t kMaxNameBytes = 1024;

// Number of fields of the record at `at`, which is moved behind its line end.
int64_t CountFields(const char*& at, const char* end, char delimiter, char line_end) {
  std::string scratch;
  for (int64_t count = 1;; ++count) {
    const CsvField field = ReadField(at, end, delimiter, line_end, scratch);
    at = field.end;
    if (at == end) return count;
    if (*at++ == line_end) return count;
  }
}

// Number of fields per record when the first records agree on it, else 0.
int64_t CommonFieldCount(std::string_view text, char delimiter, char line_end) {
  const bool whole = text.size() <= kSampleBytes;
  const std::string_view sample = text.substr(0, kSampleBytes);
  const char* at = sample.data();
  const char* const end = at + sample.size();
  int64_t common = 0;
  for (int record = 0; record < kSampleRecords && at != end; ++record) {
    if (*at == line_end || *at == '\r') {  // blank line
      ++at;
      continue;
    }
    const int64_t count = CountFields(at, end, delimiter, line_end);
    if (at == end && !whole && common != 0) break;  // cut off by the sample's end
    if (common != 0 && count != common) return 0;
    common = count;
  }
  return common;
}

char DetectDelimiter(std::string_view text, char line_end) {
  char best = ',';
  int64_t most = 1;
  for (const char delimiter : std::array{',', ';', '\t', '|'}) {
    const int64_t count = CommonFieldCount(text, delimiter, line_end);
    if (count > most) {
      most = count;
      best = delimiter;
    }
  }
  if (most > 1) return best;
  // A ragged file is reported by its rows; the delimiter that stands in its first record is the one
  // meant.
  for (const char delimiter : std::array{',', ';', '\t', '|'}) {
    const char* at = text.data();
    const std::string_view sample = text.substr(0, kSampleBytes);
    const int64_t count = CountFields(at, sample.data() + sample.size(), delimiter, line_end);
    if (count > most) {
      most = count;
      best = delimiter;
    }
  }
  if (most == 1 && CommonFieldCount(text, ' ', line_end) > 1) return ' ';
  return best;
}

// The fields of the first record, which begins in line `line`; `end_offset` and `line` become the
// start of the next one.
absl::StatusOr<std::vector<std::string>> ReadFirstRecord(std::string_view text, char delimiter,
                                                         char line_end, const TableLimits& limits,
                                                         size_t& end_offset, int64_t& line) {
  const std::string first_line = absl::StrCat("line ", line);
  std::vector<std::string> fields;
  std::string scratch;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (true) {
    if (static_cast<int64_t>(fields.size()) == limits.max_columns) {
      return InvalidFile(first_line, absl::StrCat("has more than ", limits.max_columns,
                                                  " columns; a table must have at most that many"));
    }
    const CsvField field = ReadField(at, end, delimiter, line_end, scratch);
    if (field.error != nullptr) {
      return InvalidFile(absl::StrCat("line ", line, ", column ", fields.size() + 1), field.error);
    }
    if (static_cast<int64_t>(field.end - text.data()) > limits.max_line_bytes) {
      return InvalidFile(first_line,
                         absl::StrCat("is longer than ", limits.max_line_bytes, " bytes"));
    }
    line += field.lines_inside;
    fields.emplace_back(field.text);
    at = field.end;
    if (at == end || *at++ == line_end) break;
  }
  ++line;
  end_offset = static_cast<size_t>(at - text.data());
  return fields;
}

bool LooksLikeHeader(const std::vector<std::string>& fields) {
  bool any_text = false;
  for (const std::string& field : fields) {
    if (ParseNumber(field) || ParseDate(field) || field.size() > kMaxNameBytes) return false;
    any_text |= !field.empty();
  }
  return any_text;
}

absl::StatusOr<std::vector<std::string>> MakeNames(const std::vector<std::string>& fields,
                                                   bool header, int64_t line) {
  std::vector<std::string> names;
  absl::flat_hash_set<std::string> taken;
  absl::flat_hash_map<std::string, int> copies;  // the number tried last, by repeated name
  for (size_t i = 0; i < fields.size(); ++i) {
    const std::string trimmed(header ? TrimBlanks(fields[i]) : std::string_view());
    const std::string place = absl::StrCat("line ", line, ", column ", i + 1);
    if (FindInvalidUtf8(trimmed)) {
      return InvalidFile(place, absl::StrCat("the name ", QuoteValue(trimmed), " is not UTF-8"));
    }
    if (trimmed.find('\0') != std::string::npos) {
      return InvalidFile(place, "the name holds a NUL byte; a table file must be text");
    }
    if (trimmed.size() > kMaxNameBytes) {
      return InvalidFile(place, absl::StrCat("the name has ", trimmed.size(),
                                             " bytes; it must have at most ", kMaxNameBytes));
    }
    const std::string base = trimmed.empty() ? absl::StrCat("x", i) : trimmed;
    std::string name = base;
    while (!taken.insert(name).second) {
      int& copy = copies.try_emplace(base, 1).first->second;
      name = absl::StrCat(base, "_", ++copy);
    }
    names.push_back(std::move(name));
  }
  return names;
}

}  // namespace

absl::StatusOr<CsvDialect> DetectDialect(std::string_view text, const v1::TableReadOptions& options,
                                         const TableLimits& limits) {
  CsvDialect dialect;
  const bool has_newline = text.find('\n') != std::string_view::npos;
  if (!has_newline && text.find('\r') != std::string_view::npos) dialect.line_end = '\r';
  size_t start = 0;
  while (start < text.size() && (text[start] == '\n' || text[start] == '\r')) {
    dialect.body_line += text[start] == dialect.line_end ? 1 : 0;
    ++start;
  }
  text.remove_prefix(start);
  if (text.empty()) return InvalidFile("file", "is empty; a table needs at least one row");
  dialect.delimiter = options.delimiter().empty() ? DetectDelimiter(text, dialect.line_end)
                                                  : options.delimiter().front();
  size_t end_offset = 0;
  int64_t next_line = dialect.body_line;
  TY_ASSIGN_OR_RETURN(
      const std::vector<std::string> fields,
      ReadFirstRecord(text, dialect.delimiter, dialect.line_end, limits, end_offset, next_line));
  dialect.header = options.has_header() ? options.header() : LooksLikeHeader(fields);
  TY_ASSIGN_OR_RETURN(dialect.names, MakeNames(fields, dialect.header, dialect.body_line));
  dialect.body_offset = start;
  if (dialect.header) {
    dialect.body_offset += end_offset;
    dialect.body_line = next_line;
  }
  return dialect;
}

}  // namespace trainyard
