#include "core/algorithms/hierarchical_shrinkage/evaluation.h"

#include <algorithm>
#include <utility>

#include "core/trees/explain/importance.h"

namespace trainyard {
namespace {

void SwapMeansAndValues(TreeEnsemble& ensemble) {
  for (Tree& tree : ensemble.trees) std::swap(tree.mean, tree.value);
}

}  // namespace

TreePredictor PlainPredictor(TreeEnsemble& ensemble) {
  SwapMeansAndValues(ensemble);
  TreePredictor predictor(ensemble);
  SwapMeansAndValues(ensemble);
  return predictor;
}

std::vector<v1::FeatureImportance> FeatureImportances(const TreeEnsemble& ensemble,
                                                      std::span<const std::string> names,
                                                      size_t most) {
  const std::vector<double> shares = ImpurityImportance(ensemble, static_cast<int>(names.size()));
  std::vector<size_t> order;
  for (size_t f = 0; f < shares.size(); ++f) {
    if (shares[f] > 0) order.push_back(f);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return shares[a] > shares[b]; });
  if (order.size() > most) order.resize(most);
  std::vector<v1::FeatureImportance> importances;
  for (const size_t f : order) {
    v1::FeatureImportance& importance = importances.emplace_back();
    importance.set_feature(names[f]);
    importance.set_importance(shares[f]);
  }
  return importances;
}

}  // namespace trainyard
