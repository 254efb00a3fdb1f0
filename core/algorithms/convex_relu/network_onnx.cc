#include "core/algorithms/convex_relu/network_onnx.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/model_io/dense_encoding_onnx.h"
#include "core/model_io/onnx_writer.h"

namespace trainyard::convex_relu {
namespace {

using Loss = v1::DenseNetworkModel;

const std::vector<OnnxAttribute>& TransposedWeights() {
  static const auto* const attributes = new std::vector<OnnxAttribute>{{"transB", int64_t{1}}};
  return *attributes;
}

// E weights^T + bias for the encoder's rows E = rows.value + shift; weights are [count][inputs].
OnnxValue AddLayer(const OnnxRows& rows, const std::vector<double>& weights,
                   const std::vector<double>& bias, OnnxModel& onnx) {
  const size_t inputs = rows.shift.size();
  std::vector<double> shifted = bias;
  for (size_t i = 0; i < bias.size(); ++i) {
    const auto own = weights.begin() + static_cast<ptrdiff_t>(i * inputs);
    shifted[i] = std::inner_product(rows.shift.begin(), rows.shift.end(), own, bias[i]);
  }
  const auto count = static_cast<int64_t>(bias.size());
  return onnx.AddNode("Gemm",
                      {rows.value, onnx.AddFloats(weights, {count, static_cast<int64_t>(inputs)}),
                       onnx.AddFloats(shifted, {count})},
                      TransposedWeights());
}

// The outputs of the network, [N, outputs].
OnnxValue AddNetwork(const TwoLayerNetwork& network, const OnnxRows& rows, OnnxModel& onnx) {
  const auto outputs = static_cast<size_t>(network.outputs);
  const auto neurons = static_cast<size_t>(network.neurons());
  if (neurons == 0) {
    const std::vector<double> zeros(outputs * rows.shift.size());
    return AddLayer(rows, zeros, network.output_bias, onnx);
  }
  OnnxValue hidden = AddLayer(rows, network.hidden_weights, network.hidden_bias, onnx);
  if (network.gated) {
    const OnnxValue gate = AddLayer(rows, network.gates, network.gate_bias, onnx);
    const std::vector<double> zero = {0};
    const OnnxValue none = onnx.AddFloats(zero, {});
    hidden = onnx.AddNode("Where", {onnx.AddNode("Greater", {gate, none}), hidden, none});
  } else {
    hidden = onnx.AddNode("Relu", {hidden});
  }
  std::vector<double> weights(outputs * neurons);
  for (size_t i = 0; i < neurons; ++i) {
    const auto output = static_cast<size_t>(network.neuron_outputs[i]);
    weights[output * neurons + i] = network.output_weights[i];
  }
  return onnx.AddNode("Gemm",
                      {hidden, onnx.AddFloats(weights, {network.outputs, network.neurons()}),
                       onnx.AddFloats(network.output_bias, {network.outputs})},
                      TransposedWeights());
}

// As PredictionsOf, [N, classes].
OnnxValue AddClassValues(const v1::DenseNetworkModel& description, const OnnxValue& outputs,
                         OnnxModel& onnx) {
  const std::vector<OnnxAttribute> along_classes = {{"axis", int64_t{1}}};
  if (OutputCount(description) == 1) {
    const bool squared = description.loss() == Loss::LOSS_SQUARED;
    const double factor = squared ? 0.5 : 1.0;
    const OnnxValue both =
        onnx.AddNode("Gemm", {outputs, onnx.AddFloats(std::vector<double>{-factor, factor}, {1, 2}),
                              onnx.AddFloats(std::vector<double>(2, squared ? 0.5 : 0.0), {2})});
    return squared ? both : onnx.AddNode("Sigmoid", {both});
  }
  if (description.loss() == Loss::LOSS_SQUARED) return outputs;
  if (description.loss() == Loss::LOSS_SOFTMAX) {
    return onnx.AddNode("Softmax", {outputs}, along_classes);
  }
  // The softmax of the sigmoids' logarithms, which does not divide 0 by 0.
  const OnnxValue negative = onnx.AddNode("Softplus", {onnx.AddNode("Neg", {outputs})});
  return onnx.AddNode("Softmax", {onnx.AddNode("Neg", {negative})}, along_classes);
}

}  // namespace

absl::StatusOr<std::string> NetworkToOnnx(const NetworkModel& model) {
  const v1::DenseNetworkModel& description = model.description;
  // The second layer becomes a full matrix.
  if (model.network.neurons() > (int64_t{1} << 29) / model.network.outputs) {
    return absl::FailedPreconditionError("the model needs more than the 2 GiB of an ONNX file");
  }
  if (description.classes().empty()) {
    OnnxModel onnx("network", {"prediction"});
    const OnnxRows rows = AddDenseEncoding(model.encoder, onnx);
    onnx.AddOutput("prediction", AddNetwork(model.network, rows, onnx), OnnxType::kFloat,
                   description.targets_size());
    return onnx.Serialize();
  }
  const char* const values_name = GivesProbabilities(description) ? "probabilities" : "scores";
  OnnxModel onnx("network", {"label", values_name});
  const OnnxRows rows = AddDenseEncoding(model.encoder, onnx);
  const OnnxValue values = AddClassValues(description, AddNetwork(model.network, rows, onnx), onnx);
  const OnnxValue best =
      onnx.AddNode("ArgMax", {values}, {{"axis", int64_t{1}}, {"keepdims", int64_t{0}}});
  const std::vector<std::string> labels(description.classes().begin(), description.classes().end());
  const OnnxValue all = onnx.AddStrings(labels, {description.classes_size()});
  onnx.AddOutput("label", onnx.AddNode("Gather", {all, best}), OnnxType::kString, 0);
  onnx.AddOutput(values_name, values, OnnxType::kFloat, description.classes_size());
  return onnx.Serialize();
}

}  // namespace trainyard::convex_relu
