// Importances of a tree model's features.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "core/algorithms/metrics.h"
#include "core/algorithms/tree_explanations.h"
#include "core/base/status.h"
#include "core/trees/explain/importance.h"

namespace trainyard {
namespace {

using Options = v1::ImportanceOptions;

// Targets and weights of the rows that have both.
struct Targets {
  std::vector<int64_t> rows;
  std::vector<double> values;    // regression: [row][target]
  std::vector<int32_t> classes;  // classification
  std::vector<double> weights;   // empty for 1
};

// A metric by its name in metrics.h, and whether less of it is better.
struct Metric {
  const char* name;
  bool is_loss;
  bool of_classes;
};

Metric MetricOf(Options::Metric metric, bool classification) {
  switch (metric) {
    case Options::METRIC_R2:
      return {"r2", false, false};
    case Options::METRIC_RMSE:
      return {"rmse", true, false};
    case Options::METRIC_ACCURACY:
      return {"accuracy", false, true};
    case Options::METRIC_LOG_LOSS:
      return {"log_loss", true, true};
    case Options::METRIC_AUC:
      return {"auc", false, true};
    default:
      return classification ? Metric{"log_loss", true, true} : Metric{"r2", false, false};
  }
}

// The class label of a row as the model names it; nullopt where missing.
std::optional<std::string> LabelAt(const Table& table, int column, int64_t row) {
  const size_t r = static_cast<size_t>(row);
  const v1::ColumnType type = table.column(column).type();
  if (type == v1::COLUMN_TYPE_CATEGORICAL) {
    const int32_t code = table.codes(column)[r];
    if (code < 0) return std::nullopt;
    return table.levels(column)[static_cast<size_t>(code)];
  }
  const double value = table.numbers(column)[r] + 0.0;  // -0 becomes 0
  if (std::isnan(value)) return std::nullopt;
  if (type == v1::COLUMN_TYPE_BOOLEAN) return value != 0 ? "true" : "false";
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return std::string(buffer, end.ptr);
}

// Columns of the targets, with violations for what is absent or of a wrong type.
std::vector<int> FindTargets(const TreeExplanationJob& job, Violations& violations) {
  const Table& table = *job.request.table;
  std::vector<int> targets;
  for (const std::string& name : job.model.targets) {
    const std::optional<int> column = table.FindColumn(name);
    if (!column.has_value()) {
      violations.Add(name, "is not in the table; permutation importance needs the targets");
    } else if (job.model.classes.empty() &&
               table.column(*column).type() == v1::COLUMN_TYPE_CATEGORICAL) {
      violations.Add(name, "is categorical; the target of a regression must be numeric");
    } else {
      targets.push_back(*column);
    }
  }
  return targets;
}

// Weights of the rows; empty when none are asked for, or with a violation.
std::span<const double> FindWeights(const TreeExplanationJob& job, Violations& violations) {
  const Table& table = *job.request.table;
  const std::string& name = job.request.header.importance().weight_column();
  if (name.empty()) return {};
  const std::optional<int> column = table.FindColumn(name);
  if (column.has_value() && table.column(*column).type() != v1::COLUMN_TYPE_CATEGORICAL) {
    return table.numbers(*column);
  }
  violations.Add("header.importance.weight_column",
                 absl::StrCat("'", name, "' is no numeric column of the table"));
  return {};
}

absl::StatusOr<Targets> ReadTargets(const TreeExplanationJob& job) {
  Violations violations;
  const std::vector<int> columns = FindTargets(job, violations);
  const std::span<const double> weights = FindWeights(job, violations);
  TY_RETURN_IF_ERROR(violations.ToStatus());
  const Table& table = *job.request.table;
  absl::flat_hash_map<std::string, int32_t> class_of;
  for (size_t k = 0; k < job.model.classes.size(); ++k) {
    class_of.emplace(job.model.classes[k], static_cast<int32_t>(k));
  }
  Targets targets;
  for (int64_t row = 0; row < job.rows; ++row) {
    const size_t r = static_cast<size_t>(row);
    const double row_weight = weights.empty() ? 1 : weights[r];
    if (!(row_weight >= 0) || std::isinf(row_weight)) {
      violations.Add("header.importance.weight_column",
                     absl::StrCat("is ", row_weight, " in row ", row + 1,
                                  "; weights must be finite and >= 0"));
      return violations.ToStatus();
    }
    if (row_weight == 0) continue;
    if (class_of.empty()) {
      std::vector<double> values;
      values.reserve(columns.size());
      for (const int column : columns) values.push_back(table.numbers(column)[r]);
      if (std::any_of(values.begin(), values.end(), [](double v) { return !std::isfinite(v); })) {
        continue;
      }
      targets.values.insert(targets.values.end(), values.begin(), values.end());
    } else {
      const std::optional<std::string> label = LabelAt(table, columns[0], row);
      if (!label.has_value()) continue;
      const auto found = class_of.find(*label);
      if (found == class_of.end()) {
        violations.Add(job.model.targets[0], absl::StrCat("is '", *label, "' in row ", row + 1,
                                                          ", which is no class of the model"));
        return violations.ToStatus();
      }
      targets.classes.push_back(found->second);
    }
    targets.rows.push_back(row);
    if (!weights.empty()) targets.weights.push_back(row_weight);
  }
  if (targets.rows.empty()) {
    violations.Add("header.dataset", "has no row with a target and a positive weight");
    return violations.ToStatus();
  }
  return targets;
}

// Columns of some rows alone; the columns themselves where these are the first ones.
class RowSelection {
 public:
  RowSelection(std::span<const FeatureColumn> columns, std::span<const int64_t> rows)
      : columns_(columns.begin(), columns.end()) {
    if (rows.back() + 1 == static_cast<int64_t>(rows.size())) return;
    numbers_.resize(columns.size());
    codes_.resize(columns.size());
    for (size_t j = 0; j < columns.size(); ++j) {
      for (const int64_t row : rows) {
        const size_t r = static_cast<size_t>(row);
        if (columns[j].categorical) {
          codes_[j].push_back(columns[j].codes[r]);
        } else {
          numbers_[j].push_back(columns[j].numbers[r]);
        }
      }
      columns_[j] = columns[j].categorical
                        ? FeatureColumn::Categorical(codes_[j], columns[j].level_count)
                        : FeatureColumn::Numeric(numbers_[j]);
    }
  }
  std::span<const FeatureColumn> columns() const { return columns_; }

