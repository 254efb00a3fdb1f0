#include "core/data/csv_probe.h"

#include <string>

#include "core/data/csv_records.h"
#include "core/data/value_parsing.h"

namespace trainyard {
namespace {

constexpr size_t kProbedBytes = size_t{1} << 20;
constexpr int kProbedRecords = 200;

// What the values of one column were so far.
struct Evidence {
  bool number = false;
  bool date = false;
  bool text = false;

  void Add(std::string_view value) {
    if (text) return;
    if (ParseNumber(value)) {
      number = true;
    } else if (ParseDate(value)) {
      date = true;
    } else {
      text = true;
    }
  }
};

// Adds the values of the record at `at`, which is moved behind it. False when it is malformed or
// goes on behind `end`.
bool AddRecord(const char*& at, const char* end, const CsvPassSettings& settings,
               std::vector<Evidence>& columns) {
  const CsvDialect& dialect = *settings.dialect;
  std::string scratch;
  for (size_t column = 0;; ++column) {
    const CsvField field = ReadField(at, end, dialect.delimiter, dialect.line_end, scratch);
    at = field.end;
    if (field.error != nullptr || at == end || column >= columns.size()) return false;
    if (!IsMissing(field.text, settings)) columns[column].Add(field.text);
    if (*at++ == dialect.line_end) return true;
  }
}

}  // namespace

void ProbeRoles(std::string_view body, const CsvPassSettings& settings,
                const std::vector<bool>& fixed, std::vector<CsvRole>& roles) {
  std::vector<Evidence> columns(roles.size());
  const std::string_view sample = body.substr(0, kProbedBytes);
  const char* at = sample.data();
  const char* const end = at + sample.size();
  for (int record = 0; record < kProbedRecords && at != end; ++record) {
    if (*at == settings.dialect->line_end || *at == '\r') {  // a blank line
      ++at;
    } else if (!AddRecord(at, end, settings, columns)) {
      break;
    }
  }
  for (size_t c = 0; c < roles.size(); ++c) {
    const Evidence& seen = columns[c];
    if (fixed[c] || (!seen.text && !seen.date)) continue;
    roles[c] = seen.text || seen.number ? CsvRole::kLevels : CsvRole::kDate;
  }
}

}  // namespace trainyard
