#include "core/algorithms/quant_bnb/resolve.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/algorithms/table_task.h"
#include "proto/schema/resource_names.h"

namespace trainyard {
namespace {

using Spec = v1::QuantBnbSpec;

// The number that a class label stands for; nullopt where it is not the shortest text of one.
std::optional<double> NumberOfLabel(const std::string& label) {
  double value = 0;
  const char* end = label.data() + label.size();
  const std::from_chars_result read = std::from_chars(label.data(), end, value);
  if (read.ec != std::errc() || read.ptr != end || !std::isfinite(value)) return std::nullopt;
  char buffer[32];
  const std::to_chars_result written = std::to_chars(buffer, buffer + sizeof(buffer), value + 0.0);
  if (std::string_view(buffer, static_cast<size_t>(written.ptr - buffer)) != label) {
    return std::nullopt;
  }
  return value;
}

// Checks the fields after `input` and `task`, which are resolved.
class OptionsChecker {
 public:
  OptionsChecker(const v1::TableSchema& schema, const TableColumns& columns, std::string_view path,
                 const Spec& spec, Violations& violations)
      : schema_(schema), columns_(columns), path_(path), spec_(spec), violations_(violations) {}

  void Run() {
    CheckFeatures();
    CheckCosts();
    CheckDepth();
    CheckLookahead();
    CheckDisabledRules();
    CheckWarmStart();
  }

 private:
  bool classification() const { return spec_.task() == Spec::TASK_CLASSIFICATION; }

  void Add(absl::string_view field, const std::string& description) {
    violations_.Add(absl::StrCat(absl::string_view(path_.data(), path_.size()), ".", field),
                    description);
  }

  void CheckFeatures() {
    int64_t without_target = 0;
    for (const int index : columns_.targets) {
      without_target += schema_.columns(index).missing_count();
    }
    // More missing values than rows that may be left out.
    const bool rejects = spec_.missing_values() == Spec::MISSING_VALUES_REJECT;
    for (const int index : columns_.features) {
      const v1::ColumnSchema& column = schema_.columns(index);
      if (rejects && !columns_.weight.has_value() && column.missing_count() > without_target) {
        Add("missing_values",
            absl::StrCat("is MISSING_VALUES_REJECT, but the column \"", column.name(),
                         "\" lacks values in ", column.missing_count(), " rows"));
      }
      if (column.type() == v1::COLUMN_TYPE_CATEGORICAL &&
          column.distinct_count() > kMaxSplitLevels) {
        Add("input.feature_columns",
            absl::StrCat("has the column \"", column.name(), "\" of ", column.distinct_count(),
                         " categories; at most ", kMaxSplitLevels,
                         " are searched (see ignored_columns)"));
      }
    }
  }

  void CheckCosts() {
    if (spec_.costs_size() == 0) return;
    if (!classification()) {
      Add("costs", absl::StrCat("has ", spec_.costs_size(),
                                " elements; a regression has no costs of classes"));
      return;
    }
    std::set<std::pair<std::string, std::string>> seen;
    for (int i = 0; i < spec_.costs_size(); ++i) {
      const v1::MisclassificationCost& cost = spec_.costs(i);
      const std::string field = absl::StrCat("costs[", i, "]");
      CheckLabel(field + ".actual", cost.actual());
      CheckLabel(field + ".predicted", cost.predicted());
      if (!cost.actual().empty() && cost.actual() == cost.predicted()) {
        Add(field + ".predicted", absl::StrCat("is \"", cost.predicted(),
                                               "\", the class that is right; it costs nothing"));
      }
      if (!seen.emplace(cost.actual(), cost.predicted()).second) {
        Add(field, absl::StrCat("gives the cost of \"", cost.predicted(), "\" where \"",
                                cost.actual(), "\" is true a second time"));
      }
    }
  }

  void CheckLabel(const std::string& field, const std::string& label) {
    if (label.empty() || columns_.targets.size() != 1) return;  // there is a violation already
    const v1::ColumnSchema& target = schema_.columns(columns_.targets.front());
    if (MayBeClass(target, label)) return;
    Add(field, absl::StrCat("is \"", label, "\", which is no class of the target \"", target.name(),
                            "\"", KnownClasses(target)));
  }

  static bool MayBeClass(const v1::ColumnSchema& target, const std::string& label) {
    if (target.type() == v1::COLUMN_TYPE_BOOLEAN) return label == "true" || label == "false";
    if (target.type() == v1::COLUMN_TYPE_CATEGORICAL) {
      return target.levels_size() < target.distinct_count() ||
             std::find(target.levels().begin(), target.levels().end(), label) !=
                 target.levels().end();
    }
    const std::optional<double> number = NumberOfLabel(label);
    return number.has_value() && *number >= target.minimum() && *number <= target.maximum() &&
           (!target.whole_numbers() || *number == std::floor(*number));
  }

  static std::string KnownClasses(const v1::ColumnSchema& target) {
    constexpr int kShown = 20;
    if (target.type() == v1::COLUMN_TYPE_BOOLEAN) return "; must be true or false";
    if (target.type() == v1::COLUMN_TYPE_CATEGORICAL) {
      const int shown = std::min(kShown, target.levels_size());
      return absl::StrCat(
          "; must be one of ",
          absl::StrJoin(target.levels().begin(), target.levels().begin() + shown, ", "),
          shown < target.levels_size() ? ", …" : "");
    }
    return absl::StrCat("; its values are numbers from ", target.minimum(), " to ",
                        target.maximum(), ", written in their shortest form");
  }

