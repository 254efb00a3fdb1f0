// What a job's report says of the solution and its problem.
#pragma once

#include "core/algorithms/convex_relu/fit.h"
#include "core/algorithms/convex_relu/gate_rounds.h"
#include "core/algorithms/convex_relu/training_problem.h"
#include "trainyard/v1/convex_relu.pb.h"

namespace trainyard::convex_relu {

// How the solution was found and what is known of it.
void DescribeFit(const FitResult& fit, v1::ConvexReluReport& report);
// The patterns and features that the solution chose from, and how many it uses.
void DescribeProblem(const TrainingProblem& problem, const FitResult& fit,
                     v1::ConvexReluReport& report);
void DescribeSearch(const GateRounds& search, v1::ConvexReluGateSearchReport& report);

}  // namespace trainyard::convex_relu
