#include "core/data/table.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/parallel.h"
#include "core/data/column_data.h"
#include "core/data/parse_errors.h"
#include "core/data/value_parsing.h"

namespace trainyard {
namespace {

class ColumnTable final : public Table {
 public:
  ColumnTable(std::vector<ColumnData> columns, v1::TableSchema schema)
      : columns_(std::move(columns)), schema_(std::move(schema)) {}

  const v1::TableSchema& schema() const override { return schema_; }
  std::span<const double> numbers(int index) const override { return At(index).numbers; }
  std::span<const int32_t> codes(int index) const override { return At(index).codes; }
  std::span<const std::string> levels(int index) const override { return At(index).levels; }

 private:
  const ColumnData& At(int index) const { return columns_[static_cast<size_t>(index)]; }

  const std::vector<ColumnData> columns_;
  const v1::TableSchema schema_;
};

absl::Status CheckColumn(const TableColumn& column, size_t row_count) {
  const bool categorical = column.type == v1::COLUMN_TYPE_CATEGORICAL;
  const size_t size = categorical ? column.codes.size() : column.numbers.size();
  if (size != row_count) {
    return absl::InvalidArgumentError(absl::StrCat("column ", column.name, " has ", size,
                                                   " values, the first column ", row_count));
  }
  for (const int32_t code : column.codes) {
    if (code < -1 || code >= static_cast<int64_t>(column.levels.size())) {
      return absl::InvalidArgumentError(
          absl::StrCat("column ", column.name, " has the code ", code, " without a level"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::optional<int> Table::FindColumn(std::string_view name) const {
  for (int i = 0; i < column_count(); ++i) {
    if (column(i).name() == name) return i;
  }
  return std::nullopt;
}

std::string Table::TextAt(int64_t row, int index) const {
  const v1::ColumnType type = column(index).type();
  if (type == v1::COLUMN_TYPE_CATEGORICAL) {
    const int32_t code = codes(index)[static_cast<size_t>(row)];
    return code < 0 ? "" : levels(index)[static_cast<size_t>(code)];
  }
  const double value = numbers(index)[static_cast<size_t>(row)];
  if (std::isnan(value)) return "";
  if (type == v1::COLUMN_TYPE_BOOLEAN) return value != 0 ? "true" : "false";
  return type == v1::COLUMN_TYPE_DATE ? FormatDate(value) : FormatNumber(value);
}

absl::Status CheckTableSize(int64_t rows, int64_t columns, const TableLimits& limits) {
  if (rows <= limits.max_uncompressed_bytes / static_cast<int64_t>(sizeof(double)) / columns) {
    return absl::OkStatus();
  }
  return InvalidFile("file", absl::StrCat("may have ", rows, " rows and ", columns,
                                          " columns; a table must take at most ",
                                          limits.max_uncompressed_bytes, " bytes in memory"));
}

std::shared_ptr<const Table> TableOf(std::vector<ColumnData> columns, v1::TableSchema schema) {
  return std::make_shared<ColumnTable>(std::move(columns), std::move(schema));
}

std::shared_ptr<const Table> TableOf(std::vector<ColumnData> columns, int64_t row_count,
                                     const v1::TableReadOptions& read_options, int threads) {
  v1::TableSchema schema;
  schema.set_row_count(row_count);
  *schema.mutable_read_options() = read_options;
  for (size_t i = 0; i < columns.size(); ++i) schema.add_columns();
  ParallelFor(threads, static_cast<int64_t>(columns.size()), [&](int64_t i) {
    *schema.mutable_columns(static_cast<int>(i)) = SummariseColumn(columns[static_cast<size_t>(i)]);
  });
  return TableOf(std::move(columns), std::move(schema));
}

absl::StatusOr<std::shared_ptr<const Table>> MakeTable(std::vector<TableColumn> columns) {
  if (columns.empty()) return absl::InvalidArgumentError("a table needs at least one column");
  const bool first_is_categorical = columns[0].type == v1::COLUMN_TYPE_CATEGORICAL;
  const size_t row_count =
      first_is_categorical ? columns[0].codes.size() : columns[0].numbers.size();
  absl::flat_hash_set<std::string> names;
  std::vector<ColumnData> data;
  for (TableColumn& column : columns) {
    if (const absl::Status status = CheckColumn(column, row_count); !status.ok()) return status;
    if (!names.insert(column.name).second) {
      return absl::InvalidArgumentError(absl::StrCat("two columns are named ", column.name));
    }
    const auto owned = std::make_shared<TableColumn>(std::move(column));
    data.push_back({owned->name, owned->type, owned->numbers, owned->codes, owned->levels, owned});
  }
  return TableOf(std::move(data), static_cast<int64_t>(row_count), v1::TableReadOptions(), 1);
}

}  // namespace trainyard
