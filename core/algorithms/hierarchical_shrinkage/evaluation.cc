#include "core/algorithms/hierarchical_shrinkage/evaluation.h"

#include <algorithm>
#include <utility>

#include "core/algorithms/metrics.h"
#include "core/base/status.h"
#include "core/trees/explain/importance.h"
#include "core/trees/stop_token.h"

namespace trainyard {
namespace {

void SwapMeansAndValues(TreeEnsemble& ensemble) {
  for (Tree& tree : ensemble.trees) std::swap(tree.mean, tree.value);
}

}  // namespace

absl::StatusOr<std::vector<double>> PredictRows(const TreePredictor& predictor,
                                                std::span<const FeatureColumn> columns,
                                                std::span<const int64_t> rows, ThreadPool& pool,
                                                const std::function<absl::Status()>& check) {
  const size_t width = static_cast<size_t>(predictor.prediction_count());
  std::vector<double> predictions(rows.size() * width);
  // So many rows that a task takes about 40 ms: it reads every tree from memory.
  const size_t trees = static_cast<size_t>(std::max(predictor.tree_count(), 1));
  const size_t chunk = std::clamp<size_t>(1'000'000 / trees, 256, 8192);
  const int64_t chunks = static_cast<int64_t>((rows.size() + chunk - 1) / chunk);
  StopToken stop(check);
  pool.Run(chunks, [&](int64_t i, int) {
    if (stop.Ask()) return;
    const size_t first = static_cast<size_t>(i) * chunk;
    const size_t count = std::min(chunk, rows.size() - first);
    predictor.Predict(columns, rows.subspan(first, count),
                      std::span(predictions).subspan(first * width, count * width));
  });
  if (stop.stopped()) return stop.status();
  return predictions;
}

absl::StatusOr<Metrics> MeasureRows(const TreePredictor& predictor,
                                    std::span<const FeatureColumn> columns,
                                    const LearningTable& data, std::span<const int64_t> rows,
                                    ThreadPool& pool, const std::function<absl::Status()>& check) {
  if (rows.empty()) return Metrics();
  TY_ASSIGN_OR_RETURN(const std::vector<double> predictions,
                      PredictRows(predictor, columns, rows, pool, check));
  const std::vector<double> weights = data.WeightsOf(rows);
  if (data.classification()) {
    return ClassificationMetrics(predictions, data.ClassesOf(rows), weights, data.outputs(), check);
  }
  return RegressionMetrics(predictions, data.ValuesOf(rows), weights, data.outputs());
}

TreePredictor PlainPredictor(TreeEnsemble& ensemble) {
  SwapMeansAndValues(ensemble);
  TreePredictor predictor(ensemble);
  SwapMeansAndValues(ensemble);
  return predictor;
}

std::vector<v1::FeatureImportance> FeatureImportances(const TreeEnsemble& ensemble,
                                                      std::span<const std::string> names,
                                                      size_t most) {
  const std::vector<double> shares = ImpurityImportance(ensemble, static_cast<int>(names.size()));
  std::vector<size_t> order;
  for (size_t f = 0; f < shares.size(); ++f) {
    if (shares[f] > 0) order.push_back(f);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return shares[a] > shares[b]; });
  if (order.size() > most) order.resize(most);
  std::vector<v1::FeatureImportance> importances;
  for (const size_t f : order) {
    v1::FeatureImportance& importance = importances.emplace_back();
    importance.set_feature(names[f]);
    importance.set_importance(shares[f]);
  }
  return importances;
}

}  // namespace trainyard
