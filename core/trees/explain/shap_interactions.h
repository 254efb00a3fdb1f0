// SHAP interaction values: how much of a feature's contribution comes from pairs of features.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "core/trees/explain/path_shap.h"

namespace trainyard {

// Interactions of the path-dependent game of PathShap. For i != j
//     phi_ij = 1/2 sum over leaves of v (o_i - z_i) (o_j - z_j) Int prod_{k != i, j} q_k dt,
// and phi_ii = phi_i - sum over j != i of phi_ij: rows of the matrix sum to phi, all of it to the
// raw score minus the base. Immutable and thread-safe.
class ShapInteractions {
 public:
  // As PathShap, and for each feature the list of the nodes on paths with it.
  ShapInteractions(const TreeEnsemble& ensemble, int feature_count, StopToken& stop);

  const PathShap& shap() const { return shap_; }

  // phi_ij of rows [begin, begin + count) as [row][output][i][j]; symmetric up to rounding. One
  // pass per feature over the nodes that lie on a path with it. As PathShap::Explain else.
  absl::Status Explain(std::span<const FeatureColumn> features, int64_t begin, int64_t count,
                       ThreadPool& pool, StopToken& stop, std::span<double> values) const;

 private:
  // The part of a tree that lies on paths with one feature.
  struct Pass {
    int32_t plan;
    int32_t column;
    std::vector<PathOperation> operations;
    // By node of the plan: level of the nearest split above on the feature, -1 where only splits
    // below are on it (or the node itself), -2 where none is.
    std::vector<int32_t> above;
  };

  static Pass MakePass(const PathPlan& plan, int32_t index, int32_t column);
  void ExplainBlock(std::span<const FeatureColumn> features, int64_t begin, int64_t count,
                    const double* phi, StopToken& stop, double* values) const;

  const PathShap shap_;
  std::vector<Pass> passes_;
};

}  // namespace trainyard
