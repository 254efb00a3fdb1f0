// C-ReLU by an augmented Lagrangian over all patterns at once, as the paper solves it.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/cone_blocks.h"
#include "core/algorithms/convex_relu/gated_solver.h"
#include "core/algorithms/convex_relu/pattern_operator.h"
#include "core/algorithms/convex_relu/rfista.h"
#include "core/algorithms/convex_relu/row_loss.h"

namespace trainyard::convex_relu {

struct LagrangianOptions {
  double lambda = 0;
  // First penalty strength delta; 0: 1000 / n.
  double delta = 0;
  // Bounds of the squared violation V that delta is chosen for, before multipliers change.
  double window_low = 1e-3;
  double window_high = 1e-2;
  // Squared subgradient norm of the sub-problems meanwhile.
  double window_tolerance = 1e-3;
  // Stop at this squared subgradient norm of the Lagrangian and this V ...
  double tolerance = 1e-6;
  // ... and where sum |gamma . (A v)| is at most this share of the objective.
  double complementarity = 1e-4;
  // The rules of the authors' library: multipliers grow with the clipped gap (-A v)_+ only, the
  // step size starts anew with every sub-problem, and complementarity is not looked at. It stops
  // 0.2 to 4 % above the optimum.
  bool release_rules = false;
  // Iterations of all sub-problems together.
  int64_t max_iterations = 10000;
  double time_seconds = 0;  // 0: no limit
  RFistaOptions rfista;     // its tolerance and limit do not count
};

struct LagrangianProgress {
  double objective = 0;  // F, without what violations add
  double smooth = 0;
  double violation = 0;                 // V = sum (-A v)_+^2 over all blocks
  double subgradient_norm_squared = 0;  // of the Lagrangian at the next multipliers
  double complementarity = 0;           // sum |gamma . (A v)|, at the next multipliers
  double delta = 0;
  double step = 0;
  int64_t iterations = 0;
  int64_t backtracks = 0;
  int64_t outer_iterations = 0;
  int64_t active_blocks = 0;
};

// What a solve of the same options needs to go on from it bit for bit; empty at first. Blocks are
// [v, w][output][pattern].
struct LagrangianState {
  RFistaState<double> iteration;    // x is [block][stride]
  std::vector<double> multipliers;  // gamma and xi, [block][row]
  double delta = 0;
  double tolerance = 0;  // of the sub-problem
  bool in_window = true;
  LagrangianProgress progress;

  // For another lambda: keeps the point, the multipliers, delta and the step size.
  void Restart();
};

struct LagrangianHooks {
  std::function<absl::Status()> check;  // asked before every product
  std::function<void(const LagrangianProgress&)> report;
  std::function<absl::Status()> checkpoint;  // the state can be kept
};

// Minimises phi(z) + lambda sum (||v_i|| + ||w_i||), z = sum_i D_i X (v_i - w_i), v_i and w_i in
// K_i, over all outputs of `loss`:
//   L_delta = phi + lambda sum (...) + delta/2 sum ||(gamma/delta - A v)_+||^2 + the same for w
// by R-FISTA, gamma <- (gamma - delta A v)_+. The result violates the cones a little: see V, and
// ShiftIntoCones. Memory: about ten arrays of 2 P n numbers for each output. kSubgradient is the
// regular end.
absl::StatusOr<SolveEnd> SolveByLagrangian(PatternOperator<double>& products, const ConeRows& rows,
                                           const PatternBits& patterns, ThreadPool& pool,
                                           const RowLoss& loss, const LagrangianOptions& options,
                                           LagrangianState& state, const LagrangianHooks& hooks);

// The non-zero blocks of a state.
ConeWeights BlocksOf(const LagrangianState& state, int outputs, int64_t patterns, int stride);

}  // namespace trainyard::convex_relu
