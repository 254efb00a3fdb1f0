#include "core/algorithms/metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <vector>

#include "core/base/status.h"
#include "core/trees/class_costs.h"

namespace trainyard {
namespace {

double WeightAt(std::span<const double> weights, size_t row) {
  return weights.empty() ? 1.0 : weights[row];
}

constexpr size_t kRowsPerCheck = size_t{1} << 16;

absl::Status Ask(const std::function<absl::Status()>& check) {
  return check ? check() : absl::OkStatus();
}

// Sorts runs, then merges them pairwise, with a check before each step.
template <typename Less>
absl::Status SortChecked(std::vector<uint32_t>& order, const Less& less,
                         const std::function<absl::Status()>& check) {
  const auto at = [&order](size_t i) {
    return order.begin() + static_cast<ptrdiff_t>(std::min(i, order.size()));
  };
  for (size_t first = 0; first < order.size(); first += kRowsPerCheck) {
    TY_RETURN_IF_ERROR(Ask(check));
    std::sort(at(first), at(first + kRowsPerCheck), less);
  }
  std::vector<uint32_t> merged(order.size());
  for (size_t run = kRowsPerCheck; run < order.size(); run *= 2) {
    for (size_t first = 0; first < order.size(); first += 2 * run) {
      TY_RETURN_IF_ERROR(Ask(check));
      std::merge(at(first), at(first + run), at(first + run), at(first + 2 * run),
                 merged.begin() + static_cast<ptrdiff_t>(first), less);
    }
    order.swap(merged);
  }
  return absl::OkStatus();
}

// Area under the ROC curve of "is of class `positive`" by the scores of that class.
absl::StatusOr<std::optional<double>> AreaUnderCurve(
    std::span<const double> probabilities, size_t class_count, std::span<const int32_t> classes,
    std::span<const double> weights, size_t positive, const std::function<absl::Status()>& check) {
  std::vector<uint32_t> order(classes.size());
  std::iota(order.begin(), order.end(), uint32_t{0});
  const auto score = [&](uint32_t row) { return probabilities[row * class_count + positive]; };
  const auto less = [&](uint32_t a, uint32_t b) {
    return score(a) != score(b) ? score(a) < score(b) : a < b;
  };
  TY_RETURN_IF_ERROR(SortChecked(order, less, check));
  double area = 0;
  double negatives_below = 0;
  double positives = 0;
  for (size_t i = 0; i < order.size();) {
    double tied_positives = 0;
    double tied_negatives = 0;
    size_t j = i;
    for (; j < order.size() && score(order[j]) == score(order[i]); ++j) {
      const bool is_positive = static_cast<size_t>(classes[order[j]]) == positive;
      (is_positive ? tied_positives : tied_negatives) += WeightAt(weights, order[j]);
    }
    area += tied_positives * (negatives_below + tied_negatives / 2);
    negatives_below += tied_negatives;
    positives += tied_positives;
    i = j;
  }
  if (!(positives > 0) || !(negatives_below > 0)) return std::optional<double>();
  return std::optional<double>(area / (positives * negatives_below));
}

}  // namespace

double LogLossOf(double probability) { return -std::log(std::max(probability, kLeastProbability)); }

absl::StatusOr<std::map<std::string, double>> ClassificationMetrics(
    std::span<const double> probabilities, std::span<const int32_t> classes,
    std::span<const double> weights, int class_count, const std::function<absl::Status()>& check,
    std::span<const double> costs) {
  const size_t width = static_cast<size_t>(class_count);
  double weight = 0;
  double correct = 0;
  double loss = 0;
  double cost = 0;
  for (size_t row = 0; row < classes.size(); ++row) {
    if (row % kRowsPerCheck == 0) TY_RETURN_IF_ERROR(Ask(check));
    const std::span<const double> own = probabilities.subspan(row * width, width);
    const size_t actual = static_cast<size_t>(classes[row]);
    const size_t predicted = static_cast<size_t>(LeastCostClass(own, costs));
    weight += WeightAt(weights, row);
    correct += predicted == actual ? WeightAt(weights, row) : 0;
    loss += WeightAt(weights, row) * LogLossOf(own[actual]);
    if (!costs.empty()) cost += WeightAt(weights, row) * costs[actual * width + predicted];
  }
  if (!(weight > 0)) return std::map<std::string, double>();
  std::map<std::string, double> metrics = {{"accuracy", correct / weight},
                                           {"log_loss", loss / weight}};
  if (!costs.empty()) metrics["cost"] = cost / weight;
  double area = 0;
  int areas = 0;
  for (size_t k = width == 2 ? 1 : 0; k < width; ++k) {
    TY_ASSIGN_OR_RETURN(const std::optional<double> one,
                        AreaUnderCurve(probabilities, width, classes, weights, k, check));
    if (!one.has_value()) continue;
    area += *one;
    ++areas;
  }
  if (areas > 0) metrics["auc"] = area / areas;
  return metrics;
}

std::map<std::string, double> RegressionMetrics(std::span<const double> predictions,
                                                std::span<const double> targets,
                                                std::span<const double> weights, int outputs) {
  const size_t width = static_cast<size_t>(outputs);
  const size_t rows = targets.size() / width;
  double squared_error = 0;
  double r2 = 0;
  int varying = 0;
  double weight = 0;
  for (size_t row = 0; row < rows; ++row) weight += WeightAt(weights, row);
  if (!(weight > 0)) return {};
  for (size_t k = 0; k < width; ++k) {
    double sum = 0;
    double error = 0;
    for (size_t row = 0; row < rows; ++row) {
      const double difference = predictions[row * width + k] - targets[row * width + k];
      error += WeightAt(weights, row) * difference * difference;
      sum += WeightAt(weights, row) * targets[row * width + k];
    }
    double deviation = 0;
    for (size_t row = 0; row < rows; ++row) {
      const double difference = targets[row * width + k] - sum / weight;
      deviation += WeightAt(weights, row) * difference * difference;
    }
    squared_error += error / weight / static_cast<double>(width);
    if (!(deviation > 0)) continue;
    r2 += 1 - error / deviation;
    ++varying;
  }
  std::map<std::string, double> metrics = {{"rmse", std::sqrt(squared_error)}};
  if (varying > 0) metrics["r2"] = r2 / varying;
  return metrics;
}

}  // namespace trainyard
