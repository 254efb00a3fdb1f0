// Choice of lambda by cross-validation: one fit per fold serves every strength.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/trees/cart.h"
#include "core/trees/presort.h"
#include "trainyard/v1/hierarchical_shrinkage.pb.h"

namespace trainyard {

// Training rows, all indexed by position in `rows`.
struct TrainingRows {
  std::span<const FeatureColumn> columns;  // indexed by table row
  std::span<const int64_t> rows;           // table rows
  const PresortedFeatures& features;       // of `rows`
  TreeTarget target;
  std::span<const double> weights;  // mean 1; empty for 1
};

// Rows that a tree fitted elsewhere is measured on.
struct LossRows {
  std::span<const FeatureColumn> columns;
  std::span<const int64_t> rows;    // table rows to measure on
  TreeTarget target;                // by position in `rows`
  std::span<const double> weights;  // by position in `rows`; empty for 1
};

// Number of the leaf that each table row of `rows` reaches. Returns what `check` returns when that
// is not OK; it is asked every few milliseconds.
absl::StatusOr<std::vector<int32_t>> FindLeaves(const Tree& tree,
                                                std::span<const FeatureColumn> columns,
                                                std::span<const int64_t> rows,
                                                const std::function<absl::Status()>& check);

// Mean loss per strength: log loss of a classification, squared error (mean over targets) of a
// regression. Asks `check` like FindLeaves.
absl::StatusOr<std::vector<double>> LossPath(const Tree& tree,
                                             v1::HierarchicalShrinkageSpec::Scheme scheme,
                                             std::span<const double> lambdas, const LossRows& rows,
                                             const std::function<absl::Status()>& check);

// Fits on the rows outside fold `fold` and returns the loss path on the rows inside.
// INVALID_ARGUMENT when either has no rows; else as GrowCart.
absl::StatusOr<std::vector<double>> ValidateFold(const TrainingRows& training,
                                                 std::span<const int32_t> fold_of, int fold,
                                                 const v1::HierarchicalShrinkageSpec& spec,
                                                 ThreadPool& pool, const GrowthHooks& hooks);

// Mean and standard error (standard deviation over folds / sqrt(folds)) per strength.
std::vector<v1::LambdaPathPoint> SummarizeFolds(std::span<const double> lambdas,
                                                const std::vector<std::vector<double>>& losses);

// The strength with the smallest mean loss; the smallest such strength where several are equal.
double ChooseLambda(std::span<const v1::LambdaPathPoint> path);

}  // namespace trainyard
