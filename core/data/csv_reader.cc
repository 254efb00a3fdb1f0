#include "core/data/csv_reader.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/parallel.h"
#include "core/base/status.h"
#include "core/data/column_data.h"
#include "core/data/csv_dialect.h"
#include "core/data/csv_pass.h"
#include "core/data/csv_records.h"
#include "core/data/parse_errors.h"
#include "core/data/value_parsing.h"
#include "proto/schema/violations.h"

namespace trainyard {
namespace {

constexpr const char* kDefaultMissing[] = {"NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?"};

// A part of the body with the place of its rows in the columns.
struct Piece {
  std::string_view text;
  int64_t first_row = 0;
  int64_t row_bound = 0;  // before the first pass: at least the number of rows
  int64_t row_count = 0;
  int64_t lines_before = 0;
};

// A column being filled.
struct Column {
  CsvRole role = CsvRole::kNumber;
  bool strict = false;
  bool boolean = false;                           // asked for; then 0 and 1 are words too
  v1::ColumnType type = v1::COLUMN_TYPE_NUMERIC;  // by the last role that did not fail
  std::shared_ptr<double[]> numbers;
  std::shared_ptr<int32_t[]> codes;
  std::vector<std::string> levels;
};

class CsvReader {
 public:
  CsvReader(std::string_view text, const v1::TableReadOptions& options, const TableLimits& limits,
            int threads, int64_t min_piece_bytes)
      : text_(text),
        options_(options),
        limits_(limits),
        threads_(threads),
        min_piece_bytes_(min_piece_bytes),
        errors_(limits.max_reported_errors) {}

  absl::StatusOr<std::shared_ptr<const Table>> Read() {
    TY_ASSIGN_OR_RETURN(dialect_, DetectDialect(text_, options_, limits_));
    TY_RETURN_IF_ERROR(PrepareColumns());
    PlanPieces();
    std::vector<CsvFailure> failures;
    // Numbers first; what is none is read again as dates, then as levels.
    for (bool first = true; first || AssignNextRoles(failures); first = false) {
      TY_RETURN_IF_ERROR(RunPass(first, failures));
    }
    return Finish();
  }

 private:
  size_t column_count() const { return columns_.size(); }

  absl::Status PrepareColumns() {
    columns_.resize(dialect_.names.size());
    Violations unknown;
    const std::map<std::string, int> types(options_.column_types().begin(),
                                           options_.column_types().end());
    for (const auto& [name, type] : types) {
      const auto found = std::find(dialect_.names.begin(), dialect_.names.end(), name);
      if (found == dialect_.names.end()) {
        unknown.Add(absl::StrCat("column_types.", name),
                    absl::StrCat("there is no column ", QuoteValue(name)));
        continue;
      }
      Column& column = columns_[static_cast<size_t>(found - dialect_.names.begin())];
      column.strict = type != v1::COLUMN_TYPE_UNSPECIFIED;
      column.boolean = type == v1::COLUMN_TYPE_BOOLEAN;
      if (type == v1::COLUMN_TYPE_DATE) column.role = CsvRole::kDate;
      if (type == v1::COLUMN_TYPE_CATEGORICAL || column.boolean) column.role = CsvRole::kLevels;
    }
    TY_RETURN_IF_ERROR(unknown.ToStatus());
    missing_.assign(options_.missing_values().begin(), options_.missing_values().end());
    if (missing_.empty()) missing_.assign(std::begin(kDefaultMissing), std::end(kDefaultMissing));
    settings_ = {&dialect_, &limits_, &missing_, {}};
    for (const std::string& text : missing_) {
      if (const auto number = ParseNumber(text)) settings_.missing_numbers.push_back(*number);
    }
    return absl::OkStatus();
  }

  void PlanPieces() {
    const std::string_view body = text_.substr(dialect_.body_offset);
    const int64_t wanted =
        std::clamp<int64_t>(static_cast<int64_t>(body.size()) / min_piece_bytes_, 1, 1 << 16);
    for (const std::string_view part :
         CutIntoRecords(body, wanted, dialect_.delimiter, dialect_.line_end)) {
      pieces_.push_back({part});
    }
    ParallelFor(threads_, static_cast<int64_t>(pieces_.size()), [&](int64_t i) {
      Piece& piece = pieces_[static_cast<size_t>(i)];
      // A row has a line end and holds a byte per column, its line end counted.
      const int64_t lines = 1 + std::count(piece.text.begin(), piece.text.end(), dialect_.line_end);
      const auto bytes = static_cast<int64_t>(piece.text.size());
      piece.row_bound = std::min(lines, bytes / static_cast<int64_t>(column_count()) + 1);
    });
    for (Piece& piece : pieces_) {
      piece.first_row = row_count_;
      row_count_ += piece.row_bound;
    }
  }

