// Short ways to train hierarchical shrinkage models in tests.
#pragma once

#include <memory>
#include <string>

#include "core/algorithms/hierarchical_shrinkage/hierarchical_shrinkage.h"
#include "core/base/file_system.h"
#include "core/data/table.h"
#include "gtest/gtest.h"
#include "proto/schema/field_rules.h"
#include "tests/core/algorithms/fake_training_context.h"

namespace trainyard {

inline constexpr char kTestDataset[] = "projects/p/datasets/d";

// A table of tests/data/hs.
inline std::shared_ptr<const Table> ReadTestTable(const std::string& name) {
  const auto table =
      ReadTable(std::filesystem::path(TRAINYARD_TEST_DATA) / "hs" / (name + ".csv"), {}, {}, 1);
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

}  // namespace trainyard
