#include "core/data/numeric_columns.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/data/column_memory.h"
#include "core/data/csv_levels.h"
#include "core/data/parse_errors.h"
#include "core/data/value_parsing.h"
#include "proto/schema/violations.h"

namespace trainyard {
namespace {

// What is wrong with the column as a boolean one; empty if nothing is.
std::string CheckBooleans(const ColumnData& column) {
  const auto bad = std::find_if(column.numbers.begin(), column.numbers.end(), [](double value) {
    return !std::isnan(value) && value != 0 && value != 1;
  });
  if (bad == column.numbers.end()) return "";
  return absl::StrCat("the value ", FormatNumber(*bad), " in row ",
                      bad - column.numbers.begin() + 1, " must be 0 or 1");
}

// Replaces the numbers by codes of their texts. Returns what is wrong; empty if nothing is.
absl::StatusOr<std::string> MakeCategorical(const TableLimits& limits, ColumnData& column) {
  const auto rows = static_cast<int64_t>(column.numbers.size());
  const std::shared_ptr<int32_t[]> codes = AllocateColumn<int32_t>(rows);
  if (codes == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", rows, " codes"));
  }
  absl::flat_hash_map<double, int32_t> code_of;
  std::vector<std::string> texts;
  for (int64_t row = 0; row < rows; ++row) {
    const double value = column.numbers[static_cast<size_t>(row)];
    if (std::isnan(value)) {
      codes[row] = -1;
      continue;
    }
    const auto [known, added] = code_of.emplace(value, static_cast<int32_t>(texts.size()));
    if (added) texts.push_back(FormatNumber(value));
    if (static_cast<int64_t>(texts.size()) > limits.max_levels) {
      return absl::StrCat("the column has more than ", limits.max_levels,
                          " different values; a categorical column must have at most that many");
    }
    codes[row] = known->second;
  }
  LevelSet levels(limits.max_levels);
  levels.Add(std::vector<absl::string_view>(texts.begin(), texts.end()));
  std::vector<int32_t> ranks;
  column.levels = levels.TakeSorted(ranks);
  const std::span<int32_t> all(codes.get(), static_cast<size_t>(rows));
  Recode(all, ranks);
  column.type = v1::COLUMN_TYPE_CATEGORICAL;
  column.numbers = {};
  column.codes = all;
  column.storage = codes;
  return "";
}

// Gives one column a type. Returns what is wrong; empty if nothing is.
absl::StatusOr<std::string> Retype(int type, const TableLimits& limits, ColumnData& column) {
  switch (type) {
    case v1::COLUMN_TYPE_NUMERIC:
      column.type = v1::COLUMN_TYPE_NUMERIC;
      return "";
    case v1::COLUMN_TYPE_BOOLEAN: {
      std::string error = CheckBooleans(column);
      if (error.empty()) column.type = v1::COLUMN_TYPE_BOOLEAN;
      return error;
    }
    case v1::COLUMN_TYPE_CATEGORICAL:
      return MakeCategorical(limits, column);
    case v1::COLUMN_TYPE_DATE:
      return "the file holds numbers, which are no dates";
    default:
      return "";
  }
}

}  // namespace

absl::Status ApplyColumnTypes(const v1::TableReadOptions& options, const TableLimits& limits,
                              std::vector<ColumnData>& columns) {
  Violations violations;
  const std::map<std::string, int> types(options.column_types().begin(),
                                         options.column_types().end());
  std::unordered_map<std::string_view, ColumnData*> places;
  for (ColumnData& column : columns) places.emplace(column.name, &column);
  for (const auto& entry : types) {
    const std::string& name = entry.first;
    const std::string field = absl::StrCat("column_types.", name);
    const auto place = places.find(name);
    if (place == places.end()) {
      if (!limits.require_typed_columns) continue;
      violations.Add(field, absl::StrCat("there is no column ", QuoteValue(name)));
      continue;
    }
    const absl::StatusOr<std::string> error = Retype(entry.second, limits, *place->second);
    if (!error.ok()) return error.status();
    if (!error->empty()) violations.Add(field, *error);
  }
  return violations.ToStatus();
}

}  // namespace trainyard
