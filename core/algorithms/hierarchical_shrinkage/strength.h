// From a learner to shrunk trees: the choice of the strength, the final fit, the shrinkage.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/algorithms/hierarchical_shrinkage/base_learner.h"
#include "core/algorithms/hierarchical_shrinkage/checkpoint_keeper.h"
#include "core/algorithms/hierarchical_shrinkage/cross_validation.h"
#include "core/algorithms/hierarchical_shrinkage/progress.h"
#include "core/training/training_context.h"
#include "trainyard/v1/hierarchical_shrinkage.pb.h"

namespace trainyard {

// The trees of a job, shrunk.
struct ShrunkTrees {
  TreeEnsemble ensemble;
  double lambda = 0;                // the mean over trees where each has its own
  std::vector<double> tree_lambda;  // empty, or one per tree
};

// Carries a job through its fits. Fills in what the report says about them.
class StrengthSelector {
 public:
  // All references outlive it. `fold_of` is the fold of each training position; empty where there
  // is no cross-validation.
  StrengthSelector(const v1::HierarchicalShrinkageSpec& spec, const LearnerInput& input,
                   BaseLearner& learner, CheckpointKeeper& keeper, const JobProgress& progress,
                   TrainingContext& context, v1::HierarchicalShrinkageReport& report)
      : spec_(spec),
        input_(input),
        learner_(learner),
        keeper_(keeper),
        progress_(progress),
        context_(context),
        report_(report) {}

  absl::StatusOr<ShrunkTrees> Run(const std::vector<int32_t>& fold_of);

 private:
  using Spec = v1::HierarchicalShrinkageSpec;

  std::function<absl::Status()> check() const {
    return [this] { return context_.CheckCancelled(); };
  }
  bool out_of_bag() const { return spec_.selection() == Spec::SELECTION_OOB; }
  std::vector<double> Lambdas() const;
  absl::StatusOr<Choice> CrossValidate(const std::vector<int32_t>& fold_of,
                                       const Candidates& candidates);
  absl::Status ReportPath(const Choice& choice);
  FitTask FinalTask(double lambda) const;
  absl::StatusOr<FittedTrees> FinalFit(double lambda);
  absl::StatusOr<double> ChooseOutOfBag(const FittedTrees& fitted);
  absl::Status ChoosePerTree(FittedTrees& fitted, ShrunkTrees& result);
  void ReportOutOfBag(const FittedTrees& fitted, double lambda);
  absl::StatusOr<ShrunkTrees> ShrinkAll(FittedTrees fitted, double lambda);

  const Spec& spec_;
  const LearnerInput& input_;
  BaseLearner& learner_;
  CheckpointKeeper& keeper_;
  const JobProgress& progress_;
  TrainingContext& context_;
  v1::HierarchicalShrinkageReport& report_;
  std::vector<uint32_t> rows_;  // all training positions
};

}  // namespace trainyard
