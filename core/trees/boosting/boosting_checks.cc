#include "core/trees/boosting/boosting_checks.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace trainyard {
namespace {

absl::Status OutOfRange(const char* field, double value, const char* rule) {
  return absl::InvalidArgumentError(absl::StrCat(field, " is ", value, "; it must be ", rule));
}

absl::Status CheckRows(std::span<const uint32_t> rows, const char* name, int64_t row_count) {
  std::vector<bool> seen(static_cast<size_t>(row_count));
  for (const uint32_t row : rows) {
    if (row >= row_count) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " hold the row ", row, " of ", row_count));
    }
    if (seen[row]) return absl::InvalidArgumentError(absl::StrCat(name, " repeat the row ", row));
    seen[row] = true;
  }
  return absl::OkStatus();
}

absl::Status CheckDirections(const BoostingData& data, const v1::BoostingOptions& options) {
  if (data.directions.empty()) return absl::OkStatus();
  if (data.directions.size() != static_cast<size_t>(data.features.feature_count())) {
    return absl::InvalidArgumentError(absl::StrCat(data.directions.size(),
                                                   " monotone directions for ",
                                                   data.features.feature_count(), " features"));
  }
  const bool softmax = options.loss() == v1::BoostingOptions::LOSS_SOFTMAX ||
                       (options.loss() == v1::BoostingOptions::LOSS_UNSPECIFIED &&
                        data.target.classification() && data.target.outputs > 2);
  for (int f = 0; f < data.features.feature_count(); ++f) {
    const int direction = data.directions[static_cast<size_t>(f)];
    if (direction == 0) continue;
    if (direction != 1 && direction != -1) {
      return absl::InvalidArgumentError(absl::StrCat("the monotone direction of feature ", f,
                                                     " is ", direction, "; it must be -1, 0 or 1"));
    }
    if (data.features.categorical(f)) {
      return absl::InvalidArgumentError(
          absl::StrCat("feature ", f, " is categorical; monotone constraints need numbers"));
    }
    if (softmax) {
      return absl::InvalidArgumentError("monotone constraints are not possible with LOSS_SOFTMAX");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckBoostingOptions(const v1::BoostingOptions& options) {
  if (options.rounds() < 1) return OutOfRange("rounds", options.rounds(), ">= 1");
  const double rate = options.learning_rate();
  if (!(rate > 0 && rate <= 1)) return OutOfRange("learning_rate", rate, "> 0 and <= 1");
  if (options.max_leaves() < 1) return OutOfRange("max_leaves", options.max_leaves(), ">= 1");
  if (options.max_depth() < 0) return OutOfRange("max_depth", options.max_depth(), ">= 0");
  if (options.min_samples_leaf() < 1) {
    return OutOfRange("min_samples_leaf", options.min_samples_leaf(), ">= 1");
  }
  if (!(options.min_child_weight() >= 0)) {
    return OutOfRange("min_child_weight", options.min_child_weight(), ">= 0");
  }
  if (!(options.l2() >= 0 && std::isfinite(options.l2()))) {
    return OutOfRange("l2", options.l2(), ">= 0 and finite");
  }
  const double sample = options.subsample();
  if (!(sample > 0 && sample <= 1)) return OutOfRange("subsample", sample, "> 0 and <= 1");
  const double fraction = options.feature_fraction();
  if (!(fraction > 0 && fraction <= 1)) {
    return OutOfRange("feature_fraction", fraction, "> 0 and <= 1");
  }
  if (options.early_stopping_rounds() < 0) {
    return OutOfRange("early_stopping_rounds", options.early_stopping_rounds(), ">= 0");
  }
  const double tolerance = options.early_stopping_tolerance();
  if (!(tolerance >= 0 && tolerance < 1)) {
    return OutOfRange("early_stopping_tolerance", tolerance, ">= 0 and < 1");
  }
  const double level = options.quantile_level();
  if (options.loss() == v1::BoostingOptions::LOSS_QUANTILE && !(level > 0 && level < 1)) {
    return OutOfRange("quantile_level", level, "> 0 and < 1");
  }
  if (options.loss() == v1::BoostingOptions::LOSS_HUBER) {
    const double delta = options.huber_delta();
    if (options.has_huber_delta() && !(delta > 0 && std::isfinite(delta))) {
      return OutOfRange("huber_delta", delta, "> 0 and finite");
    }
    const double quantile = options.huber_quantile();
    if (!options.has_huber_delta() && !(quantile > 0 && quantile < 1)) {
      return OutOfRange("huber_quantile", quantile, "> 0 and < 1");
    }
  }
  if (!(options.category_smoothing() >= 0)) {
    return OutOfRange("category_smoothing", options.category_smoothing(), ">= 0");
  }
  return absl::OkStatus();
}

absl::Status CheckBoostingData(const BoostingData& data, const v1::BoostingOptions& options) {
  const int64_t row_count = data.features.row_count();
  if (data.features.feature_count() == 0) {
    return absl::InvalidArgumentError("there is no feature to boost on");
  }
  TY_RETURN_IF_ERROR(CheckRows(data.rows, "the training rows", row_count));
  TY_RETURN_IF_ERROR(CheckRows(data.validation_rows, "the validation rows", row_count));
  const size_t targets =
      data.target.classification() ? data.target.classes.size() : data.target.values.size();
  if (targets != static_cast<size_t>(row_count)) {
    return absl::InvalidArgumentError(
        absl::StrCat(targets, " target values for ", row_count, " rows"));
  }
  if (!data.weights.empty() && data.weights.size() != static_cast<size_t>(row_count)) {
    return absl::InvalidArgumentError(
        absl::StrCat(data.weights.size(), " weights for ", row_count, " rows"));
  }
  for (const double weight : data.weights) {
    if (!(weight >= 0 && weight <= 1e145)) {
      return OutOfRange("a row's weight", weight, ">= 0 and within 1e145");
    }
  }
  const auto positive = [&](uint32_t row) { return data.weights.empty() || data.weights[row] > 0; };
  if (std::none_of(data.rows.begin(), data.rows.end(), positive)) {
    return absl::InvalidArgumentError("no training row has a positive weight");
  }
  if (options.early_stopping_rounds() > 0 &&
      std::none_of(data.validation_rows.begin(), data.validation_rows.end(), positive)) {
    return absl::InvalidArgumentError(
        absl::StrCat("early_stopping_rounds is ", options.early_stopping_rounds(),
                     "; it needs validation rows of positive weight"));
  }
  return CheckDirections(data, options);
}

absl::Status CheckBoostingSetup(const BoostingSetup& setup, int outputs) {
  if (!(setup.lambda >= 0)) return OutOfRange("lambda", setup.lambda, ">= 0");
  if (setup.finished_trees.size() % static_cast<size_t>(outputs) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        setup.finished_trees.size(), " finished trees are no whole rounds of ", outputs));
  }
  return absl::OkStatus();
}

}  // namespace trainyard