 private:
  std::vector<FeatureColumn> columns_;
  std::vector<std::vector<double>> numbers_;
  std::vector<std::vector<int32_t>> codes_;
};

class ImportanceExplanation final : public Explanation {
 public:
  ImportanceExplanation(std::unique_ptr<TreeExplanationJob> job, std::optional<Targets> targets)
      : job_(std::move(job)), targets_(std::move(targets)) {}

  absl::StatusOr<bool> Next(v1::ExplainResponse& message) override {
    if (info_.empty()) info_ = job_->Info({});
    if (next_info_ < info_.size()) {
      message = std::move(info_[next_info_++]);
      return true;
    }
    if (!computed_) TY_RETURN_IF_ERROR(Compute());
    computed_ = true;
    const size_t features = importances_.size();
    if (next_feature_ == features) return false;
    const size_t count = std::min(features - next_feature_, kMaxMessageNumbers / 2);
    v1::ImportanceBlock& block = *message.mutable_importance();
    block.set_first_feature(static_cast<int64_t>(next_feature_));
    for (size_t j = next_feature_; j < next_feature_ + count; ++j) {
      block.add_importances(importances_[j]);
      if (targets_.has_value()) block.add_deviations(deviations_[j]);
    }
    block.set_quality(quality_);
    next_feature_ += count;
    return true;
  }

