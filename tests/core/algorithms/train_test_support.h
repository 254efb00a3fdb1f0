// Short ways to train hierarchical shrinkage models in tests.
#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/algorithms/hierarchical_shrinkage/hierarchical_shrinkage.h"
#include "core/base/file_system.h"
#include "core/data/table.h"
#include "core/trees/tree.h"
#include "core/trees/tree_proto.h"
#include "gtest/gtest.h"
#include "proto/schema/field_rules.h"
#include "tests/core/algorithms/fake_training_context.h"
#include "tests/paths.h"

namespace trainyard {

inline constexpr char kTestDataset[] = "projects/p/datasets/d";

// A table of tests/data/hs.
inline std::shared_ptr<const Table> ReadTestTable(const std::string& name) {
  const auto table =
      ReadTable(std::filesystem::path(kTestData) / "hs" / (name + ".csv"), {}, {}, 1);
  EXPECT_TRUE(table.ok()) << table.status();
  return *table;
}

// A spec for the table, with everything else at its default.
inline v1::TrainingSpec MakeSpec() {
  v1::TrainingSpec spec;
  spec.mutable_hierarchical_shrinkage()->mutable_input()->set_dataset(kTestDataset);
  return spec;
}

// Resolves and trains.
inline absl::StatusOr<TrainingResult> TrainOn(const std::shared_ptr<const Table>& table,
                                              v1::TrainingSpec spec, TrainingContext& context) {
  FillDefaults(spec);
  Violations violations;
  HierarchicalShrinkageAlgorithm().Resolve({{kTestDataset, table->schema()}}, "spec", spec,
                                           violations);
  if (!violations.empty()) return violations.ToStatus();
  return HierarchicalShrinkageAlgorithm().Train(spec, {{kTestDataset, table}}, context);
}

// The bytes of the model that was written.
inline std::string ModelBytes(const TrainingContext& context) {
  const auto bytes = ReadFile(context.model_folder() / "tree.pb");
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.value_or("");
}

// The tree of a model file.
inline Tree TreeOf(const std::string& bytes) {
  const auto model = ParseTreeModel(bytes);
  EXPECT_TRUE(model.ok()) << model.status();
  const auto ensemble = EnsembleFromModel(*model);
  EXPECT_TRUE(ensemble.ok()) << ensemble.status();
  return ensemble->trees.at(0);
}

// A numeric and a categorical feature with missing values, optional weights `w`, and the target
// `bought` of three classes that a tenth of the 120 rows lack.
inline std::shared_ptr<const Table> MakeMixedTable(std::vector<double> weights = {}) {
  TableColumn age{"age", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn color{"color", v1::COLUMN_TYPE_CATEGORICAL, {}, {}, {"blue", "green", "red"}};
  TableColumn weight{"w", v1::COLUMN_TYPE_NUMERIC, std::move(weights), {}, {}};
  TableColumn target{"bought", v1::COLUMN_TYPE_CATEGORICAL, {}, {}, {"maybe", "no", "yes"}};
  for (int i = 0; i < 120; ++i) {
    age.numbers.push_back(i % 7 == 0 ? NAN : i % 40);
    color.codes.push_back(i % 11 == 0 ? -1 : i % 3);
    target.codes.push_back(i % 10 == 3 ? -1 : (i % 40 > 20) + (i % 3 == 2 ? 1 : 0));
  }
  std::vector<TableColumn> columns = {age, color};
  if (!weight.numbers.empty()) columns.push_back(weight);
  columns.push_back(target);
  const auto table = MakeTable(std::move(columns));
  EXPECT_TRUE(table.ok()) << table.status();
  return *table;
}

}  // namespace trainyard
