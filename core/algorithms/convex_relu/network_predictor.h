// Application of networks to tables.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/algorithms/algorithm.h"
#include "core/algorithms/convex_relu/network_model.h"
#include "core/algorithms/table_learning.h"
#include "core/base/thread_pool.h"

namespace trainyard::convex_relu {

// The predictions are `prediction` (`prediction_TARGET` where there are several targets); of a
// classification the class of the greatest score or probability, the first of equals, followed by
// `probability_CLASS`, or with squared loss `score_CLASS`, for every class (PredictionsOf).
std::unique_ptr<Predictor> MakeNetworkPredictor(NetworkModel model);

// Predictions (PredictionsOf) for some rows of a table to whose columns the model's encoder is
// bound, [row][prediction] row-major. Rows are encoded and predicted some at a time. Returns
// what `check` returns when that is not OK; it is asked between these, every few ten milliseconds,
// and may be empty.
absl::StatusOr<std::vector<double>> PredictRows(const NetworkModel& model,
                                                const DenseColumns& columns,
                                                std::span<const int64_t> rows, ThreadPool& pool,
                                                const std::function<absl::Status()>& check);

// Metrics (core/algorithms/metrics.h) of these predictions; empty for no rows. Scores that are no
// probabilities have no `log_loss`.
absl::StatusOr<std::map<std::string, double>> MeasureRows(
    const NetworkModel& model, const DenseColumns& columns, const LearningTable& data,
    std::span<const int64_t> rows, ThreadPool& pool, const std::function<absl::Status()>& check);

}  // namespace trainyard::convex_relu
