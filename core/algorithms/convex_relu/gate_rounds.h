// Rounds of a job that add activation patterns to those that were sampled.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/bit_matrix.h"
#include "core/algorithms/convex_relu/fit.h"
#include "core/algorithms/convex_relu/training_problem.h"
#include "core/base/byte_stream.h"
#include "core/base/thread_pool.h"
#include "trainyard/v1/convex_relu.pb.h"

namespace trainyard::convex_relu {

// How far the rounds are: all that a job needs to go on bit for bit.
struct GateRounds {
  int rounds = 0;        // begun: each adds patterns and solves again
  bool solving = false;  // the last of them is under way
  int64_t patterns_added = 0;
  double objective_before = 0;  // over the sampled patterns
  // (greatest dual norm of any pattern come across) / lambda - 1 at the newest solution, at least
  // 0.
  double largest_violation = 0;
  std::vector<AddedPattern> added;  // of the newest solve, behind the sampled ones
  std::vector<FitBlock> start;      // where it began
  FitResult fit;                    // the newest solution
};

void PutRounds(const GateRounds& rounds, ByteWriter& writer);
GateRounds TakeRounds(ByteReader& reader);

// Looks for patterns that the solution `rounds.fit` of `problem` lacks, whose patterns are `known`,
// by the spec's gate_search, and sets `largest_violation`. Where `extend`, new patterns become
// those of the next round, and the answer is whether there are any: `added` keeps the ones in use
// beside the new ones, and `start` is the solution in their numbers. A ReLU network's neurons leave
// the cones of their patterns first, together with new ones (DescendNeurons); the patterns that
// they end in are the new ones, with what a last search finds. Errors are those of `check`, which
// several threads ask.
absl::StatusOr<bool> ExtendPatterns(const v1::ConvexReluSpec& spec, const TrainingProblem& problem,
                                    const BitMatrix& known, bool extend, GateRounds& rounds,
                                    ThreadPool& pool, const std::function<absl::Status()>& check);

}  // namespace trainyard::convex_relu
