// The loss of trees on rows that they did not learn from, for many strengths of shrinkage at once.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/thread_pool.h"
#include "core/trees/cart.h"
#include "core/trees/ensemble.h"
#include "core/trees/shrinkage.h"

namespace trainyard {

// Rows with their targets, by position.
struct LearnerData {
  std::span<const FeatureColumn> columns;  // indexed by table row
  std::span<const int64_t> rows;           // table row of each position
  TreeTarget target;
  std::span<const double> weights;  // mean 1; empty for 1

  double WeightOf(uint32_t position) const { return weights.empty() ? 1.0 : weights[position]; }
};

// Mean loss per strength at the given positions, at least one: log loss of a classification,
// squared error (mean over targets) of a regression, both of the predictions (the link of the
// combined scores). Each row walks each tree once, whatever the number of strengths:
// O(rows * trees * (depth + strengths * outputs) + nodes * strengths * outputs). The sums do not
// depend on the number of threads. Returns what `check` returns when that is not OK; it is asked
// every few milliseconds and may be empty.
absl::StatusOr<std::vector<double>> EnsembleLossPath(
    const TreeEnsemble& ensemble, ShrinkageScheme scheme, std::span<const double> lambdas,
    const LearnerData& data, std::span<const uint32_t> positions, ThreadPool& pool,
    const std::function<absl::Status()>& check);

}  // namespace trainyard
