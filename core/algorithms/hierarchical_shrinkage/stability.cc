#include "core/algorithms/hierarchical_shrinkage/stability.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "core/base/random.h"
#include "core/base/status.h"
#include "core/trees/explain/path_shap.h"
#include "core/trees/explain/stability.h"
#include "core/trees/shrinkage.h"
#include "core/trees/stop_token.h"
#include "core/trees/tree_predictor.h"

namespace trainyard {
namespace {

using Options = v1::StabilityOptions;

// The explained rows as columns of their own.
struct ExplainedRows {
  std::vector<std::vector<double>> numbers;
  std::vector<std::vector<int32_t>> codes;
  std::vector<FeatureColumn> columns;
  int64_t count = 0;
};

ExplainedRows TakeRows(std::span<const FeatureColumn> columns, std::span<const int64_t> held_out,
                       int64_t most) {
  ExplainedRows taken;
  const int64_t available = static_cast<int64_t>(held_out.size());
  taken.count = std::min(most, available);
  std::vector<size_t> rows;
  for (int64_t i = 0; i < taken.count; ++i) {
    rows.push_back(static_cast<size_t>(held_out[static_cast<size_t>(i * available / taken.count)]));
  }
  taken.numbers.resize(columns.size());
  taken.codes.resize(columns.size());
  for (size_t f = 0; f < columns.size(); ++f) {
    if (columns[f].categorical) {
      for (const size_t row : rows) taken.codes[f].push_back(columns[f].codes[row]);
      taken.columns.push_back(FeatureColumn::Categorical(taken.codes[f], columns[f].level_count));
    } else {
      for (const size_t row : rows) taken.numbers[f].push_back(columns[f].numbers[row]);
      taken.columns.push_back(FeatureColumn::Numeric(taken.numbers[f]));
    }
  }
  return taken;
}

// What one side, with or without shrinkage, shows in each refit.
struct Observations {
  std::vector<std::vector<double>> shap;         // [refit] of [row][feature]
  std::vector<std::vector<double>> predictions;  // [refit] of [row][prediction]
};

absl::Status Observe(const TreeEnsemble& ensemble, const ExplainedRows& rows, ThreadPool& pool,
                     StopToken& stop, Observations& observations) {
  const size_t features = rows.columns.size();
  const size_t count = static_cast<size_t>(rows.count);
  const PathShap shap(ensemble, static_cast<int>(features), stop);
  if (stop.stopped()) return stop.status();
  const size_t outputs = static_cast<size_t>(shap.outputs());
  std::vector<double> values(count * outputs * features);
  TY_RETURN_IF_ERROR(shap.Explain(rows.columns, 0, rows.count, pool, stop, values));
  std::vector<double> first(count * features);
  for (size_t i = 0; i < count; ++i) {
    std::copy_n(values.begin() + static_cast<ptrdiff_t>(i * outputs * features), features,
                first.begin() + static_cast<ptrdiff_t>(i * features));
  }
  observations.shap.push_back(std::move(first));
  std::vector<double> predictions(count * static_cast<size_t>(ensemble.prediction_count()));
  TreePredictor(ensemble).Predict(rows.columns, 0, predictions);
  observations.predictions.push_back(std::move(predictions));
  return absl::OkStatus();
}

double MeanVariance(const std::vector<std::vector<double>>& refits) {
  const double count = static_cast<double>(refits.size());
  double sum = 0;
  for (size_t i = 0; i < refits.front().size(); ++i) {
    double mean = 0;
    for (const std::vector<double>& refit : refits) mean += refit[i] / count;
    for (const std::vector<double>& refit : refits) sum += (refit[i] - mean) * (refit[i] - mean);
  }
  return sum / (count - 1) / static_cast<double>(refits.front().size());
}

v1::ShapSteadiness Summarize(const ShapStability& shap, const Observations& observations) {
  v1::ShapSteadiness steadiness;
  steadiness.set_variance(shap.variance);
  steadiness.set_relative_variance(shap.relative_variance);
  steadiness.set_unexplained_share(shap.unexplained_share);
  steadiness.set_prediction_variance(MeanVariance(observations.predictions));
  return steadiness;
}

// The rows of one refit, with their weights where some are drawn more than once.
struct PerturbedRows {
  std::vector<uint32_t> rows;
  std::vector<double> weights;
};

PerturbedRows Perturb(const Options& options, const LearnerInput& input, Rng rng) {
  PerturbedRows perturbed;
  const size_t count = input.training_count;
  if (options.perturbation() == Options::PERTURBATION_SUBSAMPLE) {
    std::vector<uint32_t> order(count);
    std::iota(order.begin(), order.end(), uint32_t{0});
    rng.Shuffle(std::span(order));
    const double share = options.fraction() * static_cast<double>(count);
    order.resize(std::clamp<size_t>(static_cast<size_t>(std::llround(share)), 1, count));
    std::sort(order.begin(), order.end());
    perturbed.rows = std::move(order);
    return perturbed;
  }
  perturbed.weights.assign(input.data.rows.size(), 0.0);
  for (size_t i = 0; i < count; ++i) {
    const uint32_t row = static_cast<uint32_t>(rng.UniformInt(count));
    perturbed.weights[row] += input.data.WeightOf(row);
  }
  for (uint32_t row = 0; row < perturbed.weights.size(); ++row) {
    if (row >= count) {
      perturbed.weights[row] = input.data.WeightOf(row);  // rows that validate
    } else if (perturbed.weights[row] > 0) {
      perturbed.rows.push_back(row);
    }
  }
  return perturbed;
}

}  // namespace

absl::StatusOr<v1::StabilityReport> MeasureStability(const v1::HierarchicalShrinkageSpec& spec,
                                                     const LearnerInput& input,
                                                     BaseLearner& learner, double lambda,
                                                     std::span<const int64_t> held_out,
                                                     ThreadPool& pool, const JobProgress& progress,
                                                     const std::function<absl::Status()>& check) {
  const Options& options = spec.stability();
  const ExplainedRows rows = TakeRows(input.data.columns, held_out, options.explained_rows());
  StopToken stop(check);
  Observations plain;
  Observations shrunk;
  for (int refit = 0; refit < options.refits(); ++refit) {
    progress.Refits(refit, options.refits());
    const uint64_t stream = (uint64_t{1} << 32) + static_cast<uint64_t>(refit);
    const PerturbedRows perturbed =
        Perturb(options, input, Rng(static_cast<uint64_t>(spec.seed()), stream));
    FitTask task;
    task.rows = perturbed.rows;
    task.weights = perturbed.weights;
    task.lambda = lambda;
    task.seed = static_cast<uint64_t>(spec.seed());
    FitHooks hooks;
    hooks.check = check;
    TY_ASSIGN_OR_RETURN(FittedTrees fitted, learner.Fit(task, {}, hooks));
    for (Tree& tree : fitted.ensemble.trees) tree.value = tree.mean;
    TY_RETURN_IF_ERROR(Observe(fitted.ensemble, rows, pool, stop, plain));
    for (Tree& tree : fitted.ensemble.trees) Shrink(spec.scheme(), lambda, tree);
    TY_RETURN_IF_ERROR(Observe(fitted.ensemble, rows, pool, stop, shrunk));
  }
  TY_ASSIGN_OR_RETURN(const ShapStabilityComparison comparison,
                      CompareShapStability(plain.shap, shrunk.shap, rows.columns, 0));
  v1::StabilityReport report;
  report.set_refits(options.refits());
  report.set_explained_rows(rows.count);
  *report.mutable_plain() = Summarize(comparison.plain, plain);
  *report.mutable_shrunk() = Summarize(comparison.shrunk, shrunk);
  return report;
}

}  // namespace trainyard