  // Memory for the columns that the next pass fills.
  void Allocate() {
    for (Column& column : columns_) {
      const bool numbers = column.role == CsvRole::kNumber || column.role == CsvRole::kDate;
      if (numbers && column.numbers == nullptr) {
        column.numbers = std::make_shared_for_overwrite<double[]>(static_cast<size_t>(row_count_));
      }
      if (column.role == CsvRole::kLevels && column.codes == nullptr) {
        column.numbers = nullptr;
        column.codes = std::make_shared_for_overwrite<int32_t[]>(static_cast<size_t>(row_count_));
      }
    }
  }

  std::vector<CsvPassColumn> TargetsOf(const Piece& piece) const {
    std::vector<CsvPassColumn> targets(column_count());
    for (size_t c = 0; c < column_count(); ++c) {
      const Column& column = columns_[c];
      targets[c].role = column.role;
      targets[c].strict = column.strict;
      if (column.numbers != nullptr) targets[c].numbers = column.numbers.get() + piece.first_row;
      if (column.codes != nullptr) targets[c].codes = column.codes.get() + piece.first_row;
    }
    return targets;
  }

  absl::Status RunPass(bool first, std::vector<CsvFailure>& failures) {
    Allocate();
    std::vector<std::optional<CsvPassResult>> results(pieces_.size());
    ParallelFor(threads_, static_cast<int64_t>(pieces_.size()), [&](int64_t i) {
      const Piece& piece = pieces_[static_cast<size_t>(i)];
      results[static_cast<size_t>(i)] = RunCsvPass(piece.text, settings_, TargetsOf(piece));
    });
    int64_t lines = dialect_.body_line - 1;
    failures.assign(column_count(), {});
    for (size_t i = 0; i < pieces_.size(); ++i) {
      pieces_[i].lines_before = lines;
      pieces_[i].row_count = results[i]->row_count;
      errors_.Merge(results[i]->errors, lines);
      lines += results[i]->line_count;
      for (size_t c = 0; c < column_count(); ++c) {
        CsvFailure& failure = results[i]->failures[c];
        if (failures[c].line == 0 && failure.line != 0) failures[c] = std::move(failure);
      }
      // Line numbers behind a piece that was given up are not known.
      if (results[i]->errors.full()) break;
    }
    TY_RETURN_IF_ERROR(errors_.ToStatus());
    if (first) Compact();
    for (size_t c = 0; c < column_count(); ++c) {
      if (columns_[c].role == CsvRole::kLevels) MergeLevels(c, results);
    }
    return errors_.ToStatus();
  }

  // Closes the gaps that blank lines and line ends within quotes have left between the pieces'
  // rows.
  void Compact() {
    int64_t rows = 0;
    for (Piece& piece : pieces_) {
      for (const Column& column : columns_) {
        const auto move = [&](auto* values) {
          if (values == nullptr || rows == piece.first_row) return;
          std::memmove(values + rows, values + piece.first_row,
                       static_cast<size_t>(piece.row_count) * sizeof(*values));
        };
        move(column.numbers.get());
        move(column.codes.get());
      }
      piece.first_row = rows;
      rows += piece.row_count;
    }
    row_count_ = rows;
  }

  // Makes one sorted list of levels of the pieces' dictionaries and rewrites the codes.
  void MergeLevels(size_t c, std::vector<std::optional<CsvPassResult>>& results) {
    Column& column = columns_[c];
    for (size_t i = 0; i < pieces_.size(); ++i) {
      for (const auto& [text, level] : results[i]->dictionaries[c]) {
        column.levels.push_back(text);
        if (FindInvalidUtf8(text)) {
          errors_.Add(level.line + pieces_[i].lines_before, static_cast<int64_t>(c) + 1,
                      absl::StrCat("the text ", QuoteValue(text), " is not UTF-8"));
        }
      }
    }
    std::sort(column.levels.begin(), column.levels.end());
    column.levels.erase(std::unique(column.levels.begin(), column.levels.end()),
                        column.levels.end());
    if (static_cast<int64_t>(column.levels.size()) > limits_.max_levels) {
      errors_.Add(dialect_.body_line, static_cast<int64_t>(c) + 1,
                  absl::StrCat("the column has ", column.levels.size(),
                               " different texts; a categorical column must have at most ",
                               limits_.max_levels));
      return;
    }
    ParallelFor(threads_, static_cast<int64_t>(pieces_.size()), [&](int64_t i) {
      const Piece& piece = pieces_[static_cast<size_t>(i)];
      const CsvDictionary& dictionary = results[static_cast<size_t>(i)]->dictionaries[c];
      std::vector<int32_t> new_codes(dictionary.size());
      for (const auto& [text, level] : dictionary) {
        const auto at = std::lower_bound(column.levels.begin(), column.levels.end(), text);
        new_codes[static_cast<size_t>(level.code)] =
            static_cast<int32_t>(at - column.levels.begin());
      }
      int32_t* codes = column.codes.get() + piece.first_row;
      for (int64_t row = 0; row < piece.row_count; ++row) {
        if (codes[row] >= 0) codes[row] = new_codes[static_cast<size_t>(codes[row])];
      }
    });
    if (column.boolean) CheckBooleans(c, results);
  }

