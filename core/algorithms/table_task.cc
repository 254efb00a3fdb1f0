#include "core/algorithms/table_task.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/algorithms/table_learning.h"

namespace trainyard {
namespace {

constexpr int64_t kMaxWholeClasses = 20;

bool IsWhole(double value) { return std::isfinite(value) && value == std::floor(value); }

void AddTo(Violations& violations, std::string_view path, absl::string_view field,
           const std::string& description) {
  violations.Add(absl::StrCat(absl::string_view(path.data(), path.size()), ".", field),
                 description);
}

}  // namespace

bool LooksLikeClasses(const v1::ColumnSchema& column) {
  if (column.type() != v1::COLUMN_TYPE_NUMERIC) return false;
  if (column.distinct_count() < 1 || column.distinct_count() > kMaxWholeClasses) return false;
  if (!IsWhole(column.minimum()) || !IsWhole(column.maximum())) return false;
  if (column.has_whole_numbers()) return column.whole_numbers();
  return column.distinct_count() <= 2;  // the least and the greatest value are all there are
}

bool IsClassificationByDefault(const v1::TableSchema& schema, const TableColumns& columns) {
  if (columns.targets.size() != 1) return false;
  const v1::ColumnSchema& target = schema.columns(columns.targets.front());
  return target.type() == v1::COLUMN_TYPE_CATEGORICAL || target.type() == v1::COLUMN_TYPE_BOOLEAN ||
         LooksLikeClasses(target);
}

void CheckTargets(const v1::TableSchema& schema, const TableColumns& columns, bool classification,
                  std::string_view path, Violations& violations) {
  constexpr char kField[] = "input.target_columns";
  if (classification && columns.targets.size() > 1) {
    AddTo(violations, path, kField,
          absl::StrCat("names ", columns.targets.size(),
                       " columns; a classification has one target"));
  }
  for (const int index : columns.targets) {
    const v1::ColumnSchema& target = schema.columns(index);
    if (classification && target.distinct_count() > kMaxClasses) {
      AddTo(
          violations, path, kField,
          absl::StrCat("names the column \"", target.name(), "\" with ", target.distinct_count(),
                       " distinct values; a classification has at most ", kMaxClasses, " classes"));
    }
    if (!classification && target.type() == v1::COLUMN_TYPE_CATEGORICAL) {
      AddTo(violations, path, kField,
            absl::StrCat("names the column \"", target.name(),
                         "\" of categories; a regression needs numbers"));
    }
  }
}

void ResolveSplitMethod(bool classification, std::string_view path, v1::TableInput& input,
                        Violations& violations) {
  v1::SplitOptions& split = *input.mutable_split();
  if (split.method() == v1::SplitOptions::METHOD_UNSPECIFIED) {
    split.set_method(classification ? v1::SplitOptions::METHOD_STRATIFIED
                                    : v1::SplitOptions::METHOD_RANDOM);
  }
  if (split.method() == v1::SplitOptions::METHOD_STRATIFIED && !classification) {
    AddTo(violations, path, "input.split.method",
          "is METHOD_STRATIFIED, which needs classes; the task is TASK_REGRESSION");
  }
}

int OutputCount(const v1::TableSchema& schema, const TableColumns& columns, bool classification) {
  if (!classification || columns.targets.empty()) {
    return static_cast<int>(std::max<size_t>(columns.targets.size(), 1));
  }
  const int64_t classes = schema.columns(columns.targets.front()).distinct_count();
  return static_cast<int>(std::clamp<int64_t>(classes, 2, kMaxClasses));
}

}  // namespace trainyard
