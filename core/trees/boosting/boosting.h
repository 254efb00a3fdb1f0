// Gradient boosting of histogram trees.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/thread_pool.h"
#include "core/trees/boosting/binned_features.h"
#include "core/trees/cart.h"
#include "core/trees/ensemble.h"
#include "core/trees/shrinkage.h"
#include "trainyard/v1/boosting.pb.h"

namespace trainyard {

// What is learned from. Spans are indexed by the binned rows and outlive the call.
struct BoostingData {
  // Binned with deciding rows within `rows`, where validation rows are to be unseen.
  const BinnedFeatures& features;
  // One real target, or classes.
  TreeTarget target;
  // Weight of each row, >= 0, or empty for 1. Rows of weight 0 take no part.
  std::span<const double> weights;
  // Rows to train on, each at most once; ascending is fastest.
  std::span<const uint32_t> rows;
  // Rows whose loss is recorded and stops early; may be empty.
  std::span<const uint32_t> validation_rows;
  // -1, 0 or 1 per feature: scores must fall, may do anything, must rise. Empty for 0.
  std::span<const int8_t> directions;
};

// One round: a tree for each output, and the mean losses after it.
struct BoostingRound {
  int round = 0;  // 1, 2, …
  double training_loss = 0;
  double validation_loss = std::numeric_limits<double>::quiet_NaN();  // without validation rows
};

// What a fit asks of and tells its owner. Each may be empty.
struct BoostingHooks {
  // Not OK: the fit stops and returns this status. Called from any thread, at least every 50 ms up
  // to several million rows: a single pass over the rows of a node is not interrupted.
  std::function<absl::Status()> check;
  // Called after each new round by the calling thread with the round's trees, one per output, which
  // are valid during the call. Not OK: the fit stops and returns this status.
  std::function<absl::Status(const BoostingRound& round, std::span<const Tree> trees)> round;
};

// Choices that are no options of the user's.
struct BoostingSetup {
  // Seed of row and feature sampling; each round and tree has its own stream.
  uint64_t seed = 0;
  // With SHRINKAGE_MODE_IN_LOOP: every tree is shrunk by this before its values are added.
  ShrinkageScheme scheme = v1::HierarchicalShrinkageSpec::SCHEME_HIERARCHICAL;
  double lambda = 0;
  // Trees of finished rounds of the same fit, in order, to go on after. The result is bit for bit
  // that of a fit without interruption: scores are added up again tree by tree.
  std::span<const Tree> finished_trees;
  // Bytes of histograms kept at once; less is slower, with the same result.
  size_t histogram_bytes = size_t{256} << 20;
};

struct BoostingResult {
  // Combination kSum; trees of one value each, `tree_output` set for several outputs.
  TreeEnsemble ensemble;
  // All rounds, those after the best included.
  std::vector<BoostingRound> rounds;
  // Rounds whose trees are in the ensemble: the best one with early stopping, else all.
  int kept_rounds = 0;
  // Whether `early_stopping_rounds` ended the fit.
  bool stopped_early = false;
};

// Fits an ensemble with raw scores base + sum of trees. Each round draws its rows, then for each
// output in turn its features, grows a tree on the gradients of the scores before the round and
// adds the tree's values to the scores. `options` has all fields with defaults set; monotone
// constraints are taken from `data.directions` and max_bins from the binned features. Ends early
// when the gradients give no split any more (without sampling), or by early stopping: after the
// given number of rounds without a validation loss below the best one by more than the tolerance's
// share.
//
// The result does not depend on the number of threads. Time O(rows * features) per level of a
// tree; memory per row 8 bytes per output for scores, 16 to 40 for gradients, 12 for row lists.
// Errors: INVALID_ARGUMENT that names the option or data at fault, and the statuses of the hooks.
absl::StatusOr<BoostingResult> FitBoosting(const BoostingData& data,
                                           const v1::BoostingOptions& options,
                                           const BoostingSetup& setup, ThreadPool& pool,
                                           const BoostingHooks& hooks);

}  // namespace trainyard
