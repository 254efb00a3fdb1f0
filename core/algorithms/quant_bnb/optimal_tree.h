// The search for an optimal decision tree: its input, its course and its answer.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/thread_pool.h"
#include "core/trees/tree.h"
#include "trainyard/v1/quant_bnb.pb.h"

namespace trainyard {

// The rows that the tree is to fit.
struct OptimalTreeInput {
  // All features of the table, indexed by table row.
  std::span<const FeatureColumn> features;
  // The training rows, at least one; the arrays below have one entry per entry of `rows`.
  std::span<const int64_t> rows;
  // Classification: classes in [0, outputs). Empty for regression.
  std::span<const int32_t> classes;
  // Regression: [row][output] row-major, finite. Empty for classification.
  std::span<const double> values;
  // Classes of a classification, targets of a regression.
  int outputs = 1;
  // Row weights, finite and >= 0, at least one > 0; empty for 1.
  std::span<const double> weights;
  // Classification: [true class][predicted class] row-major, >= 0, with a zero diagonal. Empty for
  // 1 off the diagonal.
  std::span<const double> costs;

  bool classification() const { return !classes.empty(); }
};

// How far a search is. From one report to the next the bound never falls and the incumbent never
// rises.
struct SearchProgress {
  // Time of the search so far, earlier attempts included, in s.
  double seconds = 0;
  // Loss of the best tree found, penalty included.
  double incumbent = 0;
  // No tree has a smaller loss.
  double lower_bound = 0;
  // Root thresholds that may still hold a better tree.
  int64_t alive = 0;
  v1::SearchCounters counters;

  double gap() const { return incumbent - lower_bound; }
};

// What a search asks of and tells its owner; each may be empty.
struct SearchHooks {
  // Not OK: the search stops and returns this status. Called from any thread, every 10 ms or less.
  std::function<absl::Status()> check;
  // Called from the searching thread, at every better tree and twice a second. `better` is null
  // where the tree is the one of the report before.
  std::function<void(const SearchProgress& progress, const Tree* better)> report;
  // Called every few seconds with a state that a later search on the same input and options can go
  // on from. Its status, when not OK, ends the search.
  std::function<absl::Status(std::string state)> checkpoint;
  // State of an earlier search to go on from.
  std::optional<std::string> resume;
};

struct OptimalTree {
  v1::QuantBnbReport::Status status = v1::QuantBnbReport::STATUS_UNSPECIFIED;
  // Values are class shares, or means; a row goes left where its value is <= the threshold. In
  // every leaf the class of least cost, the lowest among equals, is the prediction
  // (LeastCostClass).
  Tree tree;
  SearchProgress progress;
  // Losses that differ by no more count as equal.
  double tolerance = 0;
  // Distinct rows that were searched over.
  int64_t distinct_rows = 0;
};

// Finds a tree that minimises the loss of `spec` (see QuantBnbSpec), whose fields all have values.
// `warm_start` may be null, or a tree on the same features whose structure the search starts from.
// The tree is the same for any number of threads where spec.deterministic() is set.
// INVALID_ARGUMENT for missing values where they are to be refused; else the status of a hook.
absl::StatusOr<OptimalTree> FindOptimalTree(const OptimalTreeInput& input,
                                            const v1::QuantBnbSpec& spec, const Tree* warm_start,
                                            ThreadPool& pool, const SearchHooks& hooks);

// The loss of `spec` of a tree over the input's rows, penalty included, computed row by row. The
// values of the tree's leaves are not used: each leaf predicts what is best for the rows in it.
double TreeLoss(const OptimalTreeInput& input, const v1::QuantBnbSpec& spec, const Tree& tree);

// The tree with the weights, means, impurities and row counts that the input's rows give it.
Tree FitLeaves(const OptimalTreeInput& input, Tree structure);

}  // namespace trainyard
