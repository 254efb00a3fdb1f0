// Columns on their way into a table.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/data/table.h"

namespace trainyard {

// The values of one column and who owns them.
struct ColumnData {
  std::string name;
  v1::ColumnType type = v1::COLUMN_TYPE_NUMERIC;
  std::span<const double> numbers;  // numeric, boolean, date
  std::span<const int32_t> codes;   // categorical
  std::vector<std::string> levels;  // categorical
  std::shared_ptr<const void> storage;
};

// INVALID_ARGUMENT when a table of that size would exceed `limits.max_uncompressed_bytes`.
absl::Status CheckTableSize(int64_t rows, int64_t columns, const TableLimits& limits);

// Fills in the schema of a column: counts, extremes, mean, levels.
v1::ColumnSchema SummariseColumn(const ColumnData& column);

// A table of columns of `row_count` rows each, summarised on `threads` threads.
std::shared_ptr<const Table> TableOf(std::vector<ColumnData> columns, int64_t row_count,
                                     const v1::TableReadOptions& read_options, int threads);

// A table whose schema is known already.
std::shared_ptr<const Table> TableOf(std::vector<ColumnData> columns, v1::TableSchema schema);

}  // namespace trainyard
