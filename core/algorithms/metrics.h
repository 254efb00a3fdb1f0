// Quality of predictions on held-out rows.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace trainyard {

// Probabilities below this count as this much in a log loss.
inline constexpr double kLeastProbability = 1e-15;

// - log of a probability, clipped.
double LogLossOf(double probability);

// `accuracy`, `log_loss` and `auc` of class probabilities, [row][class] row-major. Rows count by
// `weights` (empty: 1). The predicted class is the most probable one, the first of equals. `auc` is
// the area under the ROC curve of the second class for two classes, else the mean over classes of
// one class against the rest; ties count half. Classes without rows, or without rows of others, are
// left out of the mean, and `auc` is absent when none remains. Empty for no rows. Returns what
// `check` returns when that is not OK; it is asked every few milliseconds and may be empty.
//
// With `costs`, [true class][predicted class] row-major, the predicted class is that of
// LeastCostClass, and `cost` is the mean cost of a row.
absl::StatusOr<std::map<std::string, double>> ClassificationMetrics(
    std::span<const double> probabilities, std::span<const int32_t> classes,
    std::span<const double> weights, int class_count,
    const std::function<absl::Status()>& check = {}, std::span<const double> costs = {});

// `rmse`, the root of the mean over rows and outputs of the squared error, and `r2`, 1 minus
// squared error over squared deviation from the mean, averaged over the outputs that vary (absent
// when none does). Both [row][output] row-major. Empty for no rows.
std::map<std::string, double> RegressionMetrics(std::span<const double> predictions,
                                                std::span<const double> targets,
                                                std::span<const double> weights, int outputs);

}  // namespace trainyard
