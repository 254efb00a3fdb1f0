// How a CSV file is written: delimiter, line ends, header.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/table.h"
#include "trainyard/v1/table.pb.h"

namespace trainyard {

struct CsvDialect {
  char delimiter = ',';
  char line_end =
      '\n';  // `\r` for files without any `\n`; a `\r` before `\n` belongs to the line end
  bool header = true;
  std::vector<std::string> names;  // of the columns, unique and not empty
  size_t body_offset = 0;          // where the first row begins
  int64_t body_line = 1;           // its line number
};

// Detects what `options` leave open and reads the names. `text` is the whole file without a byte
// order mark. INVALID_ARGUMENT for an empty file, a header that cannot be read, or too many
// columns.
//
// Delimiter: among `,` `;` tab `|`, then the blank, the one that divides the first records into the
// same number of fields, at least two, and the most; `,` where none does. Header: the first record
// is one when none of its fields is a number or a date, or longer than a name may be (1024 bytes).
// Empty names become `xI`, I the column's index from 0; a repeated name gets `_2`, `_3`, ….
absl::StatusOr<CsvDialect> DetectDialect(std::string_view text, const v1::TableReadOptions& options,
                                         const TableLimits& limits);

}  // namespace trainyard
