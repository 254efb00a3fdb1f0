#include "core/algorithms/hierarchical_shrinkage/cross_validation.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/trees/pruning.h"

namespace trainyard {
namespace {

// Positions of the training rows by whether they are in a fold.
struct FoldRows {
  std::vector<uint32_t> outside;
  std::vector<uint32_t> inside;
};

FoldRows DivideByFold(std::span<const int32_t> fold_of, int fold) {
  FoldRows rows;
  for (size_t i = 0; i < fold_of.size(); ++i) {
    (fold_of[i] == fold ? rows.inside : rows.outside).push_back(static_cast<uint32_t>(i));
  }
  return rows;
}

// The losses of one fit for all strengths and, where there are any, for all prunings.
absl::StatusOr<std::vector<double>> LossesOfFit(BaseLearner& learner, FittedTrees fitted,
                                                const FitTask& task, const FoldRows& rows,
                                                const Candidates& candidates,
                                                const std::function<absl::Status()>& check) {
  if (candidates.alphas.empty()) {
    return learner.LossPath(fitted.ensemble, task, rows.inside, candidates.lambdas, check);
  }
  std::vector<double> losses;
  Tree& tree = fitted.ensemble.trees.front();
  for (const double alpha : candidates.alphas) {
    TY_RETURN_IF_ERROR(check());
    // Greater alphas prune further: each subtree is one of the last.
    if (alpha > 0) tree = PruneCostComplexity(tree, alpha);
    TY_ASSIGN_OR_RETURN(
        const std::vector<double> own,
        learner.LossPath(fitted.ensemble, task, rows.inside, candidates.lambdas, check));
    losses.insert(losses.end(), own.begin(), own.end());
  }
  return losses;
}

}  // namespace

absl::StatusOr<std::vector<double>> ValidateFold(BaseLearner& learner, const LearnerInput& input,
                                                 std::span<const int32_t> fold_of, int fold,
                                                 const Candidates& candidates,
                                                 const v1::HierarchicalShrinkageSpec& spec,
                                                 CheckpointKeeper& keeper,
                                                 const std::function<absl::Status()>& check,
                                                 const std::function<void(double)>& progress) {
  const FoldRows rows = DivideByFold(fold_of, fold);
  if (rows.outside.empty() || rows.inside.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("fold ", fold + 1, " of ", spec.folds(), " has ", rows.inside.size(), " of ",
                     input.training_count,
                     " training rows; use fewer folds, or give lambda, where groups are "
                     "few"));
  }
  const bool in_loop = learner.shrinks_in_loop();
  const size_t fits = in_loop ? candidates.lambdas.size() : 1;
  FitTask task;
  task.rows = rows.outside;
  task.seed = static_cast<uint64_t>(spec.seed());
  std::vector<double>& losses = keeper.state().fold_losses;
  for (size_t fit = losses.size(); fit < fits; ++fit) {
    const double done = static_cast<double>(fit);
    FitHooks hooks;
    hooks.check = check;
    hooks.progress = [&](double part) { progress((done + part) / static_cast<double>(fits)); };
    hooks.trees_done = [&](std::span<const Tree> trees) { return keeper.TreesDone(trees); };
    task.lambda = in_loop ? candidates.lambdas[fit] : 0;
    TY_ASSIGN_OR_RETURN(FittedTrees fitted, learner.Fit(task, keeper.TakeTrees(false), hooks));
    if (!in_loop) {
      return LossesOfFit(learner, std::move(fitted), task, rows, candidates, check);
    }
    TY_ASSIGN_OR_RETURN(
        const std::vector<double> loss,
        learner.LossPath(fitted.ensemble, task, rows.inside, {&task.lambda, 1}, check));
    losses.push_back(loss.front());
    if (fit + 1 < fits) TY_RETURN_IF_ERROR(keeper.Save());
  }
  return std::exchange(losses, {});
}

std::vector<CandidateLoss> SummarizeFolds(const std::vector<std::vector<double>>& losses) {
  const double folds = static_cast<double>(losses.size());
  std::vector<CandidateLoss> summary(losses.empty() ? 0 : losses.front().size());
  for (size_t j = 0; j < summary.size(); ++j) {
    double sum = 0;
    for (const std::vector<double>& fold : losses) sum += fold[j];
    const double mean = sum / folds;
    double squares = 0;
    for (const std::vector<double>& fold : losses) squares += (fold[j] - mean) * (fold[j] - mean);
    summary[j] = {mean, folds > 1 ? std::sqrt(squares / (folds - 1) / folds) : 0};
  }
  return summary;
}

Choice ChooseCandidate(const Candidates& candidates, std::span<const CandidateLoss> losses) {
  const size_t width = candidates.lambdas.size();
  size_t best = losses.size() - width;
  for (size_t alpha = losses.size() / width; alpha-- > 0;) {
    for (size_t j = 0; j < width; ++j) {
      if (losses[alpha * width + j].mean < losses[best].mean) best = alpha * width + j;
    }
  }
  Choice choice;
  choice.lambda = candidates.lambdas[best % width];
  if (!candidates.alphas.empty()) choice.alpha = candidates.alphas[best / width];
  for (size_t j = 0; j < width; ++j) {
    const CandidateLoss& loss = losses[best / width * width + j];
    v1::LambdaPathPoint& point = choice.path.emplace_back();
    point.set_lambda(candidates.lambdas[j]);
    point.set_mean_loss(loss.mean);
    point.set_standard_error(loss.standard_error);
  }
  return choice;
}

std::vector<double> AlphasToTry(const Tree& tree, size_t most) {
  const std::vector<double> path = CostComplexityPath(tree).alphas;
  std::vector<double> means = {0};
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    const double mean = std::sqrt(path[i] * path[i + 1]);
    if (mean > means.back()) means.push_back(mean);
  }
  if (path.size() > 1 && path.back() > means.back()) means.push_back(path.back());
  if (means.size() <= most) return means;
  std::vector<double> chosen;
  for (size_t i = 0; i < most; ++i) {
    chosen.push_back(means[i * (means.size() - 1) / (most - 1)]);
  }
  return chosen;
}

}  // namespace trainyard
