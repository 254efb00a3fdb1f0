// Short ways to train optimal trees in tests.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "core/algorithms/quant_bnb/quant_bnb.h"
#include "tests/core/algorithms/train_test_support.h"

namespace trainyard {

inline v1::TrainingSpec SpecOf(int depth) {
  v1::TrainingSpec spec;
  v1::QuantBnbSpec& own = *spec.mutable_quant_bnb();
  own.mutable_input()->set_dataset(kTestDataset);
  own.mutable_input()->mutable_split()->set_test_fraction(0);
  own.set_depth(depth);
  return spec;
}

inline absl::StatusOr<TrainingResult> Train(const std::shared_ptr<const Table>& table,
                                            const v1::TrainingSpec& given,
                                            TrainingContext& context) {
  v1::TrainingSpec spec = given;
  FillDefaults(spec);
  Violations violations;
  QuantBnbAlgorithm().Resolve({{kTestDataset, table->schema()}}, "spec", spec, violations);
  if (!violations.empty()) return violations.ToStatus();
  return QuantBnbAlgorithm().Train(spec, {{kTestDataset, table}}, context);
}

inline Predictions PredictWith(const v1::ModelManifest& manifest, const TrainingContext& context,
                               const Table& table) {
  const auto predictor = QuantBnbAlgorithm().LoadPredictor(manifest, context.model_folder());
  EXPECT_TRUE(predictor.ok()) << predictor.status();
  auto predictions = (*predictor)->Predict(table, 2);
  EXPECT_TRUE(predictions.ok()) << predictions.status();
  return *std::move(predictions);
}

// The model of a context, as a job finds it by its name.
inline InputModel AsInput(const TrainingResult& result, const TrainingContext& context) {
  InputModel model;
  model.manifest = result.manifest;
  model.manifest.set_algorithm("quant_bnb");
  model.files["tree.pb"] = context.model_folder() / "tree.pb";
  return model;
}

// `x` in 0..19, `color`, weights, and a class that depends on both: two thirds of the rows above 9
// are "yes", the others "no"; red ones "maybe".
inline std::shared_ptr<const Table> MakeColors(double weight_scale = 1) {
  TableColumn x{"x", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn color{"color", v1::COLUMN_TYPE_CATEGORICAL, {}, {}, {"blue", "green", "red"}};
  TableColumn weight{"w", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn target{"target", v1::COLUMN_TYPE_CATEGORICAL, {}, {}, {"maybe", "no", "yes"}};
  for (int i = 0; i < 180; ++i) {
    x.numbers.push_back(i % 20);
    color.codes.push_back(i % 3);
    weight.numbers.push_back((1 + i % 4) * weight_scale);
    target.codes.push_back(i % 3 == 2 ? 0 : i % 20 > 9 && i % 7 != 0 ? 2 : 1);
  }
  auto table = MakeTable({x, color, weight, target});
  EXPECT_TRUE(table.ok()) << table.status();
  return *table;
}

}  // namespace trainyard
