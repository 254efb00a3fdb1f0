// What trained trees are worth, and what they use.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/algorithms/table_learning.h"
#include "core/trees/ensemble.h"
#include "core/trees/thread_pool.h"
#include "core/trees/tree_predictor.h"
#include "trainyard/v1/hierarchical_shrinkage.pb.h"

namespace trainyard {

using Metrics = std::map<std::string, double>;

// Predictions for table rows, [row][prediction] row-major. `columns` are indexed as the trees'
// features. Returns what `check` returns when that is not OK; it is asked every few milliseconds.
absl::StatusOr<std::vector<double>> PredictRows(const TreePredictor& predictor,
                                                std::span<const FeatureColumn> columns,
                                                std::span<const int64_t> rows, ThreadPool& pool,
                                                const std::function<absl::Status()>& check);

// Metrics of the predictions for some table rows; empty for no rows.
absl::StatusOr<Metrics> MeasureRows(const TreePredictor& predictor,
                                    std::span<const FeatureColumn> columns,
                                    const LearningTable& data, std::span<const int64_t> rows,
                                    ThreadPool& pool, const std::function<absl::Status()>& check);

// A predictor of the trees without shrinkage; `ensemble` is as before afterwards.
TreePredictor PlainPredictor(TreeEnsemble& ensemble);

// ImpurityImportance by name: the greatest first; at most `most`, without those of share 0.
std::vector<v1::FeatureImportance> FeatureImportances(const TreeEnsemble& ensemble,
                                                      std::span<const std::string> names,
                                                      size_t most);

}  // namespace trainyard
