#include <algorithm>
#include <charconv>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/parallel.h"
#include "core/base/status.h"
#include "core/data/column_data.h"
#include "core/data/column_memory.h"
#include "core/data/file_formats.h"
#include "core/data/numeric_columns.h"
#include "core/data/parse_errors.h"
#include "core/data/value_parsing.h"

namespace trainyard {
namespace {

constexpr int64_t kPieceBytes = int64_t{1} << 20;
constexpr int kDetectionLines = 10;

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

// The next token of the line, empty at its end.
std::string_view TakeToken(std::string_view& line) {
  const char* at = line.data();
  const char* const end = at + line.size();
  while (at != end && IsBlank(*at)) ++at;
  const char* const begin = at;
  while (at != end && !IsBlank(*at)) ++at;
  line = {at, static_cast<size_t>(end - at)};
  return {begin, static_cast<size_t>(at - begin)};
}

// The next line without its comment.
std::string_view TakeLine(std::string_view& text) {
  const size_t length = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, length);
  text.remove_prefix(std::min(length + 1, text.size()));
  return line.substr(0, std::min(line.find('#'), line.size()));
}

struct Entry {
  int64_t index = 0;  // from 1
  double value = 0;
};

// The entry that `token` writes; index 0 when it is none.
Entry ParseEntry(std::string_view token) {
  Entry entry;
  const char* const end = token.data() + token.size();
  const auto index = std::from_chars(token.data(), end, entry.index);
  if (index.ec != std::errc() || index.ptr == end || *index.ptr != ':') return {};
  const auto value = ParseNumber({index.ptr + 1, static_cast<size_t>(end - index.ptr - 1)});
  if (!value || entry.index < 1) return {};
  entry.value = *value;
  return entry;
}

// What one pass over a piece of the file found.
struct PieceScan {
  explicit PieceScan(int max_errors) : errors(max_errors) {}
  int64_t rows = 0;
  int64_t lines = 0;
  int64_t largest_index = 0;
  ParseErrors errors;
};

// Calls `store(row, index, value)` for the label, index 0, and every entry of the line. False when
// the line is malformed, which is reported.
template <typename Store>
bool ScanLine(std::string_view line, std::string_view label_text, const TableLimits& limits,
              PieceScan& scan, const Store& store) {
  const auto label = ParseNumber(label_text);
  if (!label) {
    scan.errors.Add(scan.lines, 1,
                    absl::StrCat("the label ", QuoteValue(label_text), " must be a finite number"));
    return false;
  }
  store(scan.rows, 0, *label);
  int64_t previous = 0;
  int64_t column = 2;
  for (std::string_view token = TakeToken(line); !token.empty();
       token = TakeToken(line), ++column) {
    if (token.starts_with("qid:")) continue;
    const Entry entry = ParseEntry(token);
    if (entry.index == 0) {
      scan.errors.Add(scan.lines, column,
                      absl::StrCat("the entry ", QuoteValue(token),
                                   " must be INDEX:NUMBER with an index from 1"));
      return false;
    }
    if (entry.index <= previous || entry.index > limits.max_columns - 1) {
      scan.errors.Add(
          scan.lines, column,
          absl::StrCat("the index in ", QuoteValue(token), " must be above the one before, ",
                       previous, ", and at most ", limits.max_columns - 1));
      return false;
    }
    store(scan.rows, entry.index, entry.value);
    previous = entry.index;
  }
  scan.largest_index = std::max(scan.largest_index, previous);
  return true;
}

template <typename Store>
PieceScan ScanPiece(std::string_view text, const TableLimits& limits, const Store& store) {
  PieceScan scan(limits.max_reported_errors);
  while (!text.empty() && !scan.errors.full()) {
    std::string_view line = TakeLine(text);
    ++scan.lines;
    const std::string_view label = TakeToken(line);
    if (label.empty()) continue;
    scan.rows += ScanLine(line, label, limits, scan, store) ? 1 : 0;
  }
  return scan;
}

// Reads the file twice: once for its size and errors, once for its values.
class LibsvmReader {
 public:
  LibsvmReader(std::string_view text, const TableLimits& limits, int threads)
      : limits_(limits), threads_(threads) {
    while (!text.empty()) {
      const size_t line_end = text.find('\n', std::min<size_t>(kPieceBytes, text.size() - 1));
      const size_t length = std::min(line_end, text.size() - 1) + 1;
      pieces_.push_back(text.substr(0, length));
      text.remove_prefix(length);
    }
  }

