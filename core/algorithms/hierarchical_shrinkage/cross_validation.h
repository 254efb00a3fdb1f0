// Choice of the strength by cross-validation: one fit per fold serves every strength.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/algorithms/hierarchical_shrinkage/base_learner.h"
#include "core/algorithms/hierarchical_shrinkage/checkpoint_keeper.h"
#include "trainyard/v1/hierarchical_shrinkage.pb.h"

namespace trainyard {

// What is tried: every alpha of cost-complexity pruning with every strength.
struct Candidates {
  std::vector<double> lambdas;  // ascending
  std::vector<double> alphas;   // ascending; empty: the trees are taken as they are

  size_t count() const { return lambdas.size() * std::max<size_t>(alphas.size(), 1); }
};

// Fits on the training positions outside fold `fold` and returns the mean loss of every candidate,
// [alpha][lambda], on those inside. Learners that shrink in the loop are fitted once per strength.
// `progress` is told the share of the fold that is done. Goes on where `keeper` says that an
// earlier attempt ended, and keeps it up to date. INVALID_ARGUMENT when either set of rows is
// empty; else as BaseLearner::Fit.
absl::StatusOr<std::vector<double>> ValidateFold(BaseLearner& learner, const LearnerInput& input,
                                                 std::span<const int32_t> fold_of, int fold,
                                                 const Candidates& candidates,
                                                 const v1::HierarchicalShrinkageSpec& spec,
                                                 CheckpointKeeper& keeper,
                                                 const std::function<absl::Status()>& check,
                                                 const std::function<void(double)>& progress);

// Mean and standard error (standard deviation over folds / sqrt(folds)) of every candidate.
struct CandidateLoss {
  double mean = 0;
  double standard_error = 0;
};
std::vector<CandidateLoss> SummarizeFolds(const std::vector<std::vector<double>>& losses);

// The candidate of least mean loss. Of equal ones that of greatest alpha, then of least lambda.
struct Choice {
  double lambda = 0;
  double alpha = 0;
  std::vector<v1::LambdaPathPoint> path;  // of the chosen alpha
};
Choice ChooseCandidate(const Candidates& candidates, std::span<const CandidateLoss> losses);

// At most `most` alphas to try for a tree, ascending from 0: geometric means of neighbouring alphas
// of its pruning path, each of which stands for one of its subtrees (Breiman et al. 1984, 11.6).
std::vector<double> AlphasToTry(const Tree& tree, size_t most);

}  // namespace trainyard
