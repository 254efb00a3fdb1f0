#include "core/algorithms/feature_binder.h"

#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "proto/schema/violations.h"

namespace trainyard {
namespace {

// Whether values of a column of type `given` mean the same as those the model learned from.
bool TypesFit(v1::ColumnType learned, v1::ColumnType given) {
  const auto is_number = [](v1::ColumnType type) {
    return type == v1::COLUMN_TYPE_NUMERIC || type == v1::COLUMN_TYPE_BOOLEAN;
  };
  return learned == given || (is_number(learned) && is_number(given));
}

}  // namespace

FeatureBinder::FeatureBinder(const v1::TreeModel& model)
    : features_(model.features().begin(), model.features().end()) {
  level_codes_.resize(features_.size());
  for (size_t f = 0; f < features_.size(); ++f) {
    for (int code = 0; code < features_[f].levels_size(); ++code) {
      level_codes_[f].emplace(features_[f].levels(code), code);
    }
  }
}

absl::StatusOr<BoundFeatures> FeatureBinder::Bind(const Table& table) const {
  BoundFeatures bound;
  bound.codes.resize(features_.size());
  Violations violations;
  for (size_t f = 0; f < features_.size(); ++f) {
    const v1::ColumnSchema& learned = features_[f];
    const std::optional<int> column = table.FindColumn(learned.name());
    if (!column.has_value()) {
      violations.Add(learned.name(), "is not in the table; the model needs this column");
      continue;
    }
    const v1::ColumnSchema& given = table.column(*column);
    if (given.missing_count() >= table.row_count()) {
      BindMissing(learned, table.row_count(), bound, f);
    } else if (!TypesFit(learned.type(), given.type())) {
      violations.Add(learned.name(), absl::StrCat("is of type ", v1::ColumnType_Name(given.type()),
                                                  "; the model learned from ",
                                                  v1::ColumnType_Name(learned.type())));
    } else if (learned.type() == v1::COLUMN_TYPE_CATEGORICAL) {
      BindLevels(table, *column, bound, f);
    } else {
      bound.columns.push_back(FeatureColumn::Numeric(table.numbers(*column)));
    }
  }
  TY_RETURN_IF_ERROR(violations.ToStatus());
  return bound;
}

void FeatureBinder::BindMissing(const v1::ColumnSchema& learned, int64_t rows, BoundFeatures& bound,
                                size_t feature) const {
  if (learned.type() == v1::COLUMN_TYPE_CATEGORICAL) {
    bound.codes[feature].assign(static_cast<size_t>(rows), -1);
    bound.columns.push_back(
        FeatureColumn::Categorical(bound.codes[feature], learned.levels_size()));
    return;
  }
  bound.missing_numbers.resize(static_cast<size_t>(rows), std::numeric_limits<double>::quiet_NaN());
  bound.columns.push_back(FeatureColumn::Numeric(bound.missing_numbers));
}

void FeatureBinder::BindLevels(const Table& table, int column, BoundFeatures& bound,
                               size_t feature) const {
  std::vector<int32_t> learned_code;
  for (const std::string& level : table.levels(column)) {
    const auto found = level_codes_[feature].find(level);
    learned_code.push_back(found == level_codes_[feature].end() ? -1 : found->second);
  }
  for (const int32_t code : table.codes(column)) {
    bound.codes[feature].push_back(code < 0 ? -1 : learned_code[static_cast<size_t>(code)]);
  }
  bound.columns.push_back(
      FeatureColumn::Categorical(bound.codes[feature], features_[feature].levels_size()));
}

}  // namespace trainyard
