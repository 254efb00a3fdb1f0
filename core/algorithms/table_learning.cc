#include "core/algorithms/table_learning.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace trainyard {
namespace {

constexpr double kLargestTarget = 1e145;  // its square times 2^31 rows is still finite

template <typename T>
std::vector<T> Gather(const std::vector<T>& values, std::span<const int64_t> rows, size_t width) {
  std::vector<T> gathered;
  if (values.empty()) return gathered;
  gathered.reserve(rows.size() * width);
  for (const int64_t row : rows) {
    const auto first = values.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(row) * width);
    gathered.insert(gathered.end(), first, first + static_cast<ptrdiff_t>(width));
  }
  return gathered;
}

std::string NumberText(double value) {
  char buffer[32];
  const std::to_chars_result result = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return std::string(buffer, result.ptr);
}

constexpr size_t kRowsPerCheck = size_t{1} << 16;

// CANCELLED once in a while, when the job is to end.
absl::Status CheckAt(size_t row, TrainingContext& context) {
  return row % kRowsPerCheck == 0 ? context.CheckCancelled() : absl::OkStatus();
}

absl::Status AtColumn(const Table& table, int column, int64_t row, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("column \"", table.column(column).name(), "\", row ", row + 1, ": ", what));
}

absl::Status ReadWeights(const Table& table, int column, std::vector<double>& weights,
                         TrainingContext& context) {
  const std::span<const double> numbers = table.numbers(column);
  weights.assign(numbers.begin(), numbers.end());
  for (size_t row = 0; row < weights.size(); ++row) {
    TY_RETURN_IF_ERROR(CheckAt(row, context));
    if (!std::isfinite(weights[row]) || weights[row] < 0) {
      return AtColumn(table, column, static_cast<int64_t>(row),
                      absl::StrCat("the weight is ", weights[row], "; must be finite and >= 0"));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadValues(const Table& table, std::span<const int> columns,
                        std::vector<double>& values, TrainingContext& context) {
  const size_t rows = static_cast<size_t>(table.row_count());
  values.resize(rows * columns.size());
  for (size_t k = 0; k < columns.size(); ++k) {
    const std::span<const double> numbers = table.numbers(columns[k]);
    for (size_t row = 0; row < rows; ++row) {
      TY_RETURN_IF_ERROR(CheckAt(row, context));
      if (std::abs(numbers[row]) > kLargestTarget) {
        return AtColumn(table, columns[k], static_cast<int64_t>(row),
                        absl::StrCat("the target is ", numbers[row], "; must be within ±1e145"));
      }
      values[row * columns.size() + k] = numbers[row];
    }
  }
  return absl::OkStatus();
}

// Classes are the distinct values that occur in rows with `used[row] != 0`, in order.
absl::Status ReadClasses(const Table& table, int column, const std::vector<uint8_t>& used,
                         LearningTable& result, TrainingContext& context) {
  const bool categorical = table.column(column).type() == v1::COLUMN_TYPE_CATEGORICAL;
  const size_t rows = static_cast<size_t>(table.row_count());
  const auto key_of = [&](size_t row) {
    if (categorical) return static_cast<double>(table.codes(column)[row]);
    return table.numbers(column)[row] + 0.0;  // -0 becomes 0
  };
  std::vector<double> keys;
  for (size_t row = 0; row < rows; ++row) {
    TY_RETURN_IF_ERROR(CheckAt(row, context));
    if (!used[row]) continue;
    const double key = key_of(row);
    const auto at = std::lower_bound(keys.begin(), keys.end(), key);
    if (at != keys.end() && *at == key) continue;
    keys.insert(at, key);
    if (keys.size() > static_cast<size_t>(kMaxClasses)) {
      return absl::InvalidArgumentError(
          absl::StrCat("column \"", table.column(column).name(), "\" has more than ", kMaxClasses,
                       " classes; at most ", kMaxClasses, " are supported"));
    }
  }
  result.classes.assign(rows, -1);
  for (size_t row = 0; row < rows; ++row) {
    TY_RETURN_IF_ERROR(CheckAt(row, context));
    if (!used[row]) continue;
    const auto at = std::lower_bound(keys.begin(), keys.end(), key_of(row));
    result.classes[row] = static_cast<int32_t>(at - keys.begin());
  }
  const bool boolean = table.column(column).type() == v1::COLUMN_TYPE_BOOLEAN;
  for (const double key : keys) {
    if (categorical) {
      result.class_labels.push_back(table.levels(column)[static_cast<size_t>(key)]);
    } else {
      result.class_labels.push_back(boolean ? (key != 0 ? "true" : "false") : NumberText(key));
    }
  }
  return absl::OkStatus();
}

bool IsMissing(const Table& table, int column, size_t row) {
  if (table.column(column).type() == v1::COLUMN_TYPE_CATEGORICAL) {
    return table.codes(column)[row] < 0;
  }
  return std::isnan(table.numbers(column)[row]);
}

// Marks the rows with all targets and a positive weight, and says how many are not among them.
absl::StatusOr<std::vector<uint8_t>> FindUsableRows(const Table& table, LearningTable& result,
                                                    TrainingContext& context) {
  const size_t rows = static_cast<size_t>(table.row_count());
  std::vector<uint8_t> used(rows, 1);
  int64_t without_target = 0;
  int64_t without_weight = 0;
  for (size_t row = 0; row < rows; ++row) {
    TY_RETURN_IF_ERROR(CheckAt(row, context));
    const bool missing = std::any_of(result.columns.targets.begin(), result.columns.targets.end(),
                                     [&](int column) { return IsMissing(table, column, row); });
    const bool weightless = !missing && !result.weights.empty() && result.weights[row] == 0;
    without_target += missing ? 1 : 0;
    without_weight += weightless ? 1 : 0;
    used[row] = !missing && !weightless;
    if (used[row]) result.rows.push_back(static_cast<int64_t>(row));
  }
  if (without_target > 0) {
    context.Log(
        v1::LogLine::SEVERITY_WARNING,
        absl::StrCat(without_target, " of ", rows, " rows have no target and are left out"));
  }
  if (without_weight > 0) {
    context.Log(v1::LogLine::SEVERITY_WARNING,
                absl::StrCat(without_weight, " of ", rows, " rows have weight 0 and are left out"));
  }
  return used;
}

absl::Status CheckTrainingRows(const LearningTable& data) {
  const std::vector<int64_t>& rows = data.split.train;
  if (rows.empty()) return absl::InvalidArgumentError("the split leaves no training rows");
  const size_t width = data.classification() ? 1 : static_cast<size_t>(data.outputs());
  const auto differs = [&](int64_t row) {
    const size_t a = static_cast<size_t>(row) * width;
    const size_t b = static_cast<size_t>(rows.front()) * width;
    if (data.classification()) return data.classes[a] != data.classes[b];
    return !std::equal(data.values.begin() + static_cast<ptrdiff_t>(a),
                       data.values.begin() + static_cast<ptrdiff_t>(a + width),
                       data.values.begin() + static_cast<ptrdiff_t>(b));
  };
  if (std::any_of(rows.begin(), rows.end(), differs)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the target is the same in all ", rows.size(),
                   " training rows; at least two different values are needed"));
}

}  // namespace

int LearningTable::outputs() const {
  return static_cast<int>(classification() ? class_labels.size() : columns.targets.size());
}

std::vector<double> LearningTable::ValuesOf(std::span<const int64_t> of_rows) const {
  return Gather(values, of_rows, columns.targets.size());
}

std::vector<int32_t> LearningTable::ClassesOf(std::span<const int64_t> of_rows) const {
  return Gather(classes, of_rows, 1);
}

std::vector<double> LearningTable::WeightsOf(std::span<const int64_t> of_rows) const {
  return Gather(weights, of_rows, 1);
}

std::vector<int64_t> LearningTable::GroupsOf(std::span<const int64_t> of_rows) const {
  std::vector<int64_t> groups;
  if (!columns.group.has_value()) return groups;
  const bool categorical = table->column(*columns.group).type() == v1::COLUMN_TYPE_CATEGORICAL;
  for (const int64_t row : of_rows) {
    const size_t r = static_cast<size_t>(row);
    if (categorical) {
      groups.push_back(table->codes(*columns.group)[r]);
    } else {
      const double number = table->numbers(*columns.group)[r];
      groups.push_back(std::isnan(number) ? -1 : std::bit_cast<int64_t>(number + 0.0));
    }
  }
  return groups;
}

std::vector<FeatureColumn> FeaturesOf(const Table& table, std::span<const int> columns) {
  std::vector<FeatureColumn> features;
  for (const int column : columns) {
    if (table.column(column).type() == v1::COLUMN_TYPE_CATEGORICAL) {
      features.push_back(FeatureColumn::Categorical(
          table.codes(column), static_cast<int32_t>(table.levels(column).size())));
    } else {
      features.push_back(FeatureColumn::Numeric(table.numbers(column)));
    }
  }
  return features;
}

absl::StatusOr<LearningTable> PrepareLearningTable(std::shared_ptr<const Table> table,
                                                   const TableColumns& columns,
                                                   const v1::SplitOptions& split,
                                                   bool classification, TrainingContext& context) {
  LearningTable result;
  result.table = std::move(table);
  result.columns = columns;
  result.features = FeaturesOf(*result.table, columns.features);
  if (columns.weight.has_value()) {
    TY_RETURN_IF_ERROR(ReadWeights(*result.table, *columns.weight, result.weights, context));
  }
  TY_ASSIGN_OR_RETURN(const std::vector<uint8_t> used,
                      FindUsableRows(*result.table, result, context));
  if (classification) {
    TY_RETURN_IF_ERROR(ReadClasses(*result.table, columns.targets.front(), used, result, context));
  } else {
    TY_RETURN_IF_ERROR(ReadValues(*result.table, columns.targets, result.values, context));
  }
  TY_ASSIGN_OR_RETURN(result.split, SplitRows(*result.table, result.rows, split, result.classes,
                                              [&context] { return context.CheckCancelled(); }));
  TY_RETURN_IF_ERROR(CheckTrainingRows(result));
  return result;
}

v1::TreeModel DescribeModel(const LearningTable& data) {
  v1::TreeModel model;
  for (const int column : data.columns.features) {
    v1::ColumnSchema& schema = *model.add_features();
    schema = data.table->column(column);
    if (schema.type() != v1::COLUMN_TYPE_CATEGORICAL) continue;
    const std::span<const std::string> levels = data.table->levels(column);
    schema.mutable_levels()->Assign(levels.begin(), levels.end());
  }
  for (const int column : data.columns.targets)
    model.add_targets(data.table->column(column).name());
  model.mutable_classes()->Add(data.class_labels.begin(), data.class_labels.end());
  model.set_output(data.classification() ? v1::TreeModel::OUTPUT_PROBABILITIES
                                         : v1::TreeModel::OUTPUT_VALUES);
  return model;
}

void DescribeColumns(const LearningTable& data, v1::ModelManifest& manifest) {
  for (const int column : data.columns.features) {
    *manifest.add_features() = data.table->column(column);
  }
  for (const int column : data.columns.targets) {
    *manifest.add_targets() = data.table->column(column);
  }
}

}  // namespace trainyard
