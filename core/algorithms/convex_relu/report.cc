#include "core/algorithms/convex_relu/report.h"

#include <set>

namespace trainyard::convex_relu {
namespace {

v1::ConvexReluReport::Status StatusOf(SolveEnd end, bool decomposed) {
  if (decomposed) return v1::ConvexReluReport::STATUS_DECOMPOSED;
  switch (end) {
    case SolveEnd::kGap:
      return v1::ConvexReluReport::STATUS_OPTIMAL;
    case SolveEnd::kSubgradient:
      return v1::ConvexReluReport::STATUS_STATIONARY;
    case SolveEnd::kIterations:
      return v1::ConvexReluReport::STATUS_ITERATION_LIMIT;
    case SolveEnd::kTime:
      return v1::ConvexReluReport::STATUS_TIME_LIMIT;
    case SolveEnd::kStalled:
    case SolveEnd::kDiverged:
      break;
  }
  return v1::ConvexReluReport::STATUS_STALLED;
}

int64_t ActiveFeatures(const TrainingProblem& problem, const FitResult& fit) {
  std::set<size_t> used;
  for (const FitBlock& block : fit.blocks) {
    for (size_t k = 0; k < static_cast<size_t>(problem.encoder().width()); ++k) {
      if (block.weights[k] != 0) used.insert(k);
    }
  }
  return static_cast<int64_t>(used.size());
}

}  // namespace

void DescribeFit(const FitResult& fit, v1::ConvexReluReport& report) {
  report.set_status(StatusOf(fit.end, fit.norm_ratio.has_value()));
  report.set_objective(fit.objective);
  if (fit.bound.has_value()) {
    report.set_lower_bound(*fit.bound);
    report.set_relative_gap(*fit.relative_gap());
  }
  report.set_subgradient_norm_squared(fit.subgradient_norm_squared);
  report.set_constraint_violation(fit.constraint_violation);
  report.set_greatest_violation(fit.greatest_violation);
  report.set_lambda(fit.lambda);
  report.set_backtracks(fit.backtracks);
  report.set_restarts(fit.restarts);
  report.set_step_size(fit.step);
  if (fit.gated_objective.has_value()) report.set_gated_objective(*fit.gated_objective);
  if (fit.norm_ratio.has_value()) report.set_norm_ratio(*fit.norm_ratio);
}

void DescribeProblem(const TrainingProblem& problem, const FitResult& fit,
                     v1::ConvexReluReport& report) {
  report.set_patterns(problem.patterns());
  report.set_gates_drawn(problem.gates_drawn());
  report.set_active_neurons(static_cast<int64_t>(fit.blocks.size()));
  report.set_active_features(ActiveFeatures(problem, fit));
  report.set_features(problem.encoder().width());
}

void DescribeSearch(const GateRounds& search, v1::ConvexReluGateSearchReport& report) {
  report.set_rounds(search.rounds);
  report.set_patterns_added(search.patterns_added);
  report.set_objective_before(search.objective_before);
  report.set_largest_violation(search.largest_violation);
}

}  // namespace trainyard::convex_relu
