// All problems of one data set, solved one after the other for one lambda after the other.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/part_solver.h"
#include "core/base/byte_stream.h"

namespace trainyard::convex_relu {

// What a fit found at one lambda, sums over its problems where not said otherwise.
struct FitResult {
  double lambda = 0;
  SolveEnd end = SolveEnd::kGap;  // of the problem that ended worst
  double objective = 0;
  std::optional<double> bound;  // nullopt where a problem has none
  double subgradient_norm_squared = 0;
  double constraint_violation = 0;
  double greatest_violation = 0;  // the greatest
  double step = 0;                // of the last problem
  int64_t iterations = 0;
  int64_t backtracks = 0;
  int64_t restarts = 0;
  std::optional<double> gated_objective;
  std::optional<double> norm_ratio;  // the greatest
  double seconds = 0;
  std::vector<FitBlock> blocks;

  std::optional<double> relative_gap() const;
};

void PutBlocks(const std::vector<FitBlock>& blocks, ByteWriter& writer);
std::vector<FitBlock> TakeBlocks(ByteReader& reader);
void PutFit(const FitResult& fit, ByteWriter& writer);
FitResult TakeFit(ByteReader& reader);

struct FitProgress {
  int part = 0;
  int parts = 0;
  PartProgress current;
};

struct FitHooks {
  std::function<absl::Status()> check;
  std::function<void(const FitProgress&)> report;
  std::function<absl::Status()> checkpoint;  // the fit can be saved
};

// Parts with the number of outputs that each has, in the order of outputs.
class Fit {
 public:
  struct Part {
    std::unique_ptr<PartSolver> solver;
    int outputs = 1;
  };

  explicit Fit(std::vector<Part> parts) : parts_(std::move(parts)) {}

  // The largest of the parts' largest lambdas; nullopt where the penalty has none.
  absl::StatusOr<std::optional<double>> LargestLambda(
      const std::function<absl::Status()>& check) const;

  // Puts weights in the place of those that parts start from. For solvers of working sets.
  void WarmStart(std::span<const FitBlock> blocks);

  // Solves every part, from the solution for the lambda before where there was one. A part whose
  // time is up ends the fit with kTime: later parts keep what they had.
  absl::StatusOr<FitResult> Solve(double lambda, double time_seconds, const FitHooks& hooks);

  // Weights at the moment, of a Solve under way too (when its checkpoint hook is called).
  std::vector<FitBlock> CurrentBlocks() const;

  // All that a Solve of the same lambda needs to go on; Load takes it for parts of the same kind.
  void Save(ByteWriter& writer) const;
  void Load(ByteReader& reader);

 private:
  void Add(int part, SolveEnd end);

  std::vector<Part> parts_;
  int next_part_ = 0;  // of the Solve under way
  FitResult result_;   // of the parts before
};

}  // namespace trainyard::convex_relu
