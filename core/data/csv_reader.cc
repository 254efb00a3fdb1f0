#include "core/data/csv_reader.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/parallel.h"
#include "core/base/status.h"
#include "core/data/column_data.h"
#include "core/data/csv_column.h"
#include "core/data/csv_dialect.h"
#include "core/data/csv_pass.h"
#include "core/data/csv_probe.h"
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
    ProbeColumns();
    TY_RETURN_IF_ERROR(PlanPieces());
    std::vector<CsvFailure> failures;
    // Numbers first; what is none is read again as dates, then as levels.
    for (bool first = true; first || AssignNextRoles(failures); first = false) {
      TY_RETURN_IF_ERROR(RunPass(first, failures));
    }
    return Finish();
  }

 private:
  size_t column_count() const { return columns_.size(); }
  int64_t piece_count() const { return static_cast<int64_t>(pieces_.size()); }

  absl::Status PrepareColumns() {
    columns_.resize(dialect_.names.size());
    Violations unknown;
    const std::map<std::string, int> types(options_.column_types().begin(),
                                           options_.column_types().end());
    std::unordered_map<std::string_view, size_t> places;
    for (size_t i = 0; i < dialect_.names.size(); ++i) places.emplace(dialect_.names[i], i);
    for (const auto& [name, type] : types) {
      const auto found = places.find(name);
      if (found == places.end()) {
        if (!limits_.require_typed_columns) continue;
        unknown.Add(absl::StrCat("column_types.", name),
                    absl::StrCat("there is no column ", QuoteValue(name)));
        continue;
      }
      CsvColumn& column = columns_[found->second];
      column.strict = type != v1::COLUMN_TYPE_UNSPECIFIED;
      column.boolean = type == v1::COLUMN_TYPE_BOOLEAN;
      if (type == v1::COLUMN_TYPE_DATE) column.role = CsvRole::kDate;
      if (type == v1::COLUMN_TYPE_CATEGORICAL || column.boolean) column.role = CsvRole::kLevels;
    }
    TY_RETURN_IF_ERROR(unknown.ToStatus());
    settings_ = {&dialect_, &limits_};
    std::vector<std::string>& missing = settings_.missing_values;
    missing.assign(options_.missing_values().begin(), options_.missing_values().end());
    if (missing.empty()) missing.assign(std::begin(kDefaultMissing), std::end(kDefaultMissing));
    for (const std::string& text : missing) {
      if (const auto number = ParseNumber(text)) settings_.missing_numbers.push_back(*number);
    }
    return absl::OkStatus();
  }

  void ProbeColumns() {
    std::vector<CsvRole> roles;
    std::vector<bool> fixed;
    for (const CsvColumn& column : columns_) {
      roles.push_back(column.role);
      fixed.push_back(column.strict);
    }
    ProbeRoles(text_.substr(dialect_.body_offset), settings_, fixed, roles);
    for (size_t c = 0; c < column_count(); ++c) columns_[c].role = roles[c];
  }

  absl::Status PlanPieces() {
    const std::string_view body = text_.substr(dialect_.body_offset);
    const int64_t wanted =
        std::clamp<int64_t>(static_cast<int64_t>(body.size()) / min_piece_bytes_, 1, 1 << 16);
    for (const std::string_view part :
         CutIntoRecords(body, wanted, dialect_.delimiter, dialect_.line_end)) {
      pieces_.push_back({part});
    }
    ParallelFor(threads_, piece_count(), [&](int64_t i) {
      Piece& piece = pieces_[static_cast<size_t>(i)];
      // A row ends with a line end, the last one perhaps without, and has a byte per column.
      const int64_t lines = CountByte(piece.text, dialect_.line_end) +
                            (piece.text.back() == dialect_.line_end ? 0 : 1);
      const auto bytes = static_cast<int64_t>(piece.text.size());
      piece.row_bound = std::min(lines, bytes / static_cast<int64_t>(column_count()) + 1);
    });
    for (Piece& piece : pieces_) {
      piece.first_row = row_count_;
      row_count_ += piece.row_bound;
    }
    return CheckTableSize(row_count_, static_cast<int64_t>(column_count()), limits_);
  }

  std::vector<CsvPassColumn> TargetsOf(const Piece& piece) const {
    std::vector<CsvPassColumn> targets(column_count());
    for (size_t c = 0; c < column_count(); ++c) {
      const CsvColumn& column = columns_[c];
      targets[c] = {column.role, column.strict, column.boolean, nullptr, nullptr};
      if (column.numbers != nullptr) targets[c].numbers = column.numbers.get() + piece.first_row;
      if (column.codes != nullptr) targets[c].codes = column.codes.get() + piece.first_row;
    }
    return targets;
  }

  absl::Status RunPass(bool first, std::vector<CsvFailure>& failures) {
    for (CsvColumn& column : columns_) {
      if (!column.Prepare(row_count_, limits_.max_levels)) return OutOfMemory();
    }
    std::vector<std::optional<CsvPassResult>> results(pieces_.size());
    ParallelFor(threads_, piece_count(), [&](int64_t i) {
      const Piece& piece = pieces_[static_cast<size_t>(i)];
      const std::vector<CsvPassColumn> targets = TargetsOf(piece);
      CsvPassResult result = RunCsvPass(piece.text, settings_, targets);
      ShareLevels(targets, result);
      results[static_cast<size_t>(i)] = std::move(result);
    });
    TY_RETURN_IF_ERROR(JoinResults(results, failures));
    if (first) Compact();
    for (size_t c = 0; c < column_count(); ++c) {
      if (columns_[c].level_set == nullptr || !columns_[c].level_set->overflowed()) continue;
      errors_.Add(dialect_.body_line, static_cast<int64_t>(c) + 1,
                  absl::StrCat("the column ", QuoteValue(dialect_.names[c]), " has more than ",
                               limits_.max_levels,
                               " different texts; a categorical column must have at most that "
                               "many"));
    }
    TY_RETURN_IF_ERROR(errors_.ToStatus());
    ParallelFor(threads_, static_cast<int64_t>(column_count()),
                [&](int64_t c) { columns_[static_cast<size_t>(c)].AdoptLevels(row_count_); });
    return absl::OkStatus();
  }

  // Makes the codes of a piece those of the whole file and frees the piece's levels.
  void ShareLevels(const std::vector<CsvPassColumn>& targets, CsvPassResult& result) {
    for (size_t c = 0; c < column_count(); ++c) {
      if (targets[c].role != CsvRole::kLevels) continue;
      const std::vector<int32_t> shared = columns_[c].level_set->Add(result.levels[c].texts);
      Recode(std::span(targets[c].codes, static_cast<size_t>(result.row_count)), shared);
    }
    result.levels.clear();
  }

  absl::Status JoinResults(std::vector<std::optional<CsvPassResult>>& results,
                           std::vector<CsvFailure>& failures) {
    int64_t lines = dialect_.body_line - 1;
    failures.assign(column_count(), {});
    for (size_t i = 0; i < pieces_.size(); ++i) {
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
    return errors_.ToStatus();
  }

  // Closes the gaps that blank lines and line ends within quotes have left between the pieces'
  // rows.
  void Compact() {
    int64_t rows = 0;
    for (Piece& piece : pieces_) {
      const auto move = [&](auto* values) {
        if (values == nullptr || rows == piece.first_row) return;
        std::memmove(values + rows, values + piece.first_row,
                     static_cast<size_t>(piece.row_count) * sizeof(*values));
      };
      for (const CsvColumn& column : columns_) {
        move(column.numbers.get());
        move(column.codes.get());
      }
      piece.first_row = rows;
      rows += piece.row_count;
    }
    row_count_ = rows;
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
    if (row_count_ == 0) {
      return InvalidFile("file", "has a header but no rows; a table needs at least one");
    }
    if (row_count_ > limits_.max_rows) {
      return InvalidFile(
          "file",
          absl::StrCat("has ", row_count_, " rows; a table must have at most ", limits_.max_rows));
    }
    std::vector<ColumnData> data;
    for (size_t c = 0; c < column_count(); ++c) {
      if (!columns_[c].ConvertBooleans(row_count_)) return OutOfMemory();
      data.push_back(columns_[c].Take(dialect_.names[c], row_count_));
    }
    v1::TableReadOptions read = options_;
    read.set_format(v1::TableReadOptions::FORMAT_CSV);
    read.set_delimiter(std::string(1, dialect_.delimiter));
    read.set_header(dialect_.header);
    return TableOf(std::move(data), row_count_, read, threads_);
  }

  absl::Status OutOfMemory() const {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for a table of ", row_count_,
                                                     " rows and ", column_count(), " columns"));
  }

  std::string_view text_;
  const v1::TableReadOptions& options_;
  const TableLimits& limits_;
  const int threads_;
  const int64_t min_piece_bytes_;
  ParseErrors errors_;
  CsvDialect dialect_;
  CsvPassSettings settings_;
  std::vector<CsvColumn> columns_;
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
