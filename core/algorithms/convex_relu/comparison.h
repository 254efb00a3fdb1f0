// Stochastic gradient descent on the network that a convex problem stands for.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/fit.h"
#include "core/algorithms/convex_relu/nonconvex_training.h"
#include "core/algorithms/convex_relu/training_problem.h"
#include "core/algorithms/table_learning.h"
#include "core/base/thread_pool.h"
#include "trainyard/v1/convex_relu.pb.h"

namespace trainyard::convex_relu {

struct ComparisonHooks {
  std::function<absl::Status()> check;
  std::function<void(const NonconvexProgress&)> report;
};

// Trains a network of the same kind, on the same scaled data and with the same objective as
// `solution`, by every optimiser, step size and seed of `spec.comparison`; one message for each in
// that order, with metrics on the training rows and on the test rows (validation rows where there
// are none). A gated network has the gates of the solution, and more where the width asks for them.
absl::StatusOr<std::vector<v1::ConvexReluDescent>> CompareWithDescent(
    const v1::ConvexReluSpec& spec, const TrainingProblem& problem, const LearningTable& data,
    const FitResult& solution, ThreadPool& pool, const ComparisonHooks& hooks);

}  // namespace trainyard::convex_relu
