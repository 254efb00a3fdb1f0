// Single trees and forests, which share the presorted features.
#include <utility>

#include "core/algorithms/hierarchical_shrinkage/base_learner.h"
#include "core/base/random.h"
#include "core/base/status.h"
#include "core/trees/cart.h"
#include "core/trees/figs.h"
#include "core/trees/forest.h"
#include "core/trees/forest_sampling.h"
#include "core/trees/presort.h"

namespace trainyard {
namespace {

class TreeLearner : public BaseLearner {
 public:
  TreeLearner(const v1::HierarchicalShrinkageSpec& spec, const LearnerInput& input,
              ThreadPool& pool, PresortedFeatures features)
      : BaseLearner(spec, input, pool), features_(std::move(features)) {}

  TreeEnsemble Shape() const override {
    TreeEnsemble shape;
    shape.outputs = input_.data.target.outputs;
    return shape;
  }

 protected:
  const PresortedFeatures features_;
};

class SingleTreeLearner final : public TreeLearner {
 public:
  using TreeLearner::TreeLearner;

  absl::StatusOr<FittedTrees> Fit(const FitTask& task, std::vector<Tree> done,
                                  const FitHooks& hooks) override {
    FittedTrees fitted;
    fitted.ensemble = Shape();
    if (done.empty()) {
      TY_ASSIGN_OR_RETURN(Tree tree,
                          GrowCart(features_, input_.data.target, WeightsOf(task), task.rows,
                                   spec_.cart(), pool_, {hooks.check, hooks.progress}, task.seed));
      done.push_back(std::move(tree));
    }
    fitted.ensemble.trees = std::move(done);
    return fitted;
  }
};

class FigsLearner final : public TreeLearner {
 public:
  using TreeLearner::TreeLearner;

  TreeEnsemble Shape() const override {
    TreeEnsemble shape = TreeLearner::Shape();
    shape.combination = TreeCombination::kSum;
    if (input_.data.target.classification()) shape.link = Link::kClip;
    return shape;
  }

  // So few splits that no part of a fit is worth a checkpoint.
  absl::StatusOr<FittedTrees> Fit(const FitTask& task, std::vector<Tree>,
                                  const FitHooks& hooks) override {
    FittedTrees fitted;
    TY_ASSIGN_OR_RETURN(fitted.ensemble,
                        GrowFigs(features_, input_.data.target, WeightsOf(task), task.rows,
                                 spec_.cart(), spec_.figs(), pool_, {hooks.check, hooks.progress}));
    return fitted;
  }
};

class ForestLearner final : public TreeLearner {
 public:
  using TreeLearner::TreeLearner;

  absl::StatusOr<FittedTrees> Fit(const FitTask& task, std::vector<Tree> done,
                                  const FitHooks& hooks) override {
    ForestHooks forest_hooks = {hooks.check, hooks.progress, {}};
    if (hooks.trees_done) {
      forest_hooks.tree_done = [&hooks](int number, const Tree& tree) {
        return hooks.trees_done({&tree - number, static_cast<size_t>(number) + 1});
      };
    }
    const ForestData data = {features_, input_.data.target, WeightsOf(task), task.rows};
    TY_ASSIGN_OR_RETURN(Forest forest, GrowForest(data, spec_.cart(), spec_.forest(),
                                                  OobRequest{spec_.scheme(), task.oob_lambdas},
                                                  task.seed, std::move(done), pool_, forest_hooks));
    FittedTrees fitted;
    fitted.ensemble = Shape();
    fitted.ensemble.trees = std::move(forest.trees);
    fitted.oob = std::move(forest.oob);
    return fitted;
  }

  std::vector<uint32_t> OutOfBagRows(const FitTask& task, int tree) const override {
    const ForestSampler sampler(input_.data.target, WeightsOf(task), task.rows, spec_.forest());
    Rng rng(task.seed, static_cast<uint64_t>(tree));
    std::vector<uint32_t> counts;
    sampler.DrawCounts(rng, counts);
    std::vector<uint32_t> rows;
    for (const uint32_t row : task.rows) {
      if (row >= counts.size() || counts[row] == 0) rows.push_back(row);
    }
    return rows;
  }
};

}  // namespace

absl::StatusOr<std::unique_ptr<BaseLearner>> MakeTreeLearner(
    const v1::HierarchicalShrinkageSpec& spec, const LearnerInput& input, ThreadPool& pool,
    const std::function<absl::Status()>& check) {
  TY_ASSIGN_OR_RETURN(
      PresortedFeatures features,
      PresortedFeatures::Build(input.data.columns, input.data.rows.first(input.training_count),
                               pool, check));
  if (spec.has_forest()) {
    return std::make_unique<ForestLearner>(spec, input, pool, std::move(features));
  }
  if (spec.has_figs()) {
    return std::make_unique<FigsLearner>(spec, input, pool, std::move(features));
  }
  return std::make_unique<SingleTreeLearner>(spec, input, pool, std::move(features));
}

}  // namespace trainyard
