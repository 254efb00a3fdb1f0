#include "core/algorithms/hierarchical_shrinkage/base_learner.h"

namespace trainyard {

absl::StatusOr<std::vector<double>> BaseLearner::LossPath(
    const TreeEnsemble& ensemble, const FitTask&, std::span<const uint32_t> positions,
    std::span<const double> lambdas, const std::function<absl::Status()>& check) {
  return EnsembleLossPath(ensemble, spec_.scheme(), lambdas, input_.data, positions, pool_, check);
}

std::vector<uint32_t> BaseLearner::OutOfBagRows(const FitTask&, int) const { return {}; }

absl::StatusOr<std::unique_ptr<BaseLearner>> MakeBaseLearner(
    const v1::HierarchicalShrinkageSpec& spec, const LearnerInput& input, ThreadPool& pool,
    const std::function<absl::Status()>& check) {
  if (spec.has_boosting()) return MakeBoostingLearner(spec, input, pool, check);
  return MakeTreeLearner(spec, input, pool, check);
}

}  // namespace trainyard
