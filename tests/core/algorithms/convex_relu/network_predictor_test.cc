#include "core/algorithms/convex_relu/network_predictor.h"

#include <gmock/gmock.h>

#include <cmath>

#include "proto/schema/violations.h"
#include "tests/core/algorithms/convex_relu/random_network_models.h"

namespace trainyard::convex_relu {
namespace {

using Model = v1::DenseNetworkModel;
using testing::ElementsAre;

std::vector<std::string> NamesOf(const Predictions& predictions) {
  std::vector<std::string> names;
  for (const auto& column : predictions.columns) names.push_back(column.name);
  return names;
}

// Outputs of a network row by row, from the definitions of encoding and network.
std::vector<double> DirectOutputs(const NetworkModel& model, const Table& table, size_t row) {
  const double age = table.numbers(0)[row];
  const int32_t colour = table.codes(1)[row];
  const double x[] = {std::isnan(age) ? model.description.encoding().columns(0).mean() : age,
                      std::isnan(age) ? 1.0 : 0.0, colour == 0 ? 1.0 : 0.0, colour == 1 ? 1.0 : 0.0,
                      table.numbers(2)[row]};
  const TwoLayerNetwork& net = model.network;
  std::vector<double> outputs = net.output_bias;
  for (size_t i = 0; i < static_cast<size_t>(net.neurons()); ++i) {
    double hidden = net.hidden_bias[i];
    double gate = net.gated ? net.gate_bias[i] : 0.0;
    for (size_t j = 0; j < 5; ++j) {
      hidden += net.hidden_weights[i * 5 + j] * x[j];
      if (net.gated) gate += net.gates[i * 5 + j] * x[j];
    }
    const bool active = net.gated ? gate > 0 : hidden > 0;
    if (active)
      outputs[static_cast<size_t>(net.neuron_outputs[i])] += net.output_weights[i] * hidden;
  }
  return outputs;
}

TEST(NetworkPredictorTest, PredictsValues) {
  const auto table = MakeSmallTable();
  const NetworkModel model = MakeModel(Model::LOSS_SQUARED, {}, true);
  const auto predictions = MakeNetworkPredictor(model)->Predict(*table, 2);
  ASSERT_TRUE(predictions.ok()) << predictions.status();
  ASSERT_THAT(NamesOf(*predictions), ElementsAre("prediction"));
  for (size_t row = 0; row < 60; ++row) {
    EXPECT_NEAR(predictions->columns[0].numbers[row], DirectOutputs(model, *table, row)[0], 1e-12);
  }
}

TEST(NetworkPredictorTest, NamesTargetsWhereThereAreSeveral) {
  Model description = Describe(Model::LOSS_SQUARED, {});
  description.add_targets("z");
  const auto model = MakeNetworkModel(description, RandomNetwork(5, 2, false, 4));
  const auto predictions = MakeNetworkPredictor(*model)->Predict(*MakeSmallTable(), 1);
  EXPECT_THAT(NamesOf(*predictions), ElementsAre("prediction_y", "prediction_z"));
}

TEST(NetworkPredictorTest, PredictsClasses) {
  const auto table = MakeSmallTable();
  for (const auto loss : {Model::LOSS_SQUARED, Model::LOSS_LOGISTIC, Model::LOSS_SOFTMAX}) {
    const std::string kind = loss == Model::LOSS_SQUARED ? "score_" : "probability_";
    for (const std::vector<std::string>& classes :
         {std::vector<std::string>{"no", "yes"}, std::vector<std::string>{"a", "b", "c"}}) {
      const NetworkModel model = MakeModel(loss, classes);
      const auto predictions = MakeNetworkPredictor(model)->Predict(*table, 1);
      ASSERT_TRUE(predictions.ok()) << predictions.status();
      std::vector<std::string> names = {"prediction"};
      for (const std::string& name : classes) names.push_back(kind + name);
      EXPECT_EQ(NamesOf(*predictions), names);
      for (size_t row = 0; row < 60; ++row) {
        const std::vector<double> own =
            PredictionsOf(model.description, DirectOutputs(model, *table, row));
        for (size_t k = 0; k < classes.size(); ++k) {
          EXPECT_NEAR(predictions->columns[k + 1].numbers[row], own[k], 1e-12);
        }
        const auto best = std::max_element(own.begin(), own.end()) - own.begin();
        EXPECT_EQ(predictions->columns[0].texts[row], classes[static_cast<size_t>(best)]);
      }
    }
  }
}

TEST(NetworkPredictorTest, NamesColumnsThatAreMissing) {
  const auto table = MakeTable({{"age", v1::COLUMN_TYPE_NUMERIC, {1, 2}, {}, {}}});
  const auto predictions =
      MakeNetworkPredictor(MakeModel(Model::LOSS_SQUARED, {}))->Predict(**table, 1);
  EXPECT_EQ(predictions.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ViolationsOf(predictions.status()).size(), 2u);
}

// Accuracy counted from the predicted labels, squared errors summed directly.
TEST(NetworkPredictorTest, MeasuresRows) {
  const auto table = MakeSmallTable();
  const std::vector<int64_t> rows = {3, 5, 8, 13, 21, 34, 55};
  ThreadPool pool(1);
  LearningTable data;
  data.table = table;
  for (int i = 0; i < 60; ++i) data.classes.push_back(i % 2);
  data.class_labels = {"no", "yes"};
  for (const auto loss : {Model::LOSS_SQUARED, Model::LOSS_LOGISTIC}) {
    const NetworkModel model = MakeModel(loss, {"no", "yes"});
    const DenseColumns columns = *model.encoder.Bind(*table);
    const auto metrics = MeasureRows(model, columns, data, rows, pool, {});
    ASSERT_TRUE(metrics.ok());
    double correct = 0;
    for (const int64_t row : rows) {
      const bool yes = DirectOutputs(model, *table, static_cast<size_t>(row))[0] > 0;
      correct += yes == (row % 2 == 1) ? 1 : 0;
    }
    EXPECT_DOUBLE_EQ(metrics->at("accuracy"), correct / 7);
    EXPECT_EQ(metrics->contains("log_loss"), loss == Model::LOSS_LOGISTIC);
    EXPECT_TRUE(metrics->contains("auc"));
    EXPECT_TRUE(MeasureRows(model, columns, data, {}, pool, {})->empty());
    EXPECT_EQ(MeasureRows(model, columns, data, rows, pool, [] { return absl::CancelledError(""); })
                  .status()
                  .code(),
              absl::StatusCode::kCancelled);
  }
  LearningTable values;
  values.columns.targets = {0};
  for (int i = 0; i < 60; ++i) values.values.push_back(std::sin(i));
  const NetworkModel model = MakeModel(Model::LOSS_SQUARED, {});
  const auto metrics = MeasureRows(model, *model.encoder.Bind(*table), values, rows, pool, {});
  double squares = 0;
  for (const int64_t row : rows) {
    const size_t r = static_cast<size_t>(row);
    squares += std::pow(DirectOutputs(model, *table, r)[0] - values.values[r], 2);
  }
  EXPECT_NEAR(metrics->at("rmse"), std::sqrt(squares / 7), 1e-12);
}

}  // namespace
}  // namespace trainyard::convex_relu
