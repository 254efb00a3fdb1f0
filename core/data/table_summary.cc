#include <algorithm>
#include <bit>
#include <cmath>

#include "absl/container/flat_hash_set.h"
#include "core/data/column_data.h"

namespace trainyard {
namespace {

constexpr size_t kMaxDistinct = 100'000;
constexpr size_t kMaxSchemaLevels = 1000;

void SummariseNumbers(std::span<const double> numbers, v1::ColumnSchema& schema) {
  absl::flat_hash_set<uint64_t> distinct;
  double sum = 0;
  double least = 0;
  double greatest = 0;
  int64_t present = 0;
  double previous = std::nan("");
  for (const double value : numbers) {
    if (std::isnan(value)) continue;
    least = present == 0 ? value : std::min(least, value);
    greatest = present == 0 ? value : std::max(greatest, value);
    ++present;
    sum += value;
    if (value != previous && distinct.size() <= kMaxDistinct) {
      distinct.insert(std::bit_cast<uint64_t>(value + 0.0));  // -0 counts as 0
    }
    previous = value;
  }
  schema.set_missing_count(static_cast<int64_t>(numbers.size()) - present);
  schema.set_distinct_count(static_cast<int64_t>(distinct.size()));
  if (present == 0) return;
  schema.set_mean(sum / static_cast<double>(present));
  if (schema.type() == v1::COLUMN_TYPE_BOOLEAN) return;
  schema.set_minimum(least);
  schema.set_maximum(greatest);
}

void SummariseCodes(const ColumnData& column, v1::ColumnSchema& schema) {
  std::vector<bool> seen(column.levels.size());
  int64_t missing = 0;
  for (const int32_t code : column.codes) {
    if (code < 0) {
      ++missing;
    } else {
      seen[static_cast<size_t>(code)] = true;
    }
  }
  const int64_t distinct = std::count(seen.begin(), seen.end(), true);
  schema.set_missing_count(missing);
  schema.set_distinct_count(std::min<int64_t>(distinct, kMaxDistinct + 1));
  for (size_t i = 0; i < std::min(column.levels.size(), kMaxSchemaLevels); ++i) {
    schema.add_levels(column.levels[i]);
  }
}

}  // namespace

v1::ColumnSchema SummariseColumn(const ColumnData& column) {
  v1::ColumnSchema schema;
  schema.set_name(column.name);
  schema.set_type(column.type);
  if (column.type == v1::COLUMN_TYPE_CATEGORICAL) {
    SummariseCodes(column, schema);
  } else {
    SummariseNumbers(column.numbers, schema);
  }
  return schema;
}

}  // namespace trainyard
