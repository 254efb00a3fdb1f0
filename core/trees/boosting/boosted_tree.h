// From the structure of a boosted tree to the finished tree, and its application by codes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/thread_pool.h"
#include "core/trees/boosting/binned_features.h"
#include "core/trees/boosting/boosting_loss.h"
#include "core/trees/boosting/histogram_tree.h"
#include "core/trees/stop_token.h"
#include "core/trees/tree.h"

namespace trainyard {

// What the values of a boosted tree are made from.
struct TreeStatistics {
  const BoostingLoss& loss;
  const ScoredRows& data;
  std::span<const double> gradients;  // by row
  std::span<const double> hessians;   // by row; empty: the weights
  double l2 = 0;
  double learning_rate = 1;
  std::span<const int8_t> directions;  // by feature; may be empty
};

// The tree of a structure and its rows, with value = mean. Every node has the same statistic,
//   m(t) = learning_rate * clamp(-G / (H + l2), loss.max_step()), or learning_rate * the loss's
// NodeValue, from sums in double over its rows, then held within the bounds that monotone splits
// above it set: each sets the mean of its sides' m between them, so that the tree, and any
// hierarchical shrinkage of it, is monotone. N(t) is the weight of its rows. Impurity is
//   i(t) = c - G^2 / ((H + l2) N(t)), c the least number that leaves no node below 0,
// so that N(t) i(t) - N(a) i(a) - N(b) i(b) is the gain of a split, twice the loss reduction by the
// second-order approximation. Where a node saw no missing value, they go to the heavier child;
// missing categories then go right. Meaningless once `stop` is set.
Tree FinishTree(const BinnedFeatures& features, std::span<const HistogramNode> nodes,
                const RowPartition& partition, const TreeStatistics& statistics, ThreadPool& pool,
                StopToken& stop);

// A tree that is applied to binned rows. Immutable and thread-safe.
class CodeWalker {
 public:
  // INVALID_ARGUMENT where a split of the tree is none of the bins, as when the tree was grown on
  // other rows.
  static absl::StatusOr<CodeWalker> Make(const Tree& tree, const BinnedFeatures& features);

  // Node numbers of the leaves that the rows reach: what FindLeaf finds on the columns. Rows go in
  // step, eight at a time, so that they do not wait for memory one after the other.
  void FindLeaves(std::span<const uint32_t> rows, int32_t* leaves) const;

 private:
  struct Node {
    CodeSet left_codes;
    const uint64_t* codes = nullptr;  // a leaf has some, too, and is its own child on both sides
    int shift = 0;
    int32_t children[2] = {0, 0};  // right, left
  };
  int depth_ = 0;
  std::vector<Node> nodes_;
};

}  // namespace trainyard