  void CheckBooleans(size_t c, const std::vector<std::optional<CsvPassResult>>& results) {
    for (size_t i = 0; i < pieces_.size(); ++i) {
      for (const auto& [text, level] : results[i]->dictionaries[c]) {
        if (BooleanOf(columns_[c], text)) continue;
        errors_.Add(level.line + pieces_[i].lines_before, static_cast<int64_t>(c) + 1,
                    absl::StrCat("the value ", QuoteValue(text),
                                 " must be true or false, yes or no, t or f, y or n, 1 or 0"));
      }
    }
  }

  static std::optional<bool> BooleanOf(const Column& column, const std::string& text) {
    if (const auto word = ParseBoolean(text)) return word->first;
    if (column.boolean && (text == "0" || text == "1")) return text == "1";
    return std::nullopt;
  }

  // Chooses what the columns that failed are read as next. False when none is left.
  bool AssignNextRoles(const std::vector<CsvFailure>& failures) {
    bool any = false;
    for (size_t c = 0; c < column_count(); ++c) {
      const CsvRole done = std::exchange(columns_[c].role, CsvRole::kSkip);
      if (done == CsvRole::kDate) columns_[c].type = v1::COLUMN_TYPE_DATE;
      if (done == CsvRole::kLevels) columns_[c].type = v1::COLUMN_TYPE_CATEGORICAL;
      if (failures[c].line == 0) continue;
      const bool date = done == CsvRole::kNumber && ParseDate(failures[c].text).has_value();
      columns_[c].role = date ? CsvRole::kDate : CsvRole::kLevels;
      any = true;
    }
    return any;
  }

  absl::StatusOr<std::shared_ptr<const Table>> Finish() {
    if (row_count_ == 0)
      return InvalidFile("file", "has a header but no rows; a table needs at least one");
    if (row_count_ > limits_.max_rows) {
      return InvalidFile(
          "file",
          absl::StrCat("has ", row_count_, " rows; a table must have at most ", limits_.max_rows));
    }
    std::vector<ColumnData> data;
    for (size_t c = 0; c < column_count(); ++c) data.push_back(FinishColumn(c));
    v1::TableReadOptions read = options_;
    read.set_format(v1::TableReadOptions::FORMAT_CSV);
    read.set_delimiter(std::string(1, dialect_.delimiter));
    read.set_header(dialect_.header);
    return TableOf(std::move(data), row_count_, read, threads_);
  }

  ColumnData FinishColumn(size_t c) {
    Column& column = columns_[c];
    const auto rows = static_cast<size_t>(row_count_);
    ColumnData data;
    data.name = dialect_.names[c];
    if (column.type == v1::COLUMN_TYPE_CATEGORICAL && HoldsBooleans(column)) StoreBooleans(column);
    data.type = column.type;
    if (column.type == v1::COLUMN_TYPE_CATEGORICAL) {
      data.codes = {column.codes.get(), rows};
      data.levels = std::move(column.levels);
      data.storage = column.codes;
    } else {
      data.numbers = {column.numbers.get(), rows};
      data.storage = column.numbers;
    }
    return data;
  }

  // Whether the column was asked to be boolean, or all its levels are words of one pair.
  static bool HoldsBooleans(const Column& column) {
    if (column.boolean) return true;
    if (column.strict || column.levels.empty()) return false;
    const auto first = ParseBoolean(column.levels.front());
    return std::all_of(column.levels.begin(), column.levels.end(), [&](const std::string& level) {
      const auto word = ParseBoolean(level);
      return word && first && word->second == first->second;
    });
  }

  void StoreBooleans(Column& column) {
    column.type = v1::COLUMN_TYPE_BOOLEAN;
    std::vector<double> values;
    for (const std::string& level : column.levels)
      values.push_back(*BooleanOf(column, level) ? 1 : 0);
    column.numbers = std::make_shared_for_overwrite<double[]>(static_cast<size_t>(row_count_));
    for (int64_t row = 0; row < row_count_; ++row) {
      const int32_t code = column.codes[row];
      column.numbers[row] =
          code < 0 ? std::numeric_limits<double>::quiet_NaN() : values[static_cast<size_t>(code)];
    }
    column.codes = nullptr;
  }

  std::string_view text_;
  const v1::TableReadOptions& options_;
  const TableLimits& limits_;
  const int threads_;
  const int64_t min_piece_bytes_;
  ParseErrors errors_;
  CsvDialect dialect_;
  CsvPassSettings settings_;
  std::vector<std::string> missing_;
  std::vector<Column> columns_;
  std::vector<Piece> pieces_;
  int64_t row_count_ = 0;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Table>> ParseCsv(std::string_view text,
                                                      const v1::TableReadOptions& options,
                                                      const TableLimits& limits, int threads,
                                                      int64_t min_piece_bytes) {
  return CsvReader(text, options, limits, threads, min_piece_bytes).Read();
}

}  // namespace trainyard
