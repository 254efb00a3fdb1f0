// Out-of-bag values of a forest: every row is predicted by the trees that did not draw it, for many
// strengths of shrinkage at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/trees/cart.h"
#include "core/trees/rank_matrix.h"
#include "core/trees/shrinkage.h"
#include "core/trees/stop_token.h"
#include "core/trees/tree.h"

namespace trainyard {

// The strengths to make out-of-bag values for.
struct OobRequest {
  ShrinkageScheme scheme = v1::HierarchicalShrinkageSpec::SCHEME_HIERARCHICAL;
  std::vector<double> lambdas;  // as for ShrinkagePath; {0}: the plain trees alone
};

// Out-of-bag values of the training rows, by position in the row list of the forest.
struct ForestOob {
  std::vector<double> lambdas;
  int outputs = 1;
  // [row][strength][output] row-major: mean over the row's out-of-bag trees; NaN without any.
  std::vector<double> values;
  // Number of trees that did not draw the row.
  std::vector<int32_t> tree_counts;

  bool empty() const { return lambdas.empty(); }
};

// How well one strength does out of bag.
struct OobScore {
  double lambda = 0;
  double loss = 0;  // log loss (shares clipped at 1e-15), or squared error averaged over targets
  // Standard error of `loss` as a mean over rows: sqrt(sum of w^2 (l - loss)^2) / sum of w.
  double loss_error = 0;
  double score = 0;  // accuracy, or R^2 averaged over targets
};

// Scores by strength, over the rows that have a value, by `weights` (by presorted row; empty for
// 1). NaN where no row has one; R^2 of a target that is constant there is 0.
std::vector<OobScore> ScoreOob(const ForestOob& oob, const TreeTarget& target,
                               std::span<const double> weights, std::span<const uint32_t> rows);

// Number of the leaf that each presorted row of `rows` reaches; meaningless when `stop` is set.
// O(rows x depth).
std::vector<int32_t> LeavesOfRows(const Tree& tree, const RankMatrix& ranks,
                                  std::span<const uint32_t> rows, StopToken& stop);

// Adds trees up, in the order of the calls. Not thread-safe.
class OobAccumulator {
 public:
  OobAccumulator(const OobRequest& request, int outputs, size_t rows);

  // h of each of `leaves`, nodes of one tree: [leaf][strength][output]. Meaningless when `stop` is
  // set. `path` is memory that the next tree uses again. Thread-safe.
  std::vector<double> ValuesOf(const Tree& tree, std::span<const int32_t> leaves, StopToken& stop,
                               std::vector<double>& path) const;

  // Adds a tree's values of its out-of-bag rows; `positions` are the rows' in the row list.
  void Add(std::span<const uint32_t> positions, std::span<const double> values);

  // The means.
  ForestOob Finish();

 private:
  const OobRequest request_;
  ForestOob oob_;
};

}  // namespace trainyard
