#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/data/dense_encoder.h"
#include "proto/schema/violations.h"

namespace trainyard {
namespace {

constexpr double kLargestValue = 1e145;  // its square times 2^31 rows is still finite

// What is learned from, and what is learned.
struct Learning {
  const Table& table;
  std::span<const int64_t> rows;
  std::span<const double> weights;
  const DenseEncoderOptions& options;
  const GoOnCheck& check;
  double total_weight = 0;
  v1::DenseEncoding encoding;
  Violations violations;

  double weight(size_t i) const { return weights.empty() ? 1.0 : weights[i]; }
  size_t row(size_t i) const { return static_cast<size_t>(rows[i]); }

  void AddScale(double offset, double scale) {
    if (!options.standardize) return;
    encoding.add_offset(offset);
    encoding.add_scale(scale);
  }
  // For a number that is 1 in rows of so much weight, else 0.
  void AddShare(double one_weight) {
    const double share = one_weight / total_weight;
    // Not 0 where a share rounds to 0 or 1.
    AddScale(share, std::sqrt(std::max(share * (1 - share), 1e-300)));
  }
};

// The values of one column in the rows.
struct NumberSummary {
  double mean = 0;
  double deviation = 0;  // root of the weighted mean over all rows, missing ones at the mean
  double present_weight = 0;
  double missing_weight = 0;
  size_t missing = 0;
  double least = std::numeric_limits<double>::infinity();
  double greatest = -std::numeric_limits<double>::infinity();
};

absl::Status SummarizeNumbers(const Learning& learning, std::span<const double> numbers,
                              NumberSummary& summary) {
  const size_t count = learning.rows.size();
  TY_RETURN_IF_ERROR(ForEachRow(count, learning.check, [&](size_t i) {
    const double value = numbers[learning.row(i)];
    if (std::isnan(value)) {
      ++summary.missing;
      summary.missing_weight += learning.weight(i);
    } else {
      summary.present_weight += learning.weight(i);
      summary.least = std::min(summary.least, value);
      summary.greatest = std::max(summary.greatest, value);
    }
  }));
  if (summary.missing == count || std::isinf(summary.least) || std::isinf(summary.greatest)) {
    return absl::OkStatus();
  }
  // Relative to one of the values, so that values far from 0 lose no digits.
  double sum = 0;
  TY_RETURN_IF_ERROR(ForEachRow(count, learning.check, [&](size_t i) {
    const double value = numbers[learning.row(i)];
    if (!std::isnan(value)) sum += learning.weight(i) * (value - summary.least);
  }));
  const double mean = summary.least + sum / summary.present_weight;
  summary.mean = std::clamp(mean, summary.least, summary.greatest);
  const double range = summary.greatest - summary.least;
  if (range == 0) return absl::OkStatus();
  double squares = 0;
  TY_RETURN_IF_ERROR(ForEachRow(count, learning.check, [&](size_t i) {
    const double value = numbers[learning.row(i)];
    const double part = std::isnan(value) ? 0.0 : (value - summary.mean) / range;
    squares += learning.weight(i) * part * part;
  }));
  summary.deviation = range * std::sqrt(std::max(squares / learning.total_weight, 1e-300));
  return absl::OkStatus();
}

absl::Status LearnNumbers(int index, Learning& learning) {
  const v1::ColumnSchema& schema = learning.table.column(index);
  NumberSummary summary;
  TY_RETURN_IF_ERROR(SummarizeNumbers(learning, learning.table.numbers(index), summary));
  const bool has_values = summary.missing < learning.rows.size();
  if (has_values && !(summary.least >= -kLargestValue && summary.greatest <= kLargestValue)) {
    learning.violations.Add(
        schema.name(), absl::StrCat("has values from ", summary.least, " to ", summary.greatest,
                                    " in the training rows; must be within ±1e145"));
    return absl::OkStatus();
  }
  const bool value = has_values && summary.least < summary.greatest;
  const bool indicator = learning.options.missing_indicators && summary.missing > 0 && has_values;
  if (!value && !indicator) {
    learning.encoding.add_constant_columns(schema.name());
    return absl::OkStatus();
  }
  v1::DenseEncoding::Column& column = *learning.encoding.add_columns();
  column.set_name(schema.name());
  column.set_type(schema.type());
  column.set_mean(summary.mean);
  column.set_value(value);
  column.set_missing_indicator(indicator);
  if (value) learning.AddScale(summary.mean, summary.deviation);
  if (indicator) learning.AddShare(summary.missing_weight);
  return absl::OkStatus();
}

absl::Status LearnLevels(int index, Learning& learning) {
  const v1::ColumnSchema& schema = learning.table.column(index);
  const std::span<const int32_t> codes = learning.table.codes(index);
  const std::span<const std::string> levels = learning.table.levels(index);
  std::vector<size_t> counts(levels.size());
  std::vector<double> level_weights(levels.size());
  TY_RETURN_IF_ERROR(ForEachRow(learning.rows.size(), learning.check, [&](size_t i) {
    const int32_t code = codes[learning.row(i)];
    if (code < 0) return;
    ++counts[static_cast<size_t>(code)];
    level_weights[static_cast<size_t>(code)] += learning.weight(i);
  }));
  const auto present = std::count_if(counts.begin(), counts.end(), [](size_t n) { return n > 0; });
  if (present > learning.options.max_levels) {
    learning.violations.Add(
        schema.name(),
        absl::StrCat("has ", present, " different values in the training rows; at most ",
                     learning.options.max_levels,
                     " can be encoded: leave the column out, or group its values"));
    return absl::OkStatus();
  }
  const bool same =
      present == 0 || *std::max_element(counts.begin(), counts.end()) == learning.rows.size();
  if (same) {
    learning.encoding.add_constant_columns(schema.name());
    return absl::OkStatus();
  }
  v1::DenseEncoding::Column& column = *learning.encoding.add_columns();
  column.set_name(schema.name());
  column.set_type(schema.type());
  for (size_t code = 0; code < levels.size(); ++code) {
    if (counts[code] == 0) continue;
    column.add_levels(levels[code]);
    learning.AddShare(level_weights[code]);
  }
  return absl::OkStatus();
}

}  // namespace

int64_t LargestDenseWidth(const v1::TableSchema& schema, std::span<const int> columns,
                          const DenseEncoderOptions& options) {
  int64_t width = 0;
  for (const int index : columns) {
    const v1::ColumnSchema& column = schema.columns(index);
    if (column.type() == v1::COLUMN_TYPE_CATEGORICAL) {
      width += std::min<int64_t>(column.distinct_count(), options.max_levels);
    } else {
      width += options.missing_indicators && column.missing_count() > 0 ? 2 : 1;
    }
  }
  return width;
}

absl::StatusOr<DenseEncoder> DenseEncoder::Learn(const Table& table, std::span<const int> columns,
                                                 std::span<const int64_t> rows,
                                                 std::span<const double> weights,
                                                 const DenseEncoderOptions& options,
                                                 const GoOnCheck& check) {
  Learning learning{table, rows, weights, options, check, 0, {}, {}};
  learning.total_weight = weights.empty() ? static_cast<double>(rows.size())
                                          : std::accumulate(weights.begin(), weights.end(), 0.0);
  for (const int column : columns) {
    const bool levels = table.column(column).type() == v1::COLUMN_TYPE_CATEGORICAL;
    TY_RETURN_IF_ERROR(levels ? LearnLevels(column, learning) : LearnNumbers(column, learning));
  }
  TY_RETURN_IF_ERROR(learning.violations.ToStatus());
  if (learning.encoding.columns().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("all ", columns.size(), " feature columns are the same in all ", rows.size(),
                     " training rows; there is nothing to learn from"));
  }
  return DenseEncoder(std::move(learning.encoding));
}

}  // namespace trainyard
