// How much a model and its explanations move with the training rows.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "absl/status/statusor.h"
#include "core/algorithms/hierarchical_shrinkage/base_learner.h"
#include "core/algorithms/hierarchical_shrinkage/progress.h"
#include "trainyard/v1/hierarchical_shrinkage.pb.h"

namespace trainyard {

// Fits `spec.stability().refits()` times on perturbed training rows, refit r drawing from
// Rng(seed, 2^32 + r), and compares SHAP values and predictions of up to `explained_rows` of the
// table rows `held_out` (evenly spaced) without shrinkage and with `lambda`. Errors as of
// BaseLearner::Fit.
absl::StatusOr<v1::StabilityReport> MeasureStability(const v1::HierarchicalShrinkageSpec& spec,
                                                     const LearnerInput& input,
                                                     BaseLearner& learner, double lambda,
                                                     std::span<const int64_t> held_out,
                                                     ThreadPool& pool, const JobProgress& progress,
                                                     const std::function<absl::Status()>& check);

}  // namespace trainyard
