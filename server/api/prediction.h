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

  // The next lines, about `max_bytes` of them at most but at least one; empty at the end. Errors as
  // Predictor::Predict.
  absl::StatusOr<std::string> Next(size_t max_bytes);
  // Rows whose lines Next has given.
  int64_t rows_given() const { return rows_given_; }

 private:
  absl::Status PredictBlock();

  std::shared_ptr<const Predictor> model_;
  std::shared_ptr<const Table> table_;
  const int threads_;
  const int64_t block_rows_;
  Predictions block_;
  int64_t block_begin_ = 0;  // table row of the block's first
  int64_t block_size_ = 0;
  int64_t rows_given_ = 0;
  bool header_given_ = false;
};

// `row` of `predictions` as a CSV line, appended to `text`.
void AppendCsvRow(const Predictions& predictions, int64_t row, std::string& text);

// `value` as a CSV field: quoted where it holds a comma, a quote or a line break, or begins or ends
// with a space.
std::string CsvField(const std::string& value);

}  // namespace trainyard
