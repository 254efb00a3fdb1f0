#include "core/algorithms/hierarchical_shrinkage/resolve.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/algorithms/hierarchical_shrinkage/resolve_learner.h"
#include "core/algorithms/table_task.h"

namespace trainyard {
namespace {

using Spec = v1::HierarchicalShrinkageSpec;

void AddTo(Violations& violations, absl::string_view path, absl::string_view field,
           absl::string_view description) {
  violations.Add(absl::StrCat(path, ".", field),
                 std::string_view(description.data(), description.size()));
}

void CheckFolds(const v1::TableSchema& schema, const TableColumns& columns, absl::string_view path,
                const Spec& spec, Violations& violations) {
  const v1::SplitOptions& split = spec.input().split();
  int64_t missing = 0;
  for (const int index : columns.targets) {
    missing = std::max(missing, schema.columns(index).missing_count());
  }
  const double share = 1 - split.validation_fraction() - split.test_fraction();
  const int64_t usable = schema.row_count() - missing;
  const int64_t training = std::llround(share * static_cast<double>(usable));
  const bool known = usable > 0 && share > 0;  // else there is a violation already
  const bool folds = spec.selection() == Spec::SELECTION_CROSS_VALIDATION || spec.tune_ccp_alpha();
  if (folds && known && training < spec.folds()) {
    AddTo(violations, path, "folds",
          absl::StrCat("is ", spec.folds(), ", but there are only ", training,
                       " training rows; every fold needs at least one"));
  }
}

// Nodes of one tree by its limits.
double MostNodes(const v1::CartOptions& cart, double rows) {
  double leaves = rows / std::max(1, cart.min_samples_leaf());
  if (cart.max_leaf_nodes() > 0) leaves = std::min(leaves, double{1} * cart.max_leaf_nodes());
  if (cart.max_depth() > 0 && cart.max_depth() < 60) {
    leaves = std::min(leaves, std::ldexp(1.0, cart.max_depth()));
  }
  return 2 * leaves;
}

// Bytes of one tree, CART's or a forest's, of FIGS or of a model of the service.
double TreeMemory(const Spec& spec, double rows, double features, double outputs,
                  double strengths) {
  // The mapped table, its sorted orders and distinct values, the orders of one tree, sort buffers.
  const double columns = rows * features * (8 + 8 + 8 + 8);
  const double nodes = MostNodes(spec.cart(), rows);
  // A node in its final arrays and in the form that predicts.
  const double per_node = 80 + outputs * 8 * 3;
  if (spec.has_figs()) {
    const double trees = spec.figs().max_trees() > 0
                             ? std::min(spec.figs().max_trees(), spec.figs().max_splits())
                             : spec.figs().max_splits();
    return columns + rows * trees * (4 + 8 * outputs) + 2 * spec.figs().max_splits() * per_node;
  }
  if (!spec.has_forest()) {
    // A node while it grows, and its shrinkage path.
    return columns + nodes * (300 + outputs * 8 * (8 + 2 * strengths));
  }
  const double trees = spec.forest().tree_count();
  const double threads = 16;  // an upper estimate: the spec does not say how many there will be
  const double oob = spec.forest().oob() ? rows * strengths * outputs * 8 : 0;
  // Ranks, what each thread works in, all trees, and what a thread's tree adds out of bag.
  return columns + rows * features * 4 + threads * (rows * 40 + nodes * 200) +
         trees * nodes * (spec.forest().bootstrap() ? 0.65 : 1.0) * per_node + oob +
         threads * nodes * outputs * 8 * strengths;
}

double BoostingMemory(const Spec& spec, double rows, double features, double outputs) {
  const v1::BoostingOptions& boosting = spec.boosting();
  const double nodes = 2.0 * boosting.max_leaves() * outputs * boosting.rounds();
  constexpr double kHistograms = 256 << 20;
  return rows * features * (8 + 1 + 1) + rows * (outputs * 8 * 2 + 60) + nodes * 250 +
         std::min(kHistograms, features * boosting.max_bins() * 24 * boosting.max_leaves());
}

void OrderGrid(Spec& spec) {
  std::vector<double> grid(spec.lambda_grid().begin(), spec.lambda_grid().end());
  std::sort(grid.begin(), grid.end());
  grid.erase(std::unique(grid.begin(), grid.end()), grid.end());
  spec.mutable_lambda_grid()->Assign(grid.begin(), grid.end());
}

}  // namespace

TableColumns ResolveHierarchicalShrinkage(const v1::TableSchema& schema, std::string_view path,
                                          Spec& spec, Violations& violations) {
  const absl::string_view own_path(path.data(), path.size());
  const int before = violations.count();
  TableColumns columns = ResolveTableInput(schema, absl::StrCat(own_path, ".input"),
                                           *spec.mutable_input(), violations);
  const bool targets_known =
      columns.targets.size() == static_cast<size_t>(spec.input().target_columns_size());
  OrderGrid(spec);
  if (spec.scheme() == Spec::SCHEME_UNSPECIFIED) spec.set_scheme(Spec::SCHEME_HIERARCHICAL);
  // Nothing can be said about the task while its targets are unknown.
  if (violations.count() > before && (!targets_known || columns.targets.empty())) return columns;
  if (spec.task() == Spec::TASK_UNSPECIFIED) {
    spec.set_task(IsClassificationByDefault(schema, columns) ? Spec::TASK_CLASSIFICATION
                                                             : Spec::TASK_REGRESSION);
  }
  const bool classification = spec.task() == Spec::TASK_CLASSIFICATION;
  CheckTargets(schema, columns, classification, path, violations);
  ResolveLearner(schema, columns, path, spec, violations);
  ResolveSplitMethod(classification, path, *spec.mutable_input(), violations);
  CheckFolds(schema, columns, own_path, spec, violations);
  return columns;
}

int64_t EstimateHierarchicalShrinkageMemory(const Spec& spec, const v1::TableSchema& schema) {
  Violations ignored;
  Spec resolved = spec;
  const TableColumns columns = ResolveHierarchicalShrinkage(schema, "", resolved, ignored);
  const double rows = static_cast<double>(schema.row_count());
  const double features = static_cast<double>(columns.features.size());
  const double outputs = OutputCount(schema, columns, resolved.task() == Spec::TASK_CLASSIFICATION);
  const double strengths = resolved.has_lambda() ? 1 : resolved.lambda_grid_size();
  const double base = rows * (outputs * 8 * 5 + 160) + (4 << 20);
  const double bytes =
      base + (resolved.has_boosting() ? BoostingMemory(resolved, rows, features, outputs)
                                      : TreeMemory(resolved, rows, features, outputs, strengths));
  return static_cast<int64_t>(std::min(bytes, 9e18));
}

}  // namespace trainyard
