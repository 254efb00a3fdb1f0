// What is said of points of ReLU networks, whatever found them.
#pragma once

#include <vector>

#include "core/algorithms/convex_relu/cone_blocks.h"
#include "core/algorithms/convex_relu/part_solver.h"
#include "core/algorithms/convex_relu/relu_part.h"
#include "core/algorithms/convex_relu/row_loss.h"

namespace trainyard::convex_relu {

// Fills in `constraint_violation` and `greatest_violation`.
void MeasureCones(const ConeProblem& problem, const ConeWeights& point, PartProgress& progress);

// sum over blocks of ||u - prox(u - g)||^2 with g the loss's gradient along the block and
// prox(p) = (1 - lambda / ||Proj_K(p)||)_+ Proj_K(p): 0 where no block in use can be bettered.
double ProximalResidual(const ConeProblem& problem, const RowLoss& loss, double lambda,
                        const ConeWeights& point);

// phi(sum of sign D X u) and that plus lambda sum ||u||.
struct ConeObjective {
  double smooth = 0;
  double objective = 0;
};
ConeObjective ObjectiveOf(const ConeProblem& problem, const RowLoss& loss, double lambda,
                          const ConeWeights& point);

// Appends the blocks that are not zero, `first_output` added to their outputs.
void CollectBlocks(const ConeWeights& point, int features, int first_output,
                   std::vector<FitBlock>& blocks);

}  // namespace trainyard::convex_relu
