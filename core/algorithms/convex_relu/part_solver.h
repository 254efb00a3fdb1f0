// One problem of a fit, whatever solves it: an output alone where the loss separates, else all.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/bit_matrix.h"
#include "core/algorithms/convex_relu/gated_solver.h"
#include "core/algorithms/convex_relu/padded_matrix.h"
#include "core/algorithms/convex_relu/pattern_operator.h"
#include "core/algorithms/convex_relu/row_loss.h"
#include "core/base/byte_stream.h"
#include "core/base/thread_pool.h"

namespace trainyard::convex_relu {

// How a solve of one problem stands, constraints included.
struct PartProgress {
  GatedProgress solve;
  // Whether `solve.bound` and `solve.relative_gap` mean something.
  bool bounded = true;
  // Sum of the squared violations of the cone constraints, and the greatest over the greatest |x
  // u|.
  double constraint_violation = 0;
  double greatest_violation = 0;
  // Cone decomposition: objective of the gated network, and sum of norms after over before.
  std::optional<double> gated_objective;
  std::optional<double> norm_ratio;
};

// Weights of one neuron in the scaled space.
struct FitBlock {
  int output = 0;
  int64_t pattern = 0;
  int sign = 1;                 // -1 for the blocks w of C-ReLU
  std::vector<double> weights;  // d numbers
};

struct PartHooks {
  std::function<absl::Status()> check;
  std::function<void(const PartProgress&)> report;
  std::function<absl::Status()> checkpoint;  // the solver can be saved
};

// A problem with the point that it has come to. Deterministic for any number of threads.
class PartSolver {
 public:
  virtual ~PartSolver() = default;

  // Largest lambda of interest: with that one or more all weights are zero. nullopt where the
  // penalty has none.
  virtual absl::StatusOr<std::optional<double>> LargestLambda(
      const std::function<absl::Status()>& check) = 0;

  // Goes on from the point it has come to. `time_seconds`: for this call; 0: no limit.
  virtual absl::StatusOr<SolveEnd> Solve(double lambda, double time_seconds,
                                         const PartHooks& hooks) = 0;
  // Takes these weights as the point to start from, outputs counted from the part's first; those
  // of a ReLU network must be in their cones. Solvers other than those of working sets start from
  // zero.
  virtual void WarmStart(std::span<const FitBlock> /*blocks*/) {}
  // Of the last Solve.
  virtual const PartProgress& progress() const = 0;
  // Keeps weights and step sizes only: for another lambda.
  virtual void Restart() = 0;
  // Appends the blocks that are not zero, `first_output` added to their outputs.
  virtual void Collect(int first_output, std::vector<FitBlock>& blocks) const = 0;

  // All that a Solve of the same lambda needs to go on, bit for bit.
  virtual void Save(ByteWriter& writer) const = 0;
  virtual void Load(ByteReader& reader) = 0;
};

// Gated networks by GatedOptions, whose lambda and time do not count. `products` must outlive the
// solver, which keeps the loss.
template <typename Real>
std::unique_ptr<PartSolver> MakeGatedPart(PatternOperator<Real>& products, RowLoss loss,
                                          const GatedOptions& options);

// The same by LSMR.
template <typename Real>
std::unique_ptr<PartSolver> MakeLeastSquaresPart(PatternOperator<Real>& products, RowLoss loss,
                                                 const GatedOptions& options);

}  // namespace trainyard::convex_relu
