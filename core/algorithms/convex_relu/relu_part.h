// Parts of ReLU networks, constrained to the cones of their patterns.
#pragma once

#include <memory>

#include "core/algorithms/convex_relu/augmented_lagrangian.h"
#include "core/algorithms/convex_relu/cone_blocks.h"
#include "core/algorithms/convex_relu/cone_decomposition.h"
#include "core/algorithms/convex_relu/gated_solver.h"
#include "core/algorithms/convex_relu/padded_matrix.h"
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
  const PaddedMatrix<double>& gates;
};

// C-ReLU on working sets, by ReluOptions, whose lambda and time do not count. Its
// progress has as the squared subgradient that of the proximal gradient map, ||u - prox(u -
// f'(u))|| over the blocks in use, which the shortest subgradient becomes where there are no
// constraints.
std::unique_ptr<PartSolver> MakeReluPart(const ConeProblem& problem, RowLoss loss,
                                         const ReluOptions& options);

// C-ReLU by an augmented Lagrangian over all patterns. Its point is made feasible by
// multiples of the gates where that costs little, and certified like the others. With
// `relative_gap` > 0 the tolerances of `options` are lowered tenfold until that gap is reached;
// else one solve.
std::unique_ptr<PartSolver> MakeLagrangianPart(const ConeProblem& problem, RowLoss loss,
                                               const LagrangianOptions& options,
                                               double relative_gap);

// The gated network by `options`, its weights taken apart into cones. The bound is
// the gated network's, which holds for ReLU networks, too.
std::unique_ptr<PartSolver> MakeDecompositionPart(const ConeProblem& problem, RowLoss loss,
                                                  const GatedOptions& options,
                                                  const DecompositionOptions& decomposition);

}  // namespace trainyard::convex_relu
