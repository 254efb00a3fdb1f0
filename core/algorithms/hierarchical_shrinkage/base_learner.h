// What is shrunk: learners of trees behind one interface.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/hierarchical_shrinkage/loss_path.h"
#include "core/base/thread_pool.h"
#include "core/trees/ensemble.h"
#include "core/trees/forest_oob.h"
#include "trainyard/v1/hierarchical_shrinkage.pb.h"

namespace trainyard {

// The rows of a job: positions [0, training_count) are the training rows, the others validate.
struct LearnerInput {
  LearnerData data;
  size_t training_count = 0;
  std::vector<std::string> feature_names;
};

// One fit.
struct FitTask {
  std::span<const uint32_t> rows;  // positions of training rows, ascending
  // Row weights instead of the data's where given, by position.
  std::span<const double> weights;
  // Strength used while the trees grow; only for learners that shrink in the loop.
  double lambda = 0;
  // Strengths to make out-of-bag values for; only for forests. Empty for none.
  std::vector<double> oob_lambdas;
  // Seed of everything random.
  uint64_t seed = 0;
};

// What a fit asks of and tells its owner. Each may be empty.
struct FitHooks {
  // Not OK: the fit stops and returns this status. Called at least every 50 ms, from any thread.
  std::function<absl::Status()> check;
  // Share that is done, 0 to 1, rising; from any thread.
  std::function<void(double fraction)> progress;
  // All trees finished so far, in order, so that a later fit can go on after them; called after
  // each tree or round, by one thread at a time. Not OK: the fit stops and returns this status.
  std::function<absl::Status(std::span<const Tree> trees)> trees_done;
  // A boosting round and its losses.
  std::function<void(int round, double training_loss, double validation_loss)> round;
};

// What a fit gives: trees with value = mean, or shrunk where they were shrunk in the loop.
struct FittedTrees {
  TreeEnsemble ensemble;
  ForestOob oob;        // forests, where it was asked for; rows as in FitTask::rows
  int kept_rounds = 0;  // boosting
  bool stopped_early = false;
};

// A learner with its data, prepared once for all fits of a job. One fit at a time.
class BaseLearner {
 public:
  virtual ~BaseLearner() = default;

  // The ensemble of every fit, without trees.
  virtual TreeEnsemble Shape() const = 0;

  // Whether the strength bears on the growth, so that each needs a fit of its own.
  virtual bool shrinks_in_loop() const { return false; }

  // Fits; `done` are the first trees of the same fit, as an earlier attempt reported them. The
  // result does not depend on the number of threads or on `done`.
  virtual absl::StatusOr<FittedTrees> Fit(const FitTask& task, std::vector<Tree> done,
                                          const FitHooks& hooks) = 0;

  // Mean loss at the given positions for every strength, of an ensemble that `task` gave. As
  // EnsembleLossPath; boosting has its own loss.
  virtual absl::StatusOr<std::vector<double>> LossPath(const TreeEnsemble& ensemble,
                                                       const FitTask& task,
                                                       std::span<const uint32_t> positions,
                                                       std::span<const double> lambdas,
                                                       const std::function<absl::Status()>& check);

  // The rows of `task` that tree `tree` of a forest did not draw, ascending; empty for others.
  virtual std::vector<uint32_t> OutOfBagRows(const FitTask& task, int tree) const;

 protected:
  BaseLearner(const v1::HierarchicalShrinkageSpec& spec, const LearnerInput& input,
              ThreadPool& pool)
      : spec_(spec), input_(input), pool_(pool) {}

  std::span<const double> WeightsOf(const FitTask& task) const {
    return task.weights.empty() ? input_.data.weights : task.weights;
  }

  const v1::HierarchicalShrinkageSpec& spec_;
  const LearnerInput& input_;
  ThreadPool& pool_;
};

// Prepares the learner that `spec` (resolved) asks for; all references must outlive it. Returns
// what `check` returns when that is not OK.
absl::StatusOr<std::unique_ptr<BaseLearner>> MakeBaseLearner(
    const v1::HierarchicalShrinkageSpec& spec, const LearnerInput& input, ThreadPool& pool,
    const std::function<absl::Status()>& check);

// A learner whose every fit gives `ensemble`, which must outlive it.
std::unique_ptr<BaseLearner> MakeStoredLearner(const v1::HierarchicalShrinkageSpec& spec,
                                               const LearnerInput& input, ThreadPool& pool,
                                               const TreeEnsemble& ensemble);

// The learners, for MakeBaseLearner.
absl::StatusOr<std::unique_ptr<BaseLearner>> MakeTreeLearner(
    const v1::HierarchicalShrinkageSpec& spec, const LearnerInput& input, ThreadPool& pool,
    const std::function<absl::Status()>& check);
absl::StatusOr<std::unique_ptr<BaseLearner>> MakeBoostingLearner(
    const v1::HierarchicalShrinkageSpec& spec, const LearnerInput& input, ThreadPool& pool,
    const std::function<absl::Status()>& check);

}  // namespace trainyard
