// The convex problem that rows of a table make: scaled data, targets and activation patterns.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/fit.h"
#include "core/algorithms/convex_relu/gates.h"
#include "core/algorithms/convex_relu/network_model.h"
#include "core/algorithms/convex_relu/padded_matrix.h"
#include "core/algorithms/convex_relu/row_loss.h"
#include "core/algorithms/table_learning.h"
#include "core/base/thread_pool.h"
#include "core/data/dense_encoder.h"
#include "trainyard/v1/convex_relu.pb.h"

namespace trainyard::convex_relu {

// A pattern that is none of a sampled gate.
struct AddedPattern {
  std::vector<double> gate;    // d numbers, of the scaled space
  std::vector<uint64_t> bits;  // BitBlocks(rows) words
};

// Immutable once built, but for TakePatterns and SetAdded. The raw numbers of a row are what
// `encoder` makes of it; the scaled space has them divided by `norms`, with a constant column last
// where the network has a bias.
class TrainingProblem {
 public:
  // For some rows of `data`, at least two. `gate_table` is that of uploaded gates, else null.
  // INVALID_ARGUMENT when columns cannot be encoded, uploaded gates do not fit, or no gate is
  // active on any row. `check` ends the work with its status.
  static absl::StatusOr<std::unique_ptr<TrainingProblem>> Build(
      const v1::ConvexReluSpec& spec, const LearningTable& data, std::span<const int64_t> rows,
      const Table* gate_table, ThreadPool& pool, const std::function<absl::Status()>& check);

  TrainingProblem(const TrainingProblem&) = delete;
  TrainingProblem& operator=(const TrainingProblem&) = delete;

  const DenseEncoder& encoder() const { return encoder_; }
  const PaddedMatrix<double>& data() const { return data_; }  // n x d
  const std::vector<double>& norms() const { return norms_; }
  // Targets of the solver: centred for a regression where the spec says so, else -1 and 1 or one
  // column of 0 and 1 for each class.
  const Targets& targets() const { return targets_; }
  const PaddedMatrix<double>& gates() const { return gates_.gates; }  // P x d
  int64_t gates_drawn() const { return gates_.sampled; }
  int64_t patterns() const { return gates_.gates.rows(); }  // P
  // The patterns themselves, once.
  BitMatrix TakePatterns() { return std::move(gates_.patterns); }
  // Those of sampled gates, which come first.
  int64_t sampled_patterns() const { return static_cast<int64_t>(gates_.positions.size()); }
  // The sampled patterns, the first of `known`, and then these, in the place of others that were
  // added before; for TakePatterns again.
  void SetAdded(const BitMatrix& known, std::span<const AddedPattern> added, ThreadPool& pool);
  bool has_bias() const { return has_bias_; }
  // At least ||data||_2.
  double data_norm() const { return data_norm_; }

  // The network of the solution's blocks, with all that applies it to tables.
  absl::StatusOr<NetworkModel> ModelOf(std::span<const FitBlock> blocks) const;

  // loss(network) + lambda/2 x the squares of its weights in the scaled space, by a forward pass
  // over the encoded rows that this was built from.
  absl::StatusOr<double> NetworkObjective(const NetworkModel& model, double lambda,
                                          ThreadPool& pool,
                                          const std::function<absl::Status()>& check) const;

 private:
  TrainingProblem(const v1::ConvexReluSpec& spec, const LearningTable& data,
                  std::span<const int64_t> rows, DenseEncoder encoder);

  absl::Status EncodeRows(ThreadPool& pool, const std::function<absl::Status()>& check);
  void ScaleColumns();
  void MakeTargets();
  absl::Status SampleGates(const Table* gate_table, ThreadPool& pool,
                           const std::function<absl::Status()>& check);
  absl::StatusOr<std::unique_ptr<GateSource>> Source(const Table* gate_table) const;
  absl::StatusOr<PaddedMatrix<double>> UploadedGates(const Table& table) const;
  std::vector<int> PixelsKept() const;
  void BoundNorm();

  const v1::ConvexReluSpec& spec_;
  const LearningTable& table_;
  const std::vector<int64_t> rows_;
  const DenseEncoder encoder_;
  const bool has_bias_;
  PaddedMatrix<double> data_;
  std::vector<double> norms_;
  Targets targets_;
  std::vector<double> output_offset_;
  GatePatterns gates_;
  double data_norm_ = 0;
};

// Solvers of a problem, with the products that they share.
class ProblemSolver {
 public:
  virtual ~ProblemSolver() = default;
  virtual Fit& fit() = 0;
  // Those of the problem.
  virtual const BitMatrix& patterns() const = 0;
  // Of all products so far.
  virtual ProductWork work() const = 0;
};

// Takes the problem's patterns; `problem` and `pool` must outlive it. Products end early when
// `stopped` is true, which any thread asks; then the hooks' checks must fail, too.
std::unique_ptr<ProblemSolver> MakeProblemSolver(const v1::ConvexReluSpec& spec,
                                                 TrainingProblem& problem, ThreadPool& pool,
                                                 std::function<bool()> stopped);

}  // namespace trainyard::convex_relu
