#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "core/data/column_data.h"
#include "core/data/distinct_counter.h"

namespace trainyard {
namespace {

constexpr int64_t kMaxDistinct = 100'000;
constexpr size_t kMaxSchemaLevels = 1000;

struct Moments {
  int64_t present = 0;
  double sum = 0;
  double least = std::numeric_limits<double>::infinity();
  double greatest = -std::numeric_limits<double>::infinity();
  bool whole = true;
};

// Without branches, which missing values would mislead.
Moments Measure(std::span<const double> numbers) {
  Moments moments;
  for (const double value : numbers) {
    const bool is_present = !std::isnan(value);
    moments.present += is_present ? 1 : 0;
    moments.sum += is_present ? value : 0;
    moments.least = value < moments.least ? value : moments.least;
    moments.greatest = value > moments.greatest ? value : moments.greatest;
    moments.whole &= !is_present | (std::floor(value) == value);
  }
  return moments;
}

// The mean, also where the sum is beyond the greatest double.
double MeanOf(std::span<const double> numbers, const Moments& moments) {
  const auto count = static_cast<double>(moments.present);
  if (std::isfinite(moments.sum)) return moments.sum / count;
  double mean = 0;
  for (const double value : numbers) mean += std::isnan(value) ? 0 : value / count;
  return mean;
}

void SummariseNumbers(std::span<const double> numbers, v1::ColumnSchema& schema) {
  DistinctCounter distinct(kMaxDistinct);
  distinct.Add(numbers);
  const Moments moments = Measure(numbers);
  schema.set_missing_count(static_cast<int64_t>(numbers.size()) - moments.present);
  schema.set_distinct_count(distinct.count());
  if (moments.present == 0) return;
  schema.set_mean(MeanOf(numbers, moments));
  if (schema.type() == v1::COLUMN_TYPE_BOOLEAN) return;
  schema.set_minimum(moments.least);
  schema.set_maximum(moments.greatest);
  if (schema.type() == v1::COLUMN_TYPE_NUMERIC) schema.set_whole_numbers(moments.whole);
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
  schema.set_distinct_count(std::min(distinct, kMaxDistinct + 1));
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
