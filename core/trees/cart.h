// Classification and regression trees (Breiman, Friedman, Olshen, Stone 1984), grown exactly: every
// split of every feature is scored.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/thread_pool.h"
#include "core/trees/presort.h"
#include "core/trees/tree.h"
#include "trainyard/v1/hierarchical_shrinkage.pb.h"

namespace trainyard {

// What a tree learns, for all rows of the presorted features.
struct TreeTarget {
  // Regression: [row][output] row-major, finite, within ±1e145.
  std::span<const double> values;
  // Classification: one class in [0, outputs) per row.
  std::span<const int32_t> classes;
  // Targets of a regression or classes of a classification.
  int outputs = 1;

  bool classification() const { return !classes.empty(); }
  static TreeTarget Regression(std::span<const double> values, int outputs = 1) {
    return {values, {}, outputs};
  }
  static TreeTarget Classification(std::span<const int32_t> classes, int class_count) {
    return {{}, classes, class_count};
  }
};

// What a growing tree asks of and tells its owner. Each may be empty; all are called from any
// thread.
struct GrowthHooks {
  // Not OK: growth stops and returns this status. Called at least every 50 ms.
  std::function<absl::Status()> check;
  // Share of the growth that is done, 0 to 1, rising; about a hundred calls per tree.
  std::function<void(double fraction)> progress;
};

// The options with the criterion for the target where it is UNSPECIFIED.
v1::CartOptions ResolveCart(const v1::CartOptions& options, const TreeTarget& target);

// INVALID_ARGUMENT for no row of positive weight among `rows`, and for a negative target where the
// criterion of `options` is POISSON.
absl::Status CheckTrainingRows(const TreeTarget& target, std::span<const double> weights,
                               std::span<const uint32_t> rows, const v1::CartOptions& options);

// Grows one tree on `rows` (indices into the presorted rows, each at most once) by `options`, whose
// fields all have values (criterion too; UNSPECIFIED is GINI or SQUARED_ERROR). `weights` has one
// entry per presorted row, >= 0, or is empty for 1; rows of weight 0 take no part.
//
// A split sends values <= threshold left, the threshold being the midpoint of two neighbouring
// distinct values, or the lower of them where the midpoint rounds to the upper. Missing values go
// to the side that scores better; to the heavier child where the node has none. Levels of a
// category go left in any set for regression with one target and for two classes (optimal: the
// levels are ordered by mean response), else one level against the rest; levels that the node lacks
// go with the missing, always right. Among splits equal within rounding the lowest feature wins,
// then missing values right, then the lowest threshold. With max_leaf_nodes the node of greatest
// N(t) i(t) - N(a) i(a) - N(b) i(b) is split first and nodes are numbered as created; otherwise
// nodes are numbered depth-first, left before right. The grown tree is pruned as the options say
// (pruning.h).
//
// Gain ratio follows C4.5 with its binary splits: a number's threshold and a category's division
// into two sets of levels (as above) are those of greatest gain, and the features compete by gain
// ratio; C4.5's splits into one child per level have no place in a binary tree, nor have its
// fractional rows for missing values.
//
// Where max_features draws fewer features per node than there are, the tree is grown as one of a
// forest (sampled_tree.h) from Rng(seed, 0), on the calling thread alone.
//
// The tree does not depend on the number of threads. `value` equals `mean`. O(rows * features) per
// level; memory 8 bytes per row and feature. Errors: those of CheckTrainingRows, and the
// status of `hooks.check`.
absl::StatusOr<Tree> GrowCart(const PresortedFeatures& features, const TreeTarget& target,
                              std::span<const double> weights, std::span<const uint32_t> rows,
                              const v1::CartOptions& options, ThreadPool& pool,
                              const GrowthHooks& hooks, uint64_t seed = 0);

}  // namespace trainyard
