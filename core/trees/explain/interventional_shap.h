// Interventional TreeSHAP: Shapley values against the rows of a background set.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "core/base/thread_pool.h"
#include "core/trees/ensemble.h"
#include "core/trees/explain/leaf_tables.h"
#include "core/trees/explain/row_lanes.h"
#include "core/trees/explain/shap_weights.h"
#include "core/trees/stop_token.h"

namespace trainyard {

// Explains one ensemble. The game of a row x: v(A) is the mean over background rows b of the raw
// score of the row that has the features of A from x and the others from b. For a pair (x, b) a
// leaf of value v that is reached with a features taken from x alone and c taken from b alone adds
// v (a-1)! c! / (a+c)! to each of the former and -v a! (c-1)! / (a+c)! to each of the latter.
// Immutable and thread-safe.
class InterventionalShap {
 public:
  // The background is rows [begin, begin + count) of `background`, count >= 1; it is read here
  // only. `rows` says about how many rows will be explained: where it pays, tables are made of
  // trees whose paths have few features (LeafTables), at most 128 MiB of them. Memory else: one bit
  // per inner node and background row. Not to be used when `stop` is set.
  InterventionalShap(const TreeEnsemble& ensemble, int feature_count,
                     std::span<const FeatureColumn> background, int64_t begin, int64_t count,
                     int64_t rows, StopToken& stop);

  int feature_count() const { return feature_count_; }
  int outputs() const { return outputs_; }
  // Mean raw score of the background rows, one per output.
  std::span<const double> base() const { return base_; }

  // As PathShap::Explain. With tables a row costs O(nodes + sum over leaves of the features above).
  // Without, each row walks each tree once for 64 background rows together, parting where they
  // part: at most the steps of one walk per pair of rows, mostly far fewer.
  absl::Status Explain(std::span<const FeatureColumn> features, int64_t begin, int64_t count,
                       ThreadPool& pool, StopToken& stop, std::span<double> values) const;

 private:
  struct Node {
    double threshold;
    int32_t column;  // index among the used features; -1 for a leaf
    int32_t left;
    int32_t right;
    int32_t level_set;  // -1: numeric
    bool missing_left;
  };
  struct Plan {
    int first_output = 0;
    int outputs = 1;
    std::vector<Node> nodes;          // numbered as in the tree
    std::vector<double> values;       // [node][output]
    std::vector<uint64_t> goes_left;  // [group of 64 background rows][node]
    std::optional<LeafTables> tables;
  };
  class Walk;

  Plan MakePlan(const Tree& tree, int first_output);
  void AddBackground(std::span<const FeatureColumn> background, int64_t begin, int64_t count,
                     StopToken& stop);
  // Makes the tables that pay for themselves within `rows` explained rows.
  void AddTables(const TreeEnsemble& ensemble, int64_t rows, StopToken& stop);
  bool GoesLeft(const Node& node, double value) const;

  int feature_count_;
  int outputs_;
  double scale_;
  int64_t background_count_;
  std::vector<int32_t> used_;
  LevelSets level_sets_;
  std::vector<Plan> plans_;
  std::vector<double> base_;
  ShapWeights weights_;  // up to the largest number of features on a path
};

}  // namespace trainyard
