// Path-dependent TreeSHAP (Lundberg et al., Nature Machine Intelligence 2020): how much each
// feature moves the raw score of a row away from the mean, exactly.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "core/base/thread_pool.h"
#include "core/trees/ensemble.h"
#include "core/trees/explain/path_plan.h"
#include "core/trees/stop_token.h"

namespace trainyard {

// Explains one ensemble. The game of a row x: v(A) is the raw score when features of A are those of
// x and at splits on other features both children are taken with the shares N(child) / N(parent) of
// the training weight. phi_j is the Shapley value of feature j:
//     raw score(x) = base + sum over j of phi_j(x)
// per output, up to rounding. Missing values and categories go where FindLeaf sends them. Immutable
// and thread-safe.
class PathShap {
 public:
  // The trees are valid and split on features below `feature_count`. O(nodes * G), where 2 G is the
  // largest number of distinct features on a path (rounded up). Not to be used when `stop` is set.
  PathShap(const TreeEnsemble& ensemble, int feature_count, StopToken& stop);

  int feature_count() const { return feature_count_; }
  int outputs() const { return outputs_; }
  // Mean raw score over the training rows by the shares along the paths, one per output. Does not
  // depend on the strength of hierarchical shrinkage.
  std::span<const double> base() const { return base_; }

  // What other explanations of the same ensemble build upon: the features that are split on, the
  // plan of each tree, and what combined values are multiplied by.
  std::span<const int32_t> used() const { return used_; }
  std::span<const PathPlan> plans() const { return plans_; }
  double scale() const { return scale_; }

  // phi of rows [begin, begin + count) as [row][output][feature]; `values` has that many numbers.
  // O(count * nodes * G) over the threads of `pool`, on which the numbers do not depend. Returns
  // the status of `stop`.
  absl::Status Explain(std::span<const FeatureColumn> features, int64_t begin, int64_t count,
                       ThreadPool& pool, StopToken& stop, std::span<double> values) const;

 private:
  void ExplainBlocks(std::span<const FeatureColumn> features, int64_t begin, int64_t count,
                     StopToken& stop, double* values) const;

  int feature_count_;
  int outputs_;
  double scale_;  // 1 / trees for a mean
  std::vector<int32_t> used_;
  std::vector<double> base_;
  std::vector<PathPlan> plans_;
  int64_t row_cost_ = 1;  // steps per row
};

// What combined values are multiplied by: 1 / trees for a mean, else 1.
double CombinationScale(const TreeEnsemble& ensemble);

}  // namespace trainyard
