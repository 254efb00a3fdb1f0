// Applying a model to a table, a block of rows at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/algorithm.h"
#include "core/data/table.h"

namespace trainyard {

// The predictions for a table as CSV (RFC 4180): a header, then one line per row. Numbers are the
// shortest that read back to the same value; a missing one (NaN) is empty. Not thread-safe.
class TablePrediction {
 public:
  // `model` keeps the predictor. Rows are predicted `block_rows` at a time, which bounds both the
  // memory and the time that a cancellation waits.
  TablePrediction(std::shared_ptr<const Predictor> model, std::shared_ptr<const Table> table,
                  int threads, int64_t block_rows = 65'536);

  // The next bytes, at most `max_bytes`; they end with a line unless one line is longer. Empty at
  // the end. Errors as Predictor::Predict.
  absl::StatusOr<std::string> Next(size_t max_bytes);
  // Rows whose lines Next has given to their end.
  int64_t rows_given() const {
    return rest_.empty() || rows_written_ == 0 ? rows_written_ : rows_written_ - 1;
  }

 private:
  absl::Status PredictBlock();

  std::shared_ptr<const Predictor> model_;
  std::shared_ptr<const Table> table_;
  const int threads_;
  const int64_t block_rows_;
  Predictions block_;
  int64_t block_begin_ = 0;  // table row of the block's first
  int64_t block_size_ = 0;
  int64_t rows_written_ = 0;  // rows whose lines were given or are in `rest_`
  std::string rest_;          // what did not fit of the last line
  bool header_given_ = false;
};

// `row` of `predictions` as a CSV line, appended to `text`.
void AppendCsvRow(const Predictions& predictions, int64_t row, std::string& text);

// `value` as a CSV field: quoted where it holds a comma, a quote or a line break, or begins or ends
// with a space.
std::string CsvField(const std::string& value);

}  // namespace trainyard
