// Activation patterns of sampled gates.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/bit_matrix.h"
#include "core/algorithms/convex_relu/gate_sampling.h"
#include "core/algorithms/convex_relu/padded_matrix.h"
#include "core/algorithms/convex_relu/subset_sums.h"
#include "core/base/thread_pool.h"

namespace trainyard::convex_relu {

struct GateOptions {
  // Sets each gate's last coordinate, that of the constant bias column, so that the gate is active
  // in this share of the rows (to the nearest number of rows, at least one and all but one); ties
  // between rows can leave it more. In (0, 1).
  std::optional<double> active_proportion;
  InstructionSet instruction_set = FastestInstructionSet();
};

struct GatePatterns {
  PaddedMatrix<double> gates;      // P x d, of the space of the data
  BitMatrix patterns;              // n x P
  std::vector<int64_t> positions;  // of the gates kept in the order of sampling, ascending
  int64_t sampled = 0;             // m

  int64_t count() const { return patterns.patterns(); }  // P
};

// The patterns 1[X g > 0] of all gates of a source, with X g in double precision: the first gate of
// each pattern is kept, in the order of sampling, none of the pattern of zeros. `data` is X, n x d,
// scaled, with the bias column last where there is one. P may be far below m, and 0.
// INVALID_ARGUMENT for an active proportion out of range or a last column that is not constant or
// zero; else the status of `check` (may be null), which is called now and then. Memory: n P / 2
// bytes at the most, and 128 numbers for each row.
absl::StatusOr<GatePatterns> FindPatterns(const PaddedMatrix<double>& data,
                                          const GateSource& source, const GateOptions& options,
                                          ThreadPool& pool,
                                          const std::function<absl::Status()>& check);

}  // namespace trainyard::convex_relu
