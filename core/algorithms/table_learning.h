// A table made ready for learning: features, targets, weights, and which rows are for what.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/table_input.h"
#include "core/data/split.h"
#include "core/data/table.h"
#include "core/training/training_context.h"
#include "core/trees/tree.h"
#include "trainyard/v1/model.pb.h"
#include "trainyard/v1/table.pb.h"
#include "trainyard/v1/tree.pb.h"

namespace trainyard {

// Most classes that a classification may have.
inline constexpr int kMaxClasses = 1000;

// Features and targets of the rows that can be used, indexed by table row.
struct LearningTable {
  std::shared_ptr<const Table> table;  // owns what `features` point to
  TableColumns columns;
  std::vector<FeatureColumn> features;
  // Regression: [row][target] row-major. Empty for classification.
  std::vector<double> values;
  // Classification: the class of each row, -1 for rows that are not used. Empty for regression.
  std::vector<int32_t> classes;
  // Class labels as texts, in the order of the classes: levels, numbers ascending, false and true.
  std::vector<std::string> class_labels;
  // Row weights as given; empty for 1.
  std::vector<double> weights;
  // Rows with all targets and a positive weight.
  std::vector<int64_t> rows;
  // Division of `rows`.
  RowSplit split;

  bool classification() const { return !classes.empty(); }
  // Targets of a regression, classes of a classification.
  int outputs() const;

  // The same for some rows, in their order.
  std::vector<double> ValuesOf(std::span<const int64_t> of_rows) const;
  std::vector<int32_t> ClassesOf(std::span<const int64_t> of_rows) const;
  std::vector<double> WeightsOf(std::span<const int64_t> of_rows) const;
  // A number per row, equal for equal values of the group column; empty when rows are not grouped.
  std::vector<int64_t> GroupsOf(std::span<const int64_t> of_rows) const;
};

// Feature columns of a table, by column number.
std::vector<FeatureColumn> FeaturesOf(const Table& table, std::span<const int> columns);

// Reads targets and weights, drops rows without target or with weight 0 (with a warning to
// `context`), and splits the rest. INVALID_ARGUMENT when a weight is negative, infinite or missing,
// a target is not finite or beyond ±1e145, there are more than kMaxClasses classes, the training
// rows do not hold two different targets, or the split cannot be made.
absl::StatusOr<LearningTable> PrepareLearningTable(std::shared_ptr<const Table> table,
                                                   const TableColumns& columns,
                                                   const v1::SplitOptions& split,
                                                   bool classification, TrainingContext& context);

// A tree model of the table's features, with all of their levels, and of its targets: all but the
// trees and how they combine.
v1::TreeModel DescribeModel(const LearningTable& data);

// Adds the features and targets.
void DescribeColumns(const LearningTable& data, v1::ModelManifest& manifest);

}  // namespace trainyard
