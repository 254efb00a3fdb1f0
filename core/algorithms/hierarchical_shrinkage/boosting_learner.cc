// Gradient boosting as a base learner.
#include <algorithm>
#include <numeric>
#include <utility>

#include "core/algorithms/hierarchical_shrinkage/base_learner.h"
#include "core/base/status.h"
#include "core/trees/boosting/binned_features.h"
#include "core/trees/boosting/boosting.h"
#include "core/trees/boosting/boosting_loss.h"
#include "core/trees/boosting/boosting_path.h"

namespace trainyard {
namespace {

using Options = v1::BoostingOptions;

class BoostingLearner final : public BaseLearner {
 public:
  BoostingLearner(const v1::HierarchicalShrinkageSpec& spec, const LearnerInput& input,
                  ThreadPool& pool, BinnedFeatures features, TreeEnsemble shape)
      : BaseLearner(spec, input, pool), features_(std::move(features)), shape_(std::move(shape)) {
    validation_.resize(input.data.rows.size() - input.training_count);
    std::iota(validation_.begin(), validation_.end(), static_cast<uint32_t>(input.training_count));
    for (const v1::MonotoneConstraint& constraint : spec.boosting().monotone_constraints()) {
      const auto name =
          std::find(input.feature_names.begin(), input.feature_names.end(), constraint.feature());
      if (name == input.feature_names.end()) continue;  // refused by Resolve
      directions_.resize(input.feature_names.size(), 0);
      directions_[static_cast<size_t>(name - input.feature_names.begin())] =
          constraint.direction() == v1::MonotoneConstraint::DIRECTION_INCREASING ? 1 : -1;
    }
  }

  TreeEnsemble Shape() const override { return shape_; }

  bool shrinks_in_loop() const override {
    return spec_.boosting().shrinkage_mode() == Options::SHRINKAGE_MODE_IN_LOOP;
  }

  absl::StatusOr<FittedTrees> Fit(const FitTask& task, std::vector<Tree> done,
                                  const FitHooks& hooks) override {
    BoostingSetup setup;
    setup.seed = task.seed;
    setup.scheme = spec_.scheme();
    setup.lambda = shrinks_in_loop() ? task.lambda : 0;
    const std::vector<Tree> finished = done;
    setup.finished_trees = finished;
    const double rounds = spec_.boosting().rounds();
    BoostingHooks boosting_hooks;
    boosting_hooks.check = hooks.check;
    boosting_hooks.round = [&](const BoostingRound& round, std::span<const Tree> trees) {
      if (hooks.progress) hooks.progress(round.round / rounds);
      if (hooks.round) hooks.round(round.round, round.training_loss, round.validation_loss);
      if (!hooks.trees_done) return absl::OkStatus();
      done.insert(done.end(), trees.begin(), trees.end());
      return hooks.trees_done(done);
    };
    TY_ASSIGN_OR_RETURN(
        BoostingResult result,
        FitBoosting(DataOf(task, validation_), spec_.boosting(), setup, pool_, boosting_hooks));
    FittedTrees fitted;
    fitted.ensemble = std::move(result.ensemble);
    fitted.kept_rounds = result.kept_rounds;
    fitted.stopped_early = result.stopped_early;
    return fitted;
  }

  absl::StatusOr<std::vector<double>> LossPath(
      const TreeEnsemble& ensemble, const FitTask& task, std::span<const uint32_t> positions,
      std::span<const double> lambdas, const std::function<absl::Status()>& check) override {
    return ShrinkagePathLosses(ensemble, DataOf(task, positions), spec_.boosting(), spec_.scheme(),
                               lambdas, pool_, check);
  }

 private:
  BoostingData DataOf(const FitTask& task, std::span<const uint32_t> validation) const {
    return {features_, input_.data.target, WeightsOf(task), task.rows, validation, directions_};
  }

  const BinnedFeatures features_;
  const TreeEnsemble shape_;
  std::vector<uint32_t> validation_;
  std::vector<int8_t> directions_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BaseLearner>> MakeBoostingLearner(
    const v1::HierarchicalShrinkageSpec& spec, const LearnerInput& input, ThreadPool& pool,
    const std::function<absl::Status()>& check) {
  TY_ASSIGN_OR_RETURN(const std::unique_ptr<BoostingLoss> loss,
                      MakeBoostingLoss(spec.boosting(), input.data.target));
  TreeEnsemble shape;
  shape.combination = TreeCombination::kSum;
  shape.outputs = loss->outputs();
  shape.link = loss->link();
  if (shape.outputs > 1) shape.tree_output = {0};
  std::vector<uint32_t> training(input.training_count);
  std::iota(training.begin(), training.end(), uint32_t{0});
  BinningOptions binning;
  binning.max_bins = spec.boosting().max_bins();
  binning.deciding_rows = training;
  binning.weights = input.data.weights;
  TY_ASSIGN_OR_RETURN(
      BinnedFeatures features,
      BinnedFeatures::Build(input.data.columns, input.data.rows, binning, pool, check));
  return std::make_unique<BoostingLearner>(spec, input, pool, std::move(features),
                                           std::move(shape));
}

}  // namespace trainyard
