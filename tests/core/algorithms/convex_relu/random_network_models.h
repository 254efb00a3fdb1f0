// Networks of random weights on a small table, for tests.
#pragma once

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "core/algorithms/convex_relu/network_model.h"
#include "core/base/random.h"

namespace trainyard::convex_relu {

// 60 rows: a number that lacks some values, a category, a boolean.
inline std::shared_ptr<const Table> MakeSmallTable() {
  TableColumn age = {"age", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn colour = {"colour", v1::COLUMN_TYPE_CATEGORICAL, {}, {}, {"blue", "red"}};
  TableColumn member = {"member", v1::COLUMN_TYPE_BOOLEAN, {}, {}, {}};
  Rng rng(3);
  for (int i = 0; i < 60; ++i) {
    age.numbers.push_back(i % 9 == 0 ? std::numeric_limits<double>::quiet_NaN()
                                     : 40 + 10 * rng.NextGaussian());
    colour.codes.push_back(static_cast<int32_t>(rng.UniformInt(3)) - 1);
    member.numbers.push_back(static_cast<double>(rng.UniformInt(2)));
  }
  auto table = MakeTable({age, colour, member});
  EXPECT_TRUE(table.ok()) << table.status();
  return *table;
}

inline v1::DenseNetworkModel Describe(v1::DenseNetworkModel::Loss loss,
                                      const std::vector<std::string>& classes) {
  const auto table = MakeSmallTable();
  std::vector<int64_t> rows(60);
  std::iota(rows.begin(), rows.end(), 0);
  const std::vector<int> columns = {0, 1, 2};
  const auto encoder = DenseEncoder::Learn(*table, columns, rows, {}, {}, {});
  EXPECT_TRUE(encoder.ok()) << encoder.status();
  v1::DenseNetworkModel description;
  *description.mutable_encoding() = encoder->encoding();
  description.add_targets("y");
  for (const std::string& name : classes) description.add_classes(name);
  description.set_loss(loss);
  return description;
}

inline TwoLayerNetwork RandomNetwork(int inputs, int outputs, bool gated, int64_t neurons) {
  Rng rng(5);
  const auto draw = [&rng](int64_t count) {
    std::vector<double> numbers(static_cast<size_t>(count));
    for (double& x : numbers) x = rng.NextGaussian() / 5;
    return numbers;
  };
  TwoLayerNetwork network;
  network.inputs = inputs;
  network.outputs = outputs;
  network.gated = gated;
  network.hidden_weights = draw(neurons * inputs);
  network.hidden_bias = draw(neurons);
  if (gated) network.gates = draw(neurons * inputs);
  if (gated) network.gate_bias = draw(neurons);
  network.output_weights = draw(neurons);
  network.output_bias = draw(outputs);
  for (int64_t i = 0; i < neurons; ++i) {
    network.neuron_outputs.push_back(static_cast<int32_t>(i * outputs / neurons));
  }
  return network;
}

inline NetworkModel MakeModel(v1::DenseNetworkModel::Loss loss,
                              const std::vector<std::string>& classes, bool gated = false,
                              int64_t neurons = 12) {
  v1::DenseNetworkModel description = Describe(loss, classes);
  TwoLayerNetwork network = RandomNetwork(5, OutputCount(description), gated, neurons);
  auto model = MakeNetworkModel(std::move(description), std::move(network));
  EXPECT_TRUE(model.ok()) << model.status();
  return *std::move(model);
}

}  // namespace trainyard::convex_relu
