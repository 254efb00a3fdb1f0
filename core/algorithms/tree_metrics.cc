#include "core/algorithms/tree_metrics.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/algorithms/metrics.h"
#include "core/base/status.h"
#include "core/trees/stop_token.h"

namespace trainyard {

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
                                    std::span<const double> costs, ThreadPool& pool,
                                    const std::function<absl::Status()>& check) {
  if (rows.empty()) return Metrics();
  TY_ASSIGN_OR_RETURN(const std::vector<double> predictions,
                      PredictRows(predictor, columns, rows, pool, check));
  const std::vector<double> weights = data.WeightsOf(rows);
  if (data.classification()) {
    return ClassificationMetrics(predictions, data.ClassesOf(rows), weights, data.outputs(), check,
                                 costs);
  }
  return RegressionMetrics(predictions, data.ValuesOf(rows), weights, data.outputs());
}

std::vector<MeasuredRows> MeasuredRowsOf(const RowSplit& split, v1::Report& report) {
  const MeasuredRows sets[] = {
      {"train", &split.train, report.mutable_train_metrics()},
      {"validation", &split.validation, report.mutable_validation_metrics()},
      {"test", &split.test, report.mutable_test_metrics()}};
  std::vector<MeasuredRows> with_rows;
  std::copy_if(std::begin(sets), std::end(sets), std::back_inserter(with_rows),
               [](const MeasuredRows& set) { return !set.rows->empty(); });
  return with_rows;
}

void ReportMeasured(const MeasuredRows& set, const Metrics& metrics, TrainingContext& context) {
  std::vector<std::pair<std::string, double>> points;
  for (const auto& [name, value] : metrics) {
    points.emplace_back(absl::StrCat(set.name, "/", name), value);
  }
  context.ReportMetrics(0, points);
  set.metrics->insert(metrics.begin(), metrics.end());
}

}  // namespace trainyard
