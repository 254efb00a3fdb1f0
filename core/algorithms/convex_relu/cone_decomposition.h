// Gated networks as ReLU networks: every vector as a difference of two vectors of its cone.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/cone_blocks.h"

namespace trainyard::convex_relu {

enum class DecompositionMethod {
  kExact,          // CD-SOCP: the shortest pair, certified
  kApproximate,    // CD-A: least squares violations with a small penalty, all vectors together
  kGateShift,      // w a multiple of the gate: immediate, but long
  kPseudoInverse,  // w = A^+ (-A u)_+, where the data has independent rows
};

struct DecompositionOptions {
  DecompositionMethod method = DecompositionMethod::kExact;
  // kExact: of every pair.
  double relative_gap = 1e-6;
  // kApproximate: rho, the squared subgradient norm to stop at, and the most iterations.
  double penalty = 1e-10;
  double tolerance = 1e-10;
  int64_t max_iterations = 10000;
};

struct Decomposition {
  ConeWeights point;  // of the patterns given, with v - w = u
  // sum (||v|| + ||w||) / sum ||u||; 1 without vectors.
  double norm_ratio = 1;
  double largest_gap = 0;  // kExact: relative, of all pairs
  int64_t iterations = 0;  // kExact: of all pairs
};

// Decomposes `weights`, [output][pattern][stride], of some patterns, ascending, for one or more
// outputs; vectors of zeros give no blocks, vectors in K or -K no second one. `gates` has a row for
// each of all patterns. Except for kApproximate, whose pairs violate the cones a little, the pairs
// are in their cones to rounding. Where rows of the data are orthogonal to a gate, another vector
// inside its cone takes its place (cone_inside.h). FAILED_PRECONDITION where there is none and the
// vector is no difference of two vectors of the cone, and for kPseudoInverse where the rows are
// dependent. Errors are those of `check`, too.
absl::StatusOr<Decomposition> DecomposeIntoCones(
    const ConeRows& rows, const PatternBits& patterns, const PaddedMatrix<double>& gates,
    ThreadPool& pool, const std::vector<int64_t>& chosen, const std::vector<double>& weights,
    const DecompositionOptions& options, const std::function<absl::Status()>& check);

// Makes a point feasible by adding t g to blocks of a pattern, with t just large enough: to each on
// its own, or to v and w alike, which keeps the predictions through D. Returns the greatest
// t ||g||. FAILED_PRECONDITION where a violated row is orthogonal to the gate.
absl::StatusOr<double> ShiftIntoCones(const ConeRows& rows, const PatternBits& patterns,
                                      const PaddedMatrix<double>& gates, bool keep_predictions,
                                      ConeWeights& point);

}  // namespace trainyard::convex_relu
