// A boosted ensemble under many strengths of shrinkage at once.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/trees/boosting/boosting.h"

namespace trainyard {

// Raw scores of binned rows for every strength: base + sum over trees of h(leaf),
// [strength][output] [row of `rows`]. Each row walks each tree once, whatever the number of
// strengths. The trees are those of a fit on `features`. INVALID_ARGUMENT where a tree does not fit
// them, or the status of `check`, which is called at least every 50 ms and may be empty.
absl::StatusOr<std::vector<double>> ShrinkagePathScores(
    const TreeEnsemble& ensemble, const BinnedFeatures& features, std::span<const uint32_t> rows,
    ShrinkageScheme scheme, std::span<const double> lambdas, ThreadPool& pool,
    const std::function<absl::Status()>& check);

// Mean loss on data.validation_rows for every strength, the loss being that of `options`: choose
// the strength with one fit per fold by the means over folds. LOSS_HUBER without huber_delta takes
// the delta of the fit's first round.
absl::StatusOr<std::vector<double>> ShrinkagePathLosses(
    const TreeEnsemble& ensemble, const BoostingData& data, const v1::BoostingOptions& options,
    ShrinkageScheme scheme, std::span<const double> lambdas, ThreadPool& pool,
    const std::function<absl::Status()>& check);

}  // namespace trainyard