  absl::Status Measure() {
    std::vector<PieceScan> scans(pieces_.size(), PieceScan(limits_.max_reported_errors));
    ParallelFor(threads_, static_cast<int64_t>(pieces_.size()), [&](int64_t i) {
      scans[static_cast<size_t>(i)] =
          ScanPiece(pieces_[static_cast<size_t>(i)], limits_, [](int64_t, int64_t, double) {});
    });
    ParseErrors errors(limits_.max_reported_errors);
    int64_t lines = 0;
    for (const PieceScan& scan : scans) {
      first_rows_.push_back(rows_);
      errors.Merge(scan.errors, lines);
      if (scan.errors.full()) break;
      lines += scan.lines;
      rows_ += scan.rows;
      largest_index_ = std::max(largest_index_, scan.largest_index);
    }
    TY_RETURN_IF_ERROR(errors.ToStatus());
    if (rows_ == 0) return InvalidFile("file", "has no rows; a table needs at least one");
    if (rows_ > limits_.max_rows) {
      return InvalidFile("file", absl::StrCat("has ", rows_, " rows; a table must have at most ",
                                              limits_.max_rows));
    }
    return CheckTableSize(rows_, largest_index_ + 1, limits_);
  }

  absl::StatusOr<std::vector<ColumnData>> ReadColumns() {
    std::vector<std::shared_ptr<double[]>> values(static_cast<size_t>(largest_index_) + 1);
    for (std::shared_ptr<double[]>& column : values) {
      column = AllocateColumn<double>(rows_);
      if (column == nullptr) {
        return absl::ResourceExhaustedError(absl::StrCat("no memory for a table of ", rows_,
                                                         " rows and ", values.size(), " columns"));
      }
    }
    ParallelFor(threads_, static_cast<int64_t>(values.size()),
                [&](int64_t c) { std::fill_n(values[static_cast<size_t>(c)].get(), rows_, 0.0); });
    ParallelFor(threads_, static_cast<int64_t>(pieces_.size()), [&](int64_t i) {
      const int64_t first_row = first_rows_[static_cast<size_t>(i)];
      ScanPiece(pieces_[static_cast<size_t>(i)], limits_,
                [&](int64_t row, int64_t index, double value) {
                  values[static_cast<size_t>(index)][first_row + row] = value;
                });
    });
    std::vector<ColumnData> columns;
    for (size_t index = 0; index < values.size(); ++index) {
      ColumnData column;
      column.name = index == 0 ? "target" : absl::StrCat("x", index);
      column.numbers = {values[index].get(), static_cast<size_t>(rows_)};
      column.storage = values[index];
      columns.push_back(std::move(column));
    }
    // The features first, as in other tables.
    std::rotate(columns.begin(), columns.begin() + 1, columns.end());
    return columns;
  }

  int64_t rows() const { return rows_; }

 private:
  const TableLimits& limits_;
  const int threads_;
  std::vector<std::string_view> pieces_;
  std::vector<int64_t> first_rows_;
  int64_t rows_ = 0;
  int64_t largest_index_ = 0;
};

}  // namespace

bool LooksLikeLibsvm(std::string_view text) {
  bool any_entry = false;
  for (int line_number = 0; line_number < kDetectionLines && !text.empty(); ++line_number) {
    std::string_view line = TakeLine(text);
    const std::string_view label = TakeToken(line);
    if (label.empty()) continue;
    if (!ParseNumber(label)) return any_entry;
    for (std::string_view token = TakeToken(line); !token.empty(); token = TakeToken(line)) {
      if (token.starts_with("qid:")) continue;
      // One good entry tells a bad line of this format from a line of another.
      if (ParseEntry(token).index == 0) return any_entry;
      any_entry = true;
    }
  }
  return any_entry;
}

absl::StatusOr<std::shared_ptr<const Table>> ParseLibsvm(std::string_view text,
                                                         const v1::TableReadOptions& options,
                                                         const TableLimits& limits, int threads) {
  LibsvmReader reader(text, limits, threads);
  TY_RETURN_IF_ERROR(reader.Measure());
  TY_ASSIGN_OR_RETURN(std::vector<ColumnData> columns, reader.ReadColumns());
  TY_RETURN_IF_ERROR(ApplyColumnTypes(options, limits, columns));
  v1::TableReadOptions read = options;
  read.set_format(v1::TableReadOptions::FORMAT_LIBSVM);
  return TableOf(std::move(columns), reader.rows(), read, threads);
}

}  // namespace trainyard
