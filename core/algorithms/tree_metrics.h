// What trees are worth on rows of a table.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/table_learning.h"
#include "core/base/thread_pool.h"
#include "core/trees/tree.h"
#include "core/trees/tree_predictor.h"

namespace trainyard {

using Metrics = std::map<std::string, double>;

// Predictions for table rows, [row][prediction] row-major. `columns` are indexed as the trees'
// features. Returns what `check` returns when that is not OK; it is asked every few milliseconds.
absl::StatusOr<std::vector<double>> PredictRows(const TreePredictor& predictor,
                                                std::span<const FeatureColumn> columns,
                                                std::span<const int64_t> rows, ThreadPool& pool,
                                                const std::function<absl::Status()>& check);

// Metrics (core/algorithms/metrics.h) of the predictions for some table rows; empty for no rows.
// `costs` are those of TreeModel.
absl::StatusOr<Metrics> MeasureRows(const TreePredictor& predictor,
                                    std::span<const FeatureColumn> columns,
                                    const LearningTable& data, std::span<const int64_t> rows,
                                    std::span<const double> costs, ThreadPool& pool,
                                    const std::function<absl::Status()>& check);

// Rows that a report has metrics of.
struct MeasuredRows {
  const char* name;  // `train`, `validation`, `test`
  const std::vector<int64_t>* rows;
  google::protobuf::Map<std::string, double>* metrics;  // of the report
};

// Those sets of a division that have rows, the one furthest from the training last.
std::vector<MeasuredRows> MeasuredRowsOf(const RowSplit& split, v1::Report& report);

// Writes the metrics of a set of rows to the report, and tells the owner of each as `SET/METRIC`.
void ReportMeasured(const MeasuredRows& set, const Metrics& metrics, TrainingContext& context);

}  // namespace trainyard
