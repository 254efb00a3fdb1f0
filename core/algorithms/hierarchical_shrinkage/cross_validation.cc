#include "core/algorithms/hierarchical_shrinkage/cross_validation.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/algorithms/metrics.h"
#include "core/base/status.h"
#include "core/trees/shrinkage.h"
#include "core/trees/tree_predictor.h"

namespace trainyard {
namespace {

constexpr size_t kRowsPerCheck = 1 << 16;

// Targets and weights of some of the training rows, kept for a LossRows.
struct Subset {
  std::vector<int64_t> rows;
  std::vector<double> values;
  std::vector<int32_t> classes;
  std::vector<double> weights;
};

Subset TakeFold(const TrainingRows& training, std::span<const int32_t> fold_of, int fold) {
  Subset subset;
  const size_t width = static_cast<size_t>(training.target.outputs);
  for (size_t i = 0; i < fold_of.size(); ++i) {
    if (fold_of[i] != fold) continue;
    subset.rows.push_back(training.rows[i]);
    if (!training.weights.empty()) subset.weights.push_back(training.weights[i]);
    if (training.target.classification()) {
      subset.classes.push_back(training.target.classes[i]);
      continue;
    }
    for (size_t k = 0; k < width; ++k) {
      subset.values.push_back(training.target.values[i * width + k]);
    }
  }
  return subset;
}

double SquaredError(const double* prediction, const double* target, size_t width) {
  double sum = 0;
  for (size_t k = 0; k < width; ++k) {
    sum += (prediction[k] - target[k]) * (prediction[k] - target[k]);
  }
  return sum / static_cast<double>(width);
}

}  // namespace

absl::StatusOr<std::vector<int32_t>> FindLeaves(const Tree& tree,
                                                std::span<const FeatureColumn> columns,
                                                std::span<const int64_t> rows,
                                                const std::function<absl::Status()>& check) {
  const TreePredictor predictor({&tree, 1}, TreeCombination::kMean);
  std::vector<int32_t> leaves(rows.size());
  for (size_t first = 0; first < rows.size(); first += kRowsPerCheck) {
    if (check) TY_RETURN_IF_ERROR(check());
    const size_t count = std::min(kRowsPerCheck, rows.size() - first);
    predictor.FindLeaves(columns, rows.subspan(first, count),
                         std::span(leaves).subspan(first, count));
  }
  return leaves;
}

absl::StatusOr<std::vector<double>> LossPath(const Tree& tree,
                                             v1::HierarchicalShrinkageSpec::Scheme scheme,
                                             std::span<const double> lambdas, const LossRows& rows,
                                             const std::function<absl::Status()>& check) {
  const std::vector<double> path = ShrinkagePath(tree, scheme, lambdas);
  TY_ASSIGN_OR_RETURN(const std::vector<int32_t> leaves,
                      FindLeaves(tree, rows.columns, rows.rows, check));
  const size_t width = static_cast<size_t>(tree.outputs);
  std::vector<double> losses(lambdas.size(), 0);
  double total_weight = 0;
  for (size_t i = 0; i < leaves.size(); ++i) {
    if (check && i % kRowsPerCheck == 0) TY_RETURN_IF_ERROR(check());
    const double weight = rows.weights.empty() ? 1.0 : rows.weights[i];
    total_weight += weight;
    const double* value = path.data() + static_cast<size_t>(leaves[i]) * lambdas.size() * width;
    for (size_t j = 0; j < lambdas.size(); ++j, value += width) {
      losses[j] += weight * (rows.target.classification()
                                 ? LogLossOf(value[rows.target.classes[i]])
                                 : SquaredError(value, &rows.target.values[i * width], width));
    }
  }
  for (double& loss : losses) loss /= total_weight;
  return losses;
}

absl::StatusOr<std::vector<double>> ValidateFold(const TrainingRows& training,
                                                 std::span<const int32_t> fold_of, int fold,
                                                 const v1::HierarchicalShrinkageSpec& spec,
                                                 ThreadPool& pool, const GrowthHooks& hooks) {
  std::vector<uint32_t> fit_rows;
  for (size_t i = 0; i < fold_of.size(); ++i) {
    if (fold_of[i] != fold) fit_rows.push_back(static_cast<uint32_t>(i));
  }
  const Subset inside = TakeFold(training, fold_of, fold);
  if (fit_rows.empty() || inside.rows.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "fold ", fold + 1, " of ", spec.folds(), " has ", inside.rows.size(), " of ",
        fold_of.size(), " training rows; use fewer folds, or give lambda, where groups are few"));
  }
  TY_ASSIGN_OR_RETURN(const Tree tree,
                      GrowCart(training.features, training.target, training.weights, fit_rows,
                               spec.cart(), pool, hooks));
  const TreeTarget target =
      training.target.classification()
          ? TreeTarget::Classification(inside.classes, training.target.outputs)
          : TreeTarget::Regression(inside.values, training.target.outputs);
  const std::vector<double> lambdas(spec.lambda_grid().begin(), spec.lambda_grid().end());
  return LossPath(tree, spec.scheme(), lambdas,
                  {training.columns, inside.rows, target, inside.weights}, hooks.check);
}

std::vector<v1::LambdaPathPoint> SummarizeFolds(std::span<const double> lambdas,
                                                const std::vector<std::vector<double>>& losses) {
  const double folds = static_cast<double>(losses.size());
  std::vector<v1::LambdaPathPoint> path;
  for (size_t j = 0; j < lambdas.size(); ++j) {
    double sum = 0;
    for (const std::vector<double>& fold : losses) sum += fold[j];
    const double mean = sum / folds;
    double squares = 0;
    for (const std::vector<double>& fold : losses) squares += (fold[j] - mean) * (fold[j] - mean);
    v1::LambdaPathPoint& point = path.emplace_back();
    point.set_lambda(lambdas[j]);
    point.set_mean_loss(mean);
    point.set_standard_error(folds > 1 ? std::sqrt(squares / (folds - 1) / folds) : 0);
  }
  return path;
}

double ChooseLambda(std::span<const v1::LambdaPathPoint> path) {
  const auto best = std::min_element(
      path.begin(), path.end(), [](const v1::LambdaPathPoint& a, const v1::LambdaPathPoint& b) {
        return a.mean_loss() < b.mean_loss();
      });
  return best->lambda();
}

}  // namespace trainyard
