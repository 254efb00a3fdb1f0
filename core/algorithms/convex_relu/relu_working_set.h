// Global optima of two-layer ReLU networks over given patterns (C-ReLU), to a certified gap.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/cone_blocks.h"
#include "core/algorithms/convex_relu/face_newton.h"
#include "core/algorithms/convex_relu/gated_solver.h"
#include "core/algorithms/convex_relu/pattern_operator.h"
#include "core/algorithms/convex_relu/row_loss.h"

namespace trainyard::convex_relu {

struct ReluOptions {
  double lambda = 0;  // > 0
  // Stop at this relative duality gap (objective - bound) / objective.
  double relative_gap = 1e-6;
  // Blocks that the first working set has, and each later one may add at the least.
  int64_t least_added = 10;
  // Sweeps over working sets in all.
  int64_t max_iterations = 100000;
  // Time that the solve may take in this process, in s; 0: no limit.
  double time_seconds = 0;
  FaceNewtonOptions newton;
};

// How a solve stands.
struct ReluProgress {
  double objective = 0;
  double smooth = 0;  // the loss alone
  double bound = 0;   // greatest lower bound so far
  double relative_gap = 0;
  int64_t iterations = 0;  // sweeps of block steps
  int64_t newton_steps = 0;
  int64_t certificates = 0;
  int64_t projections = 0;  // for certificates
  int64_t active_blocks = 0;
  int64_t working_blocks = 0;
};

// A point and what a solve of the same options needs to go on from it bit for bit.
struct ReluState {
  ConeWeights point;  // every block in its cone
  ReluProgress progress;
  double inner_gap = 0;  // absolute gap that the working set is solved to
  bool in_working_set = false;
  int without_progress = 0;
  double least_gap = 0;
  std::vector<ActiveRows> certificate_active;  // of the last certificate's projections

  // Keeps the point only: for another lambda.
  void Restart();
};

struct ReluHooks {
  // Asked often; an error ends the solve with it.
  std::function<absl::Status()> check;
  // Told after certificates and after each round on a working set.
  std::function<void(const ReluProgress&)> report;
  // Told when the state can be kept.
  std::function<absl::Status()> checkpoint;
};

// Minimises phi(z) + lambda sum (||v^o_i|| + ||w^o_i||), z^o = sum_i D_i X (v^o_i - w^o_i), v^o_i
// and w^o_i in K_i, over the outputs o of `loss` from `state`, in which the solution and its
// certificate are left. Outputs that a loss does not couple are solved faster one by one. Blocks
// given to start from must be in their cones. Alternates between a certificate over all patterns,
// whose most violated dual constraints join the working set, and rounds of block proximal steps and
// Newton's method on faces on the working set. `products` are of the rows and all the patterns.
// Errors are those of the hooks; INVALID_ARGUMENT for lambda <= 0.
absl::StatusOr<SolveEnd> SolveRelu(PatternOperator<double>& products, const ConeRows& rows,
                                   const PatternBits& patterns, ThreadPool& pool,
                                   const RowLoss& loss, const ReluOptions& options,
                                   ReluState& state, const ReluHooks& hooks);

// The greatest violation of the point, max over rows j and blocks of (-A v)_j, and max |A v|.
struct ConeViolation {
  double largest_violation = 0;
  double largest_product = 0;
};
ConeViolation MeasureViolation(const ConeRows& rows, const PatternBits& patterns,
                               const ConeWeights& point);

}  // namespace trainyard::convex_relu
