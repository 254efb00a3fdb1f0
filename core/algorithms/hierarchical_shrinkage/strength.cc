#include "core/algorithms/hierarchical_shrinkage/strength.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/stopwatch.h"
#include "core/trees/pruning.h"
#include "core/trees/shrinkage.h"

namespace trainyard {
namespace {

constexpr size_t kMostAlphas = 50;

}  // namespace

std::vector<double> StrengthSelector::Lambdas() const {
  if (spec_.has_lambda()) return {spec_.lambda()};
  return {spec_.lambda_grid().begin(), spec_.lambda_grid().end()};
}

absl::StatusOr<ShrunkTrees> StrengthSelector::Run(const std::vector<int32_t>& fold_of) {
  rows_.resize(input_.training_count);
  std::iota(rows_.begin(), rows_.end(), uint32_t{0});
  Candidates candidates = {Lambdas(), {}};
  report_.set_selection(spec_.selection());
  double lambda = spec_.lambda();
  FittedTrees fitted;
  if (spec_.tune_ccp_alpha()) {
    // Which alphas there are to try is up to the tree on all rows.
    TY_ASSIGN_OR_RETURN(fitted, FinalFit(0));
    Tree& tree = fitted.ensemble.trees.front();
    candidates.alphas = AlphasToTry(tree, kMostAlphas);
    TY_ASSIGN_OR_RETURN(const Choice choice, CrossValidate(fold_of, candidates));
    lambda = choice.lambda;
    if (choice.alpha > 0) tree = PruneCostComplexity(tree, choice.alpha);
    report_.set_ccp_alpha(choice.alpha);
    return ShrinkAll(std::move(fitted), lambda);
  }
  if (spec_.selection() == Spec::SELECTION_CROSS_VALIDATION) {
    TY_ASSIGN_OR_RETURN(const Choice choice, CrossValidate(fold_of, candidates));
    lambda = choice.lambda;
  }
  TY_ASSIGN_OR_RETURN(fitted, FinalFit(lambda));
  if (out_of_bag() && !spec_.lambda_per_tree()) {
    TY_ASSIGN_OR_RETURN(lambda, ChooseOutOfBag(fitted));
  }
  return ShrinkAll(std::move(fitted), lambda);
}

absl::StatusOr<Choice> StrengthSelector::CrossValidate(const std::vector<int32_t>& fold_of,
                                                       const Candidates& candidates) {
  TrainingState& state = keeper_.state();
  for (int fold = static_cast<int>(state.losses.size()); fold < spec_.folds(); ++fold) {
    const Stopwatch stopwatch;
    progress_.Folds(fold, 0);
    TY_ASSIGN_OR_RETURN(
        std::vector<double> losses,
        ValidateFold(learner_, input_, fold_of, fold, candidates, spec_, keeper_, check(),
                     [this, fold](double part) { progress_.Folds(fold, part); }));
    TY_RETURN_IF_ERROR(context_.CheckCancelled());
    for (size_t j = 0; j < candidates.lambdas.size(); ++j) {
      context_.ReportMetrics(static_cast<int64_t>(j),
                             {{absl::StrCat("cv/fold_", fold + 1, "/loss"), losses[j]}});
    }
    state.losses.push_back(std::move(losses));
    state.seconds += stopwatch.Seconds();
    TY_RETURN_IF_ERROR(keeper_.Save());
  }
  progress_.Folds(spec_.folds(), 0);
  Choice choice = ChooseCandidate(candidates, SummarizeFolds(state.losses));
  TY_RETURN_IF_ERROR(ReportPath(choice));
  report_.set_cv_seconds(state.seconds);
  return choice;
}

absl::Status StrengthSelector::ReportPath(const Choice& choice) {
  if (!spec_.has_lambda()) {
    report_.mutable_lambda_path()->Add(choice.path.begin(), choice.path.end());
  }
  if (keeper_.state().path_reported) return absl::OkStatus();
  for (size_t j = 0; j < choice.path.size(); ++j) {
    context_.ReportMetrics(static_cast<int64_t>(j),
                           {{"cv/lambda", choice.path[j].lambda()},
                            {"cv/loss", choice.path[j].mean_loss()},
                            {"cv/standard_error", choice.path[j].standard_error()}});
  }
  keeper_.state().path_reported = true;
  return keeper_.Save();
}

FitTask StrengthSelector::FinalTask(double lambda) const {
  FitTask task;
  task.rows = rows_;
  task.lambda = lambda;
  task.seed = static_cast<uint64_t>(spec_.seed());
  if (!spec_.has_forest()) return task;
  task.oob_lambdas = {0};  // for the score without shrinkage
  if (out_of_bag()) {
    for (const double one : Lambdas()) {
      if (one > 0) task.oob_lambdas.push_back(one);
    }
  } else if (lambda > 0) {
    task.oob_lambdas.push_back(lambda);
  }
  if (spec_.lambda_per_tree()) task.oob_lambdas = {0};
  return task;
}

absl::StatusOr<FittedTrees> StrengthSelector::FinalFit(double lambda) {
  FitHooks hooks;
  hooks.check = check();
  hooks.progress = [this](double part) { progress_.FinalFit(part); };
  hooks.trees_done = [this](std::span<const Tree> trees) { return keeper_.TreesDone(trees); };
  hooks.round = [this](int round, double training_loss, double validation_loss) {
    std::vector<std::pair<std::string, double>> values = {{"boosting/train_loss", training_loss}};
    if (!std::isnan(validation_loss))
      values.emplace_back("boosting/validation_loss", validation_loss);
    context_.ReportMetrics(round, values);
  };
  progress_.FinalFit(0);
  const Stopwatch stopwatch;
  const FitTask task = FinalTask(lambda);
  TY_ASSIGN_OR_RETURN(FittedTrees fitted, learner_.Fit(task, keeper_.TakeTrees(true), hooks));
  report_.set_fit_seconds(stopwatch.Seconds());
  if (spec_.has_boosting()) {
    report_.set_kept_rounds(fitted.kept_rounds);
    report_.set_stopped_early(fitted.stopped_early);
  }
  return fitted;
}

absl::StatusOr<double> StrengthSelector::ChooseOutOfBag(const FittedTrees& fitted) {
  const std::vector<OobScore> scores =
      ScoreOob(fitted.oob, input_.data.target, input_.data.weights, rows_);
  const std::vector<double> lambdas = Lambdas();
  double best = lambdas.front();
  double least = HUGE_VAL;
  int64_t step = 0;
  for (const OobScore& score : scores) {
    if (std::find(lambdas.begin(), lambdas.end(), score.lambda) == lambdas.end()) continue;
    if (std::isnan(score.loss)) {
      return absl::InvalidArgumentError(
          "no training row is out of bag in any tree; choose lambda by cross-validation, or give "
          "the forest more trees");
    }
    v1::LambdaPathPoint& point = *report_.add_lambda_path();
    point.set_lambda(score.lambda);
    point.set_mean_loss(score.loss);
    point.set_standard_error(score.loss_error);
    context_.ReportMetrics(step++, {{"oob/lambda", score.lambda},
                                    {"oob/loss", score.loss},
                                    {"oob/standard_error", score.loss_error}});
    if (score.loss < least) {
      least = score.loss;
      best = score.lambda;
    }
  }
  return best;
}

absl::Status StrengthSelector::ChoosePerTree(FittedTrees& fitted, ShrunkTrees& result) {
  const std::vector<double> lambdas = Lambdas();
  const FitTask task = FinalTask(0);
  TreeEnsemble one = learner_.Shape();
  one.trees.resize(1);
  for (size_t t = 0; t < fitted.ensemble.trees.size(); ++t) {
    const std::vector<uint32_t> rows = learner_.OutOfBagRows(task, static_cast<int>(t));
    double lambda = lambdas.front();
    if (!rows.empty()) {
      std::swap(one.trees.front(), fitted.ensemble.trees[t]);
      const auto losses = learner_.LossPath(one, task, rows, lambdas, check());
      std::swap(one.trees.front(), fitted.ensemble.trees[t]);
      TY_RETURN_IF_ERROR(losses.status());
      lambda = lambdas[static_cast<size_t>(std::min_element(losses->begin(), losses->end()) -
                                           losses->begin())];
    }
    result.tree_lambda.push_back(lambda);
    result.lambda += lambda / static_cast<double>(fitted.ensemble.trees.size());
  }
  return absl::OkStatus();
}

void StrengthSelector::ReportOutOfBag(const FittedTrees& fitted, double lambda) {
  if (fitted.oob.empty()) return;
  for (const OobScore& score :
       ScoreOob(fitted.oob, input_.data.target, input_.data.weights, rows_)) {
    if (std::isnan(score.score)) continue;
    if (score.lambda == 0) report_.set_oob_score_plain(score.score);
    if (score.lambda == lambda && !spec_.lambda_per_tree()) {
      report_.set_oob_score_shrunk(score.score);
    }
  }
}

absl::StatusOr<ShrunkTrees> StrengthSelector::ShrinkAll(FittedTrees fitted, double lambda) {
  ReportOutOfBag(fitted, lambda);
  ShrunkTrees result;
  result.lambda = lambda;
  if (spec_.lambda_per_tree()) {
    result.lambda = 0;
    TY_RETURN_IF_ERROR(ChoosePerTree(fitted, result));
  }
  const Stopwatch stopwatch;
  double degrees = 0;
  int64_t leaves = 0;
  int depth = 0;
  for (size_t t = 0; t < fitted.ensemble.trees.size(); ++t) {
    TY_RETURN_IF_ERROR(context_.CheckCancelled());
    Tree& tree = fitted.ensemble.trees[t];
    const double own = result.tree_lambda.empty() ? lambda : result.tree_lambda[t];
    Shrink(spec_.scheme(), own, tree);
    degrees += EffectiveDegreesOfFreedom(tree, spec_.scheme(), own);
    leaves += tree.leaf_count();
    depth = std::max(depth, tree.depth());
  }
  report_.set_shrink_seconds(stopwatch.Seconds());
  report_.set_lambda(result.lambda);
  report_.mutable_tree_lambdas()->Assign(result.tree_lambda.begin(), result.tree_lambda.end());
  report_.set_tree_count(static_cast<int32_t>(fitted.ensemble.trees.size()));
  report_.set_leaf_count(leaves);
  report_.set_depth(depth);
  report_.set_effective_degrees_of_freedom(degrees);
  result.ensemble = std::move(fitted.ensemble);
  return result;
}

}  // namespace trainyard
