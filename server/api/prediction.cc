#include "server/api/prediction.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace trainyard {
namespace {

// Rows [begin, begin + count) of another table. Its schema is the whole table's but for the numbers
// of rows and of missing values: a column has no values here only where the whole table has none,
// so that every block is read by the same types.
class RowBlock final : public Table {
 public:
  RowBlock(std::shared_ptr<const Table> table, int64_t begin, int64_t count)
      : table_(std::move(table)),
        begin_(static_cast<size_t>(begin)),
        count_(static_cast<size_t>(count)),
        schema_(table_->schema()) {
    const int64_t rows = schema_.row_count();
    schema_.set_row_count(count);
    for (v1::ColumnSchema& column : *schema_.mutable_columns()) {
      const int64_t missing = column.missing_count();
      column.set_missing_count(missing >= rows ? count : std::min(missing, count - 1));
    }
  }

  const v1::TableSchema& schema() const override { return schema_; }
  std::span<const double> numbers(int index) const override {
    return table_->numbers(index).subspan(begin_, count_);
  }
  std::span<const int32_t> codes(int index) const override {
    return table_->codes(index).subspan(begin_, count_);
  }
  std::span<const std::string> levels(int index) const override { return table_->levels(index); }

 private:
  const std::shared_ptr<const Table> table_;
  const size_t begin_;
  const size_t count_;
  v1::TableSchema schema_;
};

void AppendNumber(double value, std::string& text) {
  if (std::isnan(value)) return;
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof(buffer), value);
  text.append(buffer, result.ptr);
}

std::string Header(const Predictions& predictions) {
  std::string text;
  for (const Predictions::Column& column : predictions.columns) {
    absl::StrAppend(&text, text.empty() ? "" : ",", CsvField(column.name));
  }
  return text + "\n";
}

int64_t RowCount(const Predictions& predictions) {
  if (predictions.columns.empty()) return 0;
  const Predictions::Column& first = predictions.columns.front();
  return static_cast<int64_t>(std::max(first.numbers.size(), first.texts.size()));
}

}  // namespace

std::string CsvField(const std::string& value) {
  const bool quoted = value.find_first_of(",\"\r\n") != std::string::npos ||
                      (!value.empty() && (value.front() == ' ' || value.back() == ' '));
  if (!quoted) return value;
  return absl::StrCat("\"", absl::StrReplaceAll(value, {{"\"", "\"\""}}), "\"");
}

void AppendCsvRow(const Predictions& predictions, int64_t row, std::string& text) {
  bool first = true;
  for (const Predictions::Column& column : predictions.columns) {
    if (!first) text += ',';
    first = false;
    const auto index = static_cast<size_t>(row);
    if (column.texts.empty()) {
      AppendNumber(column.numbers[index], text);
    } else {
      text += CsvField(column.texts[index]);
    }
  }
  text += "\n";
}

TablePrediction::TablePrediction(std::shared_ptr<const Predictor> model,
                                 std::shared_ptr<const Table> table, int threads,
                                 int64_t block_rows)
    : model_(std::move(model)),
      table_(std::move(table)),
      threads_(threads),
      block_rows_(block_rows) {}

absl::Status TablePrediction::PredictBlock() {
  const int64_t begin = block_begin_ + block_size_;
  const int64_t size = std::min(block_rows_, table_->row_count() - begin);
  auto predictions = model_->Predict(RowBlock(table_, begin, size), threads_);
  if (!predictions.ok()) return predictions.status();
  if (RowCount(*predictions) != size) {
    return absl::InternalError(
        absl::StrCat("the model answered ", RowCount(*predictions), " rows for ", size));
  }
  block_ = *std::move(predictions);
  block_begin_ = begin;
  block_size_ = size;
  return absl::OkStatus();
}

absl::StatusOr<std::string> TablePrediction::Next(size_t max_bytes) {
  std::string text = std::exchange(rest_, {});
  const bool has_rows = rows_written_ < table_->row_count();
  const bool block_ended = rows_written_ == block_begin_ + block_size_;
  if (text.empty() && block_ended && (has_rows || !header_given_)) {
    if (absl::Status status = PredictBlock(); !status.ok()) return status;
  }
  if (!header_given_) text = Header(block_);
  header_given_ = true;
  const int64_t block_end = block_begin_ + block_size_;
  while (rows_written_ < block_end && text.size() < max_bytes) {
    const size_t line = text.size();
    AppendCsvRow(block_, rows_written_ - block_begin_, text);
    ++rows_written_;
    if (text.size() > max_bytes && line > 0) {
      rest_ = text.substr(line);
      text.resize(line);
      return text;
    }
  }
  if (text.size() > max_bytes) {
    rest_ = text.substr(max_bytes);
    text.resize(max_bytes);
  }
  return text;
}

}  // namespace trainyard
