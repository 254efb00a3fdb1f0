#include "core/algorithms/table_input.h"

#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"

namespace trainyard {
namespace {

// One pass over a TableInput against a schema.
class Resolver {
 public:
  Resolver(const v1::TableSchema& schema, std::string_view path, v1::TableInput& input,
           Violations& violations)
      : schema_(schema), path_(path), input_(input), violations_(violations) {
    for (int i = 0; i < schema.columns_size(); ++i) index_.emplace(schema.columns(i).name(), i);
  }

  TableColumns Run() {
    if (schema_.columns_size() == 0 || schema_.row_count() == 0) {
      Add("dataset", absl::StrCat("has ", schema_.row_count(), " rows and ", schema_.columns_size(),
                                  " columns; at least one of each is needed"));
      return {};
    }
    ResolveTargets();
    ResolveWeight();
    ResolveSplit();
    ResolveFeatures();
    return columns_;
  }

 private:
  void Add(absl::string_view field, absl::string_view description) {
    violations_.Add(absl::StrCat(path_, ".", field),
                    std::string_view(description.data(), description.size()));
  }

  // The column, or nullopt and a violation of `field`.
  std::optional<int> Find(absl::string_view field, const std::string& name) {
    const auto found = index_.find(name);
    if (found != index_.end()) return found->second;
    Add(field, absl::StrCat("names the column \"", name, "\", which the data set does not have"));
    return std::nullopt;
  }

  // Notes the use of a column; a second use is a violation.
  bool Claim(absl::string_view field, int column, absl::string_view use) {
    const auto [entry, fresh] = use_.emplace(column, use);
    if (!fresh) {
      Add(field, absl::StrCat("names the column \"", schema_.columns(column).name(),
                              "\", which is already used as ", entry->second));
    }
    return fresh;
  }

  void ResolveTargets() {
    if (input_.target_columns_size() == 0) {
      const bool has_target = index_.contains("target");
      input_.add_target_columns(has_target ? std::string("target")
                                           : schema_.columns(schema_.columns_size() - 1).name());
    }
    for (const std::string& name : input_.target_columns()) {
      const std::optional<int> column = Find("target_columns", name);
      if (!column.has_value() || !Claim("target_columns", *column, "a target")) continue;
      columns_.targets.push_back(*column);
      CheckTarget(schema_.columns(*column));
    }
  }

  void CheckTarget(const v1::ColumnSchema& column) {
    if (column.missing_count() >= schema_.row_count()) {
      Add("target_columns",
          absl::StrCat("names the column \"", column.name(), "\", whose values are all missing"));
    } else if (column.distinct_count() <= 1) {
      Add("target_columns",
          absl::StrCat("names the column \"", column.name(),
                       "\", which is constant; a target has at least two values"));
    }
    if (column.type() == v1::COLUMN_TYPE_DATE) {
      Add("target_columns",
          absl::StrCat("names the column \"", column.name(),
                       "\" of dates; a target is a number, a category or a boolean"));
    }
  }

  void ResolveWeight() {
    if (input_.weight_column().empty()) return;
    const std::optional<int> index = Find("weight_column", input_.weight_column());
    if (!index.has_value() || !Claim("weight_column", *index, "the row weight")) return;
    columns_.weight = index;
    const v1::ColumnSchema& column = schema_.columns(*index);
    const std::string named = absl::StrCat("names the column \"", column.name(), "\", which ");
    if (column.type() != v1::COLUMN_TYPE_NUMERIC && column.type() != v1::COLUMN_TYPE_BOOLEAN) {
      Add("weight_column", absl::StrCat(named, "is not numeric"));
      return;
    }
    if (column.missing_count() > 0) {
      Add("weight_column", absl::StrCat(named, "lacks values in ", column.missing_count(),
                                        " rows; every row needs a weight"));
    }
    if (column.has_minimum() && column.minimum() < 0) {
      Add("weight_column",
          absl::StrCat(named, "holds ", column.minimum(), "; weights must be >= 0"));
    }
    if (column.has_maximum() && column.maximum() <= 0 && column.minimum() >= 0) {
      Add("weight_column", absl::StrCat(named, "is 0 in every row; some weight must be > 0"));
    }
  }

  void ResolveSplit() {
    const v1::SplitOptions& split = input_.split();
    if (split.validation_fraction() + split.test_fraction() >= 1) {
      Add("split.test_fraction",
          absl::StrCat("is ", split.test_fraction(), ", with validation_fraction ",
                       split.validation_fraction(), "; their sum must be < 1"));
    }
    if (!split.group_column().empty()) {
      columns_.group = Find("split.group_column", split.group_column());
      if (columns_.group) Claim("split.group_column", *columns_.group, "the group column");
    } else if (split.method() == v1::SplitOptions::METHOD_GROUPED) {
      Add("split.group_column", "is empty; METHOD_GROUPED needs it");
    }
    if (!split.time_column().empty()) {
      columns_.time = Find("split.time_column", split.time_column());
      if (!columns_.time || !Claim("split.time_column", *columns_.time, "the time column")) return;
      if (schema_.columns(*columns_.time).type() == v1::COLUMN_TYPE_CATEGORICAL) {
        Add("split.time_column", absl::StrCat("names the column \"", split.time_column(),
                                              "\" of categories; it must be numeric or a date"));
      }
    } else if (split.method() == v1::SplitOptions::METHOD_TIME) {
      Add("split.time_column", "is empty; METHOD_TIME needs it");
    }
  }

  void ResolveFeatures() {
    if (input_.feature_columns_size() > 0) {
      if (input_.ignored_columns_size() > 0) {
        Add("ignored_columns", "is given together with feature_columns; give one of them");
      }
      for (const std::string& name : input_.feature_columns()) {
        const std::optional<int> column = Find("feature_columns", name);
        if (column && Claim("feature_columns", *column, "a feature")) {
          columns_.features.push_back(*column);
        }
      }
      return;
    }
    absl::flat_hash_set<int> ignored;
    for (const std::string& name : input_.ignored_columns()) {
      if (const std::optional<int> column = Find("ignored_columns", name)) ignored.insert(*column);
    }
    for (int i = 0; i < schema_.columns_size(); ++i) {
      if (!use_.contains(i) && !ignored.contains(i)) columns_.features.push_back(i);
    }
    if (columns_.features.empty()) {
      Add("feature_columns", "leaves no column to predict from");
      return;
    }
    if (columns_.features.size() > static_cast<size_t>(kMaxListedFeatures)) return;
    input_.clear_ignored_columns();
    for (const int i : columns_.features) input_.add_feature_columns(schema_.columns(i).name());
  }

  const v1::TableSchema& schema_;
  const std::string path_;
  v1::TableInput& input_;
  Violations& violations_;
  absl::flat_hash_map<std::string, int> index_;
  absl::flat_hash_map<int, std::string> use_;
  TableColumns columns_;
};

}  // namespace

TableColumns ResolveTableInput(const v1::TableSchema& schema, std::string_view path,
                               v1::TableInput& input, Violations& violations) {
  return Resolver(schema, path, input, violations).Run();
}

}  // namespace trainyard
