#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/data/column_data.h"
#include "core/data/file_formats.h"
#include "core/data/parse_errors.h"
#include "core/data/value_parsing.h"

namespace trainyard {
namespace {

struct Entry {
  int64_t row;
  int32_t index;  // from 1
  double value;
};

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

// The next token of the line, empty at its end.
std::string_view TakeToken(std::string_view& line) {
  while (!line.empty() && IsBlank(line.front())) line.remove_prefix(1);
  const size_t length =
      static_cast<size_t>(std::find_if(line.begin(), line.end(), IsBlank) - line.begin());
  const std::string_view token = line.substr(0, length);
  line.remove_prefix(length);
  return token;
}

std::string_view TakeLine(std::string_view& text) {
  const size_t length = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, length);
  text.remove_prefix(std::min(length + 1, text.size()));
  return line.substr(0, std::min(line.find('#'), line.size()));
}

class LibsvmReader {
 public:
  LibsvmReader(const TableLimits& limits) : limits_(limits), errors_(limits.max_reported_errors) {}

  absl::Status Read(std::string_view text) {
    for (int64_t line = 1; !text.empty() && !errors_.full(); ++line) ReadLine(TakeLine(text), line);
    TY_RETURN_IF_ERROR(errors_.ToStatus());
    if (labels_.empty()) return InvalidFile("file", "has no rows; a table needs at least one");
    const int64_t cells = static_cast<int64_t>(labels_.size()) * (largest_index_ + 1);
    if (cells * static_cast<int64_t>(sizeof(double)) > limits_.max_uncompressed_bytes) {
      return InvalidFile("file", absl::StrCat("has ", labels_.size(), " rows and ", largest_index_,
                                              " columns, more than ",
                                              limits_.max_uncompressed_bytes, " bytes of table"));
    }
    return absl::OkStatus();
  }

  std::vector<ColumnData> TakeColumns() {
    std::vector<std::shared_ptr<std::vector<double>>> values;
    for (int32_t index = 0; index <= largest_index_; ++index) {
      values.push_back(std::make_shared<std::vector<double>>(labels_.size()));
    }
    *values[0] = labels_;
    for (const Entry& entry : entries_) {
      (*values[static_cast<size_t>(entry.index)])[static_cast<size_t>(entry.row)] = entry.value;
    }
    std::vector<ColumnData> columns;
    for (size_t index = 0; index < values.size(); ++index) {
      ColumnData column;
      column.name = index == 0 ? "target" : absl::StrCat("x", index);
      column.numbers = *values[index];
      column.storage = values[index];
      columns.push_back(std::move(column));
    }
    // The features first, as in other tables.
    std::rotate(columns.begin(), columns.begin() + 1, columns.end());
    return columns;
  }

  int64_t row_count() const { return static_cast<int64_t>(labels_.size()); }

 private:
  void ReadLine(std::string_view line, int64_t number) {
    const std::string_view label_text = TakeToken(line);
    if (label_text.empty()) return;
    const auto label = ParseNumber(label_text);
    if (!label) {
      errors_.Add(number, 1,
                  absl::StrCat("the label ", QuoteValue(label_text), " must be a finite number"));
      return;
    }
    const auto row = static_cast<int64_t>(labels_.size());
    int32_t previous = 0;
    int64_t column = 2;
    for (std::string_view token = TakeToken(line); !token.empty();
         token = TakeToken(line), ++column) {
      if (token.starts_with("qid:")) continue;
      const size_t colon = token.find(':');
      const auto index = ParseNumber(token.substr(0, std::min(colon, token.size())));
      const auto value =
          colon == std::string_view::npos ? std::nullopt : ParseNumber(token.substr(colon + 1));
      if (!index || !value || *index != static_cast<double>(static_cast<int64_t>(*index))) {
        errors_.Add(number, column,
                    absl::StrCat("the entry ", QuoteValue(token), " must be INDEX:NUMBER"));
        return;
      }
      if (*index <= previous || *index > static_cast<double>(limits_.max_columns - 1)) {
        errors_.Add(
            number, column,
            absl::StrCat("the index in ", QuoteValue(token), " must be above the one before, ",
                         previous, ", and at most ", limits_.max_columns - 1));
        return;
      }
      previous = static_cast<int32_t>(*index);
      entries_.push_back({row, previous, *value});
    }
    largest_index_ = std::max(largest_index_, previous);
    labels_.push_back(*label);
  }

  const TableLimits& limits_;
  ParseErrors errors_;
  std::vector<double> labels_;
  std::vector<Entry> entries_;
  int32_t largest_index_ = 0;
};

}  // namespace

bool LooksLikeLibsvm(std::string_view text) {
  std::string_view line = TakeLine(text);
  if (!ParseNumber(TakeToken(line))) return false;
  const std::string_view entry = TakeToken(line);
  const size_t colon = entry.find(':');
  return colon != std::string_view::npos && ParseNumber(entry.substr(0, colon)) &&
         ParseNumber(entry.substr(colon + 1));
}

absl::StatusOr<std::shared_ptr<const Table>> ParseLibsvm(std::string_view text,
                                                         const v1::TableReadOptions& options,
                                                         const TableLimits& limits, int threads) {
  LibsvmReader reader(limits);
  TY_RETURN_IF_ERROR(reader.Read(text));
  v1::TableReadOptions read = options;
  read.set_format(v1::TableReadOptions::FORMAT_LIBSVM);
  return TableOf(reader.TakeColumns(), reader.row_count(), read, threads);
}

}  // namespace trainyard
