// Training of two-layer networks by stochastic gradients, which the convex programs are compared
// with: their objective and data, several optimisers, steps and seeds.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/nonconvex_network.h"
#include "core/algorithms/convex_relu/nonconvex_optimizer.h"
#include "core/algorithms/convex_relu/padded_matrix.h"
#include "core/base/thread_pool.h"

namespace trainyard::convex_relu {

// One optimiser and the steps that it is tried with.
struct OptimizerTrial {
  OptimizerSettings settings;
  std::vector<double> steps;  // each > 0
};

// There is one run for every trial, step and seed.
struct NonconvexOptions {
  int64_t neurons = 100;  // m of a ReLU network; a gated one has a neuron for each gate
  // Minimised: loss + penalty/2 (||first||^2 + ||second||^2); >= 0.
  double penalty = 1e-4;
  std::vector<OptimizerTrial> trials;
  std::vector<uint64_t> seeds;
  int epochs = 1000;            // >= 1
  double batch_fraction = 0.1;  // of the rows, in (0, 1]; at least one row
  // After every `decay_epochs` epochs the step is multiplied by `decay`; 0: never.
  int decay_epochs = 100;
  double decay = 0.5;  // in (0, 1]
  // First weights are uniform in +-initial_scale / sqrt(inputs of the layer).
  double initial_scale = 1;
  int record_epochs = 1;  // the history has every so manieth epoch, the first state and the last
  // A run ends early as diverged when its objective is not finite or above this factor times
  // that of zero weights and of its first weights.
  double divergence_factor = 1000;
  bool keep_weights = true;
};

// The state after `epoch` epochs.
struct EpochRecord {
  int epoch = 0;
  double objective = 0;         // of all rows; products in float, sums in double
  double seconds = 0;           // of training alone up to here, without evaluation
  std::vector<double> metrics;  // what NonconvexHooks::metrics returned
};

struct NonconvexRun {
  size_t trial = 0;  // position in NonconvexOptions::trials
  double step = 0;   // at first
  uint64_t seed = 0;
  std::vector<EpochRecord> history;
  double objective = 0;  // at the end, all in double; infinite when diverged
  double seconds = 0;    // of training alone
  bool diverged = false;
  NetworkWeights<float> weights;  // empty unless kept
};

struct NonconvexProgress {
  size_t run = 0;
  size_t runs = 0;
  int epoch = 0;
  int epochs = 0;
  double objective = 0;
};

// What a training asks of the outside. Any may be null.
struct NonconvexHooks {
  // An error ends all runs and is returned. Called at least every 20 ms, but for the time that
  // taking the memory of large layers lasts; never by two threads at once.
  WorkCheck check;
  // After each record of a run. Never called by two threads at once.
  std::function<void(const NonconvexProgress&)> progress;
  // Figures for the history, such as accuracies; called by several threads at once, with a check to
  // call in turn. An error ends all runs and is returned.
  std::function<absl::StatusOr<std::vector<double>>(const NetworkWeights<float>& weights,
                                                    const WorkCheck& check)>
      metrics;
};

// Trains all runs, side by side on the pool's threads, each by one thread. `gates` (m x d, in the
// space of the features) null: a ReLU network. Returns the runs ordered by trial, step and seed;
// all but the times is the same for any number of threads. Runs of one seed begin with the same
// weights and see the same batches. INVALID_ARGUMENT for options or data out of range,
// RESOURCE_EXHAUSTED when memory is short during the runs.
absl::StatusOr<std::vector<NonconvexRun>> TrainNonconvex(const NetworkData& data,
                                                         const PaddedMatrix<float>* gates,
                                                         const NonconvexOptions& options,
                                                         const NonconvexHooks& hooks,
                                                         ThreadPool& pool);

// Predicts the same rows with the weights of several networks.
class NonconvexPredictor {
 public:
  // Both are in the space of the training's features and outlive the predictor; `gates` as in
  // TrainNonconvex. `check` is called by several threads at once.
  static absl::StatusOr<NonconvexPredictor> Make(const PaddedMatrix<float>& features,
                                                 const PaddedMatrix<float>* gates,
                                                 const WorkCheck& check, ThreadPool& pool);

  // Predictions [output][row], by the calling thread alone. Thread-safe.
  absl::StatusOr<std::vector<float>> Predict(const NetworkWeights<float>& weights,
                                             const WorkCheck& check) const;

 private:
  NonconvexPredictor(const PaddedMatrix<float>& features, std::optional<GateMask> mask)
      : features_(&features), mask_(std::move(mask)) {}

  const PaddedMatrix<float>* features_;
  std::optional<GateMask> mask_;
};

// The objectives of one trial's step over the seeds.
struct StepSummary {
  size_t trial = 0;
  double step = 0;
  int runs = 0;
  int diverged = 0;
  // Infinite when a run diverged; the least is over the others.
  double mean = 0;
  double least = 0;
  double greatest = 0;
  double spread = 0;   // (greatest - least) / mean
  double seconds = 0;  // mean
};

// One summary for each trial and step, in their order.
std::vector<StepSummary> SummarizeSteps(std::span<const NonconvexRun> runs);
// For each trial the step of the least mean objective (the earliest of equals).
std::vector<StepSummary> BestSteps(std::span<const StepSummary> steps);

}  // namespace trainyard::convex_relu