  void CheckDepth() {
    const bool pointwise =
        spec_.bound() == Spec::BOUND_UNSPECIFIED || spec_.bound() == Spec::BOUND_POINTWISE;
    if (!pointwise && spec_.depth() > 3) {
      Add("bound", absl::StrCat("is ", Spec::Bound_Name(spec_.bound()), " with depth ",
                                spec_.depth(), "; beyond 3 levels it must be BOUND_POINTWISE"));
    }
    const int64_t values =
        schema_.row_count() * static_cast<int64_t>(std::max<size_t>(columns_.features.size(), 1));
    const bool limited = spec_.limits().time_seconds() > 0 || spec_.limits().evaluations() > 0;
    if (spec_.depth() < 4 || limited || spec_.lookahead().max_depth() > 0) return;
    if (values <= kMaxDepthFourValues) return;
    Add("depth",
        absl::StrCat("is ", spec_.depth(), " for ", schema_.row_count(), " rows and ",
                     columns_.features.size(), " features; with more than ", kMaxDepthFourValues,
                     " values it needs limits.time_seconds or limits.evaluations"));
  }

  void CheckLookahead() {
    const v1::LookaheadOptions& lookahead = spec_.lookahead();
    if (lookahead.max_depth() == 0) {
      if (lookahead.polish_levels() > 0) {
        Add("lookahead.polish_levels",
            absl::StrCat("is ", lookahead.polish_levels(), ", which needs lookahead.max_depth"));
      }
      return;
    }
    if (spec_.depth() > 3) {
      Add("depth", absl::StrCat("is ", spec_.depth(), "; with lookahead it must be <= 3"));
    }
    if (lookahead.max_depth() <= spec_.depth()) {
      Add("lookahead.max_depth",
          absl::StrCat("is ", lookahead.max_depth(), "; must be 0 or more than depth, which is ",
                       spec_.depth()));
    }
    if (!spec_.warm_start().empty()) {
      Add("warm_start", absl::StrCat("is \"", spec_.warm_start(), "\"; lookahead takes none"));
    }
  }

  void CheckDisabledRules() {
    std::set<int> seen;
    for (int i = 0; i < spec_.disabled_rules_size(); ++i) {
      const Spec::PruningRule rule = spec_.disabled_rules(i);
      const std::string field = absl::StrCat("disabled_rules[", i, "]");
      if (rule == Spec::PRUNING_RULE_UNSPECIFIED) {
        Add(field, "is PRUNING_RULE_UNSPECIFIED; must name a rule");
      } else if (!seen.insert(rule).second) {
        Add(field, absl::StrCat("is ", Spec::PruningRule_Name(rule), ", which is given twice"));
      }
    }
  }

  void CheckWarmStart() {
    if (spec_.warm_start().empty()) return;
    const absl::Status status = ModelName::Parse(spec_.warm_start()).status();
    if (!status.ok()) Add("warm_start", std::string(status.message()));
  }

  const v1::TableSchema& schema_;
  const TableColumns& columns_;
  const std::string_view path_;
  const Spec& spec_;
  Violations& violations_;
};

}  // namespace

TableColumns ResolveQuantBnb(const v1::TableSchema& schema, std::string_view path, Spec& spec,
                             Violations& violations) {
  const int before = violations.count();
  const TableColumns columns =
      ResolveTableInput(schema, absl::StrCat(absl::string_view(path.data(), path.size()), ".input"),
                        *spec.mutable_input(), violations);
  const bool targets_known =
      columns.targets.size() == static_cast<size_t>(spec.input().target_columns_size());
  // Nothing can be said about the task while its targets are unknown.
  if (violations.count() > before && (!targets_known || columns.targets.empty())) return columns;
  if (spec.task() == Spec::TASK_UNSPECIFIED) {
    spec.set_task(IsClassificationByDefault(schema, columns) ? Spec::TASK_CLASSIFICATION
                                                             : Spec::TASK_REGRESSION);
  }
  const bool classification = spec.task() == Spec::TASK_CLASSIFICATION;
  CheckTargets(schema, columns, classification, path, violations);
  ResolveSplitMethod(classification, path, *spec.mutable_input(), violations);
  OptionsChecker(schema, columns, path, spec, violations).Run();
  return columns;
}

int64_t EstimateQuantBnbMemory(const Spec& spec, const v1::TableSchema& schema) {
  Violations ignored;
  Spec resolved = spec;
  const TableColumns columns = ResolveQuantBnb(schema, "", resolved, ignored);
  double features = 0;
  for (const int index : columns.features) {
    const v1::ColumnSchema& column = schema.columns(index);
    const bool categorical = column.type() == v1::COLUMN_TYPE_CATEGORICAL;
    features +=
        categorical ? static_cast<double>(std::max<int64_t>(column.distinct_count(), 1)) : 1;
  }
  const double bytes = 40 * static_cast<double>(schema.row_count()) * features + 64e6;
  return static_cast<int64_t>(std::min(bytes, 9e18));
}

}  // namespace trainyard
