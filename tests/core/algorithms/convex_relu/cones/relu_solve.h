// A C-ReLU problem with everything that its solvers need.
#pragma once

#include <gtest/gtest.h>

#include <utility>

#include "core/algorithms/convex_relu/relu_certificate.h"
#include "core/algorithms/convex_relu/relu_working_set.h"
#include "tests/core/algorithms/convex_relu/cones/cone_test_problems.h"

namespace trainyard::convex_relu {

struct ReluSetup {
  explicit ReluSetup(ConeTestProblem given, LossKind kind = LossKind::kSquared, int threads = 1)
      : problem(std::move(given)),
        rows(problem.data),
        products(problem.data, problem.patterns),
        pool(threads) {
    targets.loss = kind;
    targets.rows = rows.rows();
    targets.values.assign(problem.targets.begin(), problem.targets.end());
  }

  double LargestLambda() {
    ReluCertifier certifier(products, rows, problem.patterns,
                            targets.loss == LossKind::kSoftmax ? targets.outputs : 1, pool);
    return LargestReluLambda(certifier, RowLoss(targets), {}).value();
  }

  SolveEnd Solve(const ReluOptions& options, ReluState& state, const ReluHooks& hooks = {}) {
    const RowLoss loss(targets);
    return SolveRelu(products, rows, problem.patterns, pool, loss, options, state, hooks).value();
  }

  ConeTestProblem problem;
  ConeRows rows;
  PlainPatternOperator products;
  ThreadPool pool;
  Targets targets;
};

}  // namespace trainyard::convex_relu