 private:
  absl::Status Compute() {
    if (!targets_.has_value()) {
      importances_ = job_->model.impurity_importance;
      return absl::OkStatus();
    }
    const Options& options = job_->request.header.importance();
    const TreePredictor& predictor = *job_->model.predictor;
    const RowSelection selection(job_->table.columns, targets_->rows);
    // Predictions take the place of scores: metrics are those of predictions.
    const int width = predictor.prediction_count();
    const ScoreFunction score = [&](std::span<const FeatureColumn> columns, int64_t begin,
                                    std::span<double> scores) {
      constexpr size_t kChunk = 8192;
      const size_t chunk = kChunk * static_cast<size_t>(width);
      for (size_t first = 0; first < scores.size(); first += chunk) {
        if (job_->stop.Ask()) return;
        predictor.Predict(columns, begin + static_cast<int64_t>(first / static_cast<size_t>(width)),
                          scores.subspan(first, std::min(chunk, scores.size() - first)));
      }
    };
    const Metric metric = MetricOf(options.metric(), metric_of_classes());
    const QualityFunction quality = [&](std::span<const double> predictions) {
      // Without a check it cannot be interrupted, which is the only way to fail.
      const absl::StatusOr<std::map<std::string, double>> all =
          metric_of_classes()
              ? ClassificationMetrics(predictions, targets_->classes, targets_->weights, width)
              : RegressionMetrics(predictions, targets_->values, targets_->weights, width);
      if (!all.ok()) return std::nan("");
      const auto found = all->find(metric.name);
      if (found == all->end()) return std::nan("");
      return metric.is_loss ? -found->second : found->second;
    };
    TY_ASSIGN_OR_RETURN(const PermutationImportance result,
                        PermuteFeatures(selection.columns(),
                                        {.rows = static_cast<int64_t>(targets_->rows.size()),
                                         .outputs = width,
                                         .repeats = options.repeats(),
                                         .seed = static_cast<uint64_t>(options.seed())},
                                        score, quality, job_->pool, job_->stop));
    if (std::isnan(result.quality)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the table's rows do not determine ", metric.name, ": its targets hold one value only"));
    }
    importances_ = result.mean;
    deviations_ = result.deviation;
    quality_ = result.quality;
    return absl::OkStatus();
  }

  bool metric_of_classes() const { return !job_->model.classes.empty(); }

  const std::unique_ptr<TreeExplanationJob> job_;
  const std::optional<Targets> targets_;  // of a permutation
  bool computed_ = false;
  std::vector<double> importances_;
  std::vector<double> deviations_;
  double quality_ = 0;
  std::vector<v1::ExplainResponse> info_;
  size_t next_info_ = 0;
  size_t next_feature_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Explanation>> MakeImportanceExplanation(
    std::unique_ptr<TreeExplanationJob> job) {
  const Options& options = job->request.header.importance();
  const bool permutation = options.kind() == Options::KIND_PERMUTATION;
  const bool classification = !job->model.classes.empty();
  Violations violations;
  if (!permutation && options.metric() != Options::METRIC_UNSPECIFIED) {
    violations.Add("header.importance.metric", "must not be given for KIND_IMPURITY");
  }
  if (!permutation && !options.weight_column().empty()) {
    violations.Add("header.importance.weight_column", "must not be given for KIND_IMPURITY");
  }
  if (MetricOf(options.metric(), classification).of_classes != classification) {
    violations.Add("header.importance.metric",
                   absl::StrCat(Options::Metric_Name(options.metric()), " is not for ",
                                classification ? "classification" : "regression"));
  }
  TY_RETURN_IF_ERROR(violations.ToStatus());
  std::optional<Targets> targets;
  if (permutation) {
    TY_ASSIGN_OR_RETURN(targets, ReadTargets(*job));
  }
  return std::make_unique<ImportanceExplanation>(std::move(job), std::move(targets));
}

}  // namespace trainyard
