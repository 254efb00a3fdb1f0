// Global optima of gated ReLU networks (C-GReLU).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/pattern_operator.h"
#include "core/algorithms/convex_relu/regularizer.h"
#include "core/algorithms/convex_relu/rfista.h"
#include "core/algorithms/convex_relu/row_loss.h"

namespace trainyard::convex_relu {

// Why a solver stopped.
enum class SolveEnd {
  kGap,          // the relative duality gap asked for
  kSubgradient,  // the squared subgradient norm asked for
  kIterations,
  kTime,
  kDiverged,
  kStalled,  // the arithmetic's precision gives no smaller gap
};

struct GatedOptions {
  RegularizerKind regularizer = RegularizerKind::kGroupL1;
  double lambda = 0;
  // Stop at this relative duality gap (objective - bound) / objective; negative: never.
  double relative_gap = 1e-6;
  // Group penalty only: iterate on the blocks that may be non-zero and certify over all.
  bool working_sets = true;
  // Blocks that the first working set has, and each later one may add at the least.
  int64_t least_added = 16;
  // Upper bound of ||X||_2, for screening (Ndiaye et al., gap-safe rules); 0: no screening.
  double data_norm = 0;
  // Rules of the iteration. Its subgradient rule counts without working sets only.
  RFistaOptions rfista;
  // Time that the solve may take in this process; 0: no limit.
  double time_seconds = 0;
};

// How a solve stands.
struct GatedProgress {
  double objective = 0;
  double smooth = 0;  // the loss alone
  double bound = 0;   // greatest lower bound so far; 0 where there is none
  double relative_gap = 0;
  double subgradient_norm_squared = 0;  // of the whole problem; of the working set in between
  double step = 0;
  int64_t iterations = 0;
  int64_t backtracks = 0;
  int64_t restarts = 0;
  int64_t active_blocks = 0;
  int64_t working_patterns = 0;  // of the working set; all without
  int64_t alive_patterns = 0;    // not screened
  int64_t certificates = 0;      // passes over all patterns alive
};

// Weights that are not zero, as they are found and as a solve starts from and goes on from them.
template <typename Real>
struct GatedState {
  std::vector<int64_t> patterns;  // ascending; of the whole problem
  std::vector<Real> weights;      // [output][of `patterns`][stride]
  double step = 0;                // step size to begin with; 0: the options'
  double damping = 1;             // of Newton's steps, to begin with
  int64_t patience = 0;           // iterations before Newton's method is tried; 0: no experience
  // For going on bit for bit within a solve of the same options; cleared by Restart.
  std::vector<int64_t> alive;  // patterns not screened; empty: all
  double inner_gap = 0;        // absolute gap that the next working set is solved to; 0: none was
  GatedProgress progress;
  RFistaState<Real> iteration;  // without working sets

  // Keeps weights, step size, damping and patience only: for another lambda.
  void Restart();
};

struct GatedHooks {
  std::function<absl::Status()> check;
  // Told after certificates and every few iterations.
  std::function<void(const GatedProgress&)> report;
  // Told when the state can be kept: between working sets, and between iterations without.
  std::function<absl::Status()> checkpoint;
};

// Minimises phi(sum_i D_i X u_i) + R(u) for the outputs of `loss` from `state`, in which the
// solution and the last certificate are left. The solution's `state.progress.relative_gap` holds
// for all patterns. Errors are those of the hooks.
template <typename Real>
absl::StatusOr<SolveEnd> SolveGated(PatternOperator<Real>& products, const RowLoss& loss,
                                    const GatedOptions& options, GatedState<Real>& state,
                                    const GatedHooks& hooks);

// The least lambda at which all weights are zero; nullopt for penalties that have none.
template <typename Real>
std::optional<double> LargestPenalty(PatternOperator<Real>& products, const RowLoss& loss,
                                     RegularizerKind kind);

// That of the group penalty.
template <typename Real>
double LargestLambda(PatternOperator<Real>& products, const RowLoss& loss);

}  // namespace trainyard::convex_relu
