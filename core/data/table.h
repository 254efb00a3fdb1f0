// A table in memory: typed columns, usually mapped from the columnar cache.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/file_system.h"
#include "trainyard/v1/table.pb.h"

namespace trainyard {

// An immutable table. Thread-safe.
class Table {
 public:
  virtual ~Table() = default;

  virtual const v1::TableSchema& schema() const = 0;

  int64_t row_count() const { return schema().row_count(); }
  int column_count() const { return schema().columns_size(); }
  const v1::ColumnSchema& column(int index) const { return schema().columns(index); }

  // Index of the column of that name, or nullopt.
  std::optional<int> FindColumn(std::string_view name) const;

  // Values of a numeric, boolean (0 and 1) or date (seconds since 1970) column; NaN where missing.
  // Must not be called for a categorical column.
  virtual std::span<const double> numbers(int index) const = 0;

  // Level codes of a categorical column, from 0; -1 where missing. Must not be called for others.
  virtual std::span<const int32_t> codes(int index) const = 0;

  // All levels of a categorical column in order of their codes.
  virtual std::span<const std::string> levels(int index) const = 0;

  // The value as text, as a person would write it; empty where missing. Numbers round-trip.
  std::string TextAt(int64_t row, int index) const;
};

// A table from columns in memory; for tests and predictions. Columns have equal length; `schema`
// fields that are computed from values (counts, extremes, mean, levels) are filled in.
struct TableColumn {
  std::string name;
  v1::ColumnType type = v1::COLUMN_TYPE_NUMERIC;
  std::vector<double> numbers;
  std::vector<int32_t> codes;
  std::vector<std::string> levels;
};
absl::StatusOr<std::shared_ptr<const Table>> MakeTable(std::vector<TableColumn> columns);

// Bounds on what a reader accepts; a file that exceeds one is INVALID_ARGUMENT.
struct TableLimits {
  int64_t max_columns = 100'000;
  int64_t max_rows = 2'000'000'000;
  int64_t max_line_bytes = int64_t{64} << 20;
  int64_t max_levels = 1'000'000;                      // of one categorical column
  int64_t max_uncompressed_bytes = int64_t{64} << 30;  // of a gzip's content, and of all columns
  int max_reported_errors = 20;
  // Whether a column of `column_types` that the file does not have is an error.
  bool require_typed_columns = true;
};

// Parses a file (CSV, LIBSVM, .npy, each plain or gzip) into memory, on `threads` threads. Errors:
// INVALID_ARGUMENT with one violation per bad place, field `line L, column C`, at most
// `limits.max_reported_errors`; NOT_FOUND, UNAVAILABLE for the file itself. A LIBSVM label becomes
// the column `target`, its features `x1`, `x2`, …, absent entries 0.
absl::StatusOr<std::shared_ptr<const Table>> ReadTable(const std::filesystem::path& file,
                                                       const v1::TableReadOptions& options,
                                                       const TableLimits& limits, int threads);

// The same for bytes in memory.
absl::StatusOr<std::shared_ptr<const Table>> ParseTable(std::string_view bytes,
                                                        const v1::TableReadOptions& options,
                                                        const TableLimits& limits, int threads);

// Writes the columnar cache of `table`: written to a temporary file beside it, fsynced, renamed.
// Errors are those of the file system; nothing is left then.
absl::Status WriteTableCache(const Table& table, const std::filesystem::path& file,
                             FileSystem& files = FileSystem::Real());

// Maps a columnar cache into memory. DATA_LOSS when it is truncated or its header's checksum is
// wrong; `verify` also checks the checksums of the columns, which reads the whole file.
absl::StatusOr<std::shared_ptr<const Table>> OpenTableCache(const std::filesystem::path& file,
                                                            bool verify = false);

}  // namespace trainyard
