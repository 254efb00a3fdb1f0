// One pass over a piece of a CSV file, storing the values of some columns.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/data/csv_dialect.h"
#include "core/data/csv_levels.h"
#include "core/data/parse_errors.h"
#include "core/data/table.h"

namespace trainyard {

// What a pass does with a column.
enum class CsvRole {
  kSkip,
  kNumber,  // stores numbers; a text that is none fails the column
  kDate,    // stores seconds since 1970; a text that is no date fails the column
  kLevels,  // stores codes into the piece's own levels
};

struct CsvPassColumn {
  CsvRole role = CsvRole::kSkip;
  bool strict = false;        // a text of another kind is an error in the file
  bool boolean = false;       // kLevels: a text that is no boolean is an error in the file
  double* numbers = nullptr;  // kNumber and kDate: where the piece's rows go
  int32_t* codes = nullptr;   // kLevels: likewise
};

// What is the same for every piece of a file.
struct CsvPassSettings {
  const CsvDialect* dialect = nullptr;
  const TableLimits* limits = nullptr;
  std::vector<std::string> missing_values = {};  // beside the empty field
  std::vector<double> missing_numbers = {};      // those of them that are numbers
};

// Whether the field, blanks at its ends aside, means that there is no value.
bool IsMissing(std::string_view text, const CsvPassSettings& settings);

// The first text that failed a column within a piece; line 0 if none did. Lines count from 1 within
// the piece.
struct CsvFailure {
  int64_t line = 0;
  std::string text;
};

struct CsvPassResult {
  explicit CsvPassResult(int max_errors) : errors(max_errors) {}
  int64_t row_count = 0;
  int64_t line_count = 0;
  ParseErrors errors;                // lines count from 1 within the piece
  std::vector<CsvFailure> failures;  // one per column
  std::vector<PieceLevels> levels;   // one per column, filled for kLevels
};

// Reads `piece`, which begins and ends with records. The pass ends early when the errors are full.
CsvPassResult RunCsvPass(std::string_view piece, const CsvPassSettings& settings,
                         const std::vector<CsvPassColumn>& columns);

}  // namespace trainyard
