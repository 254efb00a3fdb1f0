// Parts of ReLU networks, constrained to the cones of their patterns.
#pragma once

#include <memory>

#include "core/algorithms/convex_relu/cone_blocks.h"
#include "core/algorithms/convex_relu/part_solver.h"
#include "core/algorithms/convex_relu/pattern_bits.h"
#include "core/algorithms/convex_relu/pattern_operator.h"
#include "core/algorithms/convex_relu/relu_working_set.h"
#include "core/algorithms/convex_relu/row_loss.h"
#include "core/base/thread_pool.h"

namespace trainyard::convex_relu {

// What the parts of a problem share; all members must outlive them.
struct ConeProblem {
  PatternOperator<double>& products;
  const ConeRows& rows;
  const PatternBits& patterns;
  ThreadPool& pool;
};

// C-ReLU for one output on working sets, by ReluOptions, whose lambda and time do not count. Its
// progress has as the squared subgradient that of the proximal gradient map, ||u - prox(u -
// f'(u))|| over the blocks in use, which the shortest subgradient becomes where there are no
// constraints.
std::unique_ptr<PartSolver> MakeReluPart(const ConeProblem& problem, RowLoss loss,
                                         const ReluOptions& options);

}  // namespace trainyard::convex_relu
