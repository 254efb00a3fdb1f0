// A model of the service in place of a learner: its trees are what every fit gives.
#include "core/algorithms/hierarchical_shrinkage/base_learner.h"

namespace trainyard {
namespace {

class StoredLearner final : public BaseLearner {
 public:
  StoredLearner(const v1::HierarchicalShrinkageSpec& spec, const LearnerInput& input,
                ThreadPool& pool, const TreeEnsemble& ensemble)
      : BaseLearner(spec, input, pool), ensemble_(ensemble) {}

  TreeEnsemble Shape() const override {
    TreeEnsemble shape;
    shape.combination = ensemble_.combination;
    shape.outputs = ensemble_.outputs;
    shape.base = ensemble_.base;
    shape.tree_output = ensemble_.tree_output;
    shape.link = ensemble_.link;
    return shape;
  }

  absl::StatusOr<FittedTrees> Fit(const FitTask&, std::vector<Tree>, const FitHooks&) override {
    FittedTrees fitted;
    fitted.ensemble = ensemble_;
    return fitted;
  }

 private:
  const TreeEnsemble& ensemble_;
};

}  // namespace

std::unique_ptr<BaseLearner> MakeStoredLearner(const v1::HierarchicalShrinkageSpec& spec,
                                               const LearnerInput& input, ThreadPool& pool,
                                               const TreeEnsemble& ensemble) {
  return std::make_unique<StoredLearner>(spec, input, pool, ensemble);
}

}  // namespace trainyard
