// Short ways to train convex networks in tests.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "core/algorithms/convex_relu/convex_relu.h"
#include "tests/core/algorithms/train_test_support.h"

namespace trainyard {

// Few gates, and no search for others; all rows train.
inline v1::TrainingSpec ConvexSpec(v1::ConvexReluSpec::Model model, int gates = 60) {
  v1::TrainingSpec spec;
  v1::ConvexReluSpec& own = *spec.mutable_convex_relu();
  own.mutable_input()->set_dataset(kTestDataset);
  own.mutable_input()->mutable_split()->set_test_fraction(0);
  own.set_model(model);
  own.mutable_gates()->set_count(gates);
  own.mutable_gate_search()->set_rounds(0);
  return spec;
}

inline v1::TrainingSpec GatedSpec(int gates = 60) {
  return ConvexSpec(v1::ConvexReluSpec::MODEL_GATED_RELU, gates);
}

// Resolves and trains, with other tables beside the input's.
inline absl::StatusOr<TrainingResult> TrainConvex(const std::shared_ptr<const Table>& table,
                                                  const v1::TrainingSpec& given,
                                                  TrainingContext& context, Tables tables = {}) {
  v1::TrainingSpec spec = given;
  FillDefaults(spec);
  tables[kTestDataset] = table;
  TableSchemas schemas;
  for (const auto& [name, other] : tables) schemas[name] = other->schema();
  Violations violations;
  ConvexReluAlgorithm().Resolve(schemas, "spec", spec, violations);
  if (!violations.empty()) return violations.ToStatus();
  return ConvexReluAlgorithm().Train(spec, tables, context);
}

inline Predictions PredictConvex(const v1::ModelManifest& manifest, const TrainingContext& context,
                                 const Table& table) {
  const auto predictor = ConvexReluAlgorithm().LoadPredictor(manifest, context.model_folder());
  EXPECT_TRUE(predictor.ok()) << predictor.status();
  auto predictions = (*predictor)->Predict(table, 2);
  EXPECT_TRUE(predictions.ok()) << predictions.status();
  return *std::move(predictions);
}

}  // namespace trainyard
