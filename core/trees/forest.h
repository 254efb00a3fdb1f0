// Random forests (Breiman 2001) and extremely randomised trees (Geurts, Ernst, Wehenkel 2006).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/thread_pool.h"
#include "core/trees/cart.h"
#include "core/trees/forest_oob.h"
#include "core/trees/presort.h"
#include "core/trees/tree.h"
#include "trainyard/v1/hierarchical_shrinkage.pb.h"

namespace trainyard {

// What a forest learns from; all are used while it grows.
struct ForestData {
  const PresortedFeatures& features;
  TreeTarget target;                // by presorted row
  std::span<const double> weights;  // by presorted row, >= 0; empty for 1
  std::span<const uint32_t> rows;   // presorted rows to learn from, each at most once
};

// What a growing forest asks of and tells its owner. Each may be empty.
struct ForestHooks {
  // Not OK: growth stops and returns this status. Called at least every 50 ms, from any thread.
  std::function<absl::Status()> check;
  // Share of the growth that is done, 0 to 1, rising; about a hundred calls, from any thread.
  std::function<void(double fraction)> progress;
  // Tree `number` is finished and so are all before it; `tree` stands right after them in one
  // array, which lasts until growth ends. Called once per tree that was grown now, in rising order,
  // by one thread at a time. Not OK: growth stops and returns this status.
  std::function<absl::Status(int number, const Tree& tree)> tree_done;
};

// A forest; predictions are the mean over its trees.
struct Forest {
  std::vector<Tree> trees;
  ForestOob oob;  // empty where it was not asked for
};

// Grows `forest.tree_count` trees by `cart` (limits, criterion, features drawn per node, prunings).
// All fields of both have values; what was not given (criterion, bootstrap, number of features
// drawn per node) takes the defaults of its comment. Each tree has a row's weight times its class's
// weight times the number of times that it drew the row.
//
// `grown` are the first trees of the same forest from an earlier call, which are taken over: the
// result is the same as if all had been grown at once. Tree t comes from Rng(seed, t) alone, so
// that nothing depends on the number of threads. The trees are the tasks of the pool.
//
// Out-of-bag values are made for `strengths` of `scheme` when `forest.oob` is set, bootstrap is and
// there is a strength. Memory: 2 or 4 bytes per presorted row and feature, per thread about 40
// bytes per row and 100 per node, and the out-of-bag values.
//
// Errors: INVALID_ARGUMENT for no row of positive weight, and the statuses of the hooks.
absl::StatusOr<Forest> GrowForest(const ForestData& data, const v1::CartOptions& cart,
                                  const v1::ForestOptions& forest, const OobRequest& request,
                                  uint64_t seed, std::vector<Tree> grown, ThreadPool& pool,
                                  const ForestHooks& hooks);

}  // namespace trainyard
