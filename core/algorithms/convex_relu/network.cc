#include "core/algorithms/convex_relu/network.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

using RowMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ConstRows = Eigen::Map<const RowMatrix, 0, Eigen::OuterStride<>>;

// A task's rows times so many neurons stay in the second-level cache.
constexpr int64_t kNeuronsPerStep = 256;

bool AllFinite(std::span<const double> numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [](double x) { return std::isfinite(x); });
}

// Adds the part of neurons [first, first + count) to the outputs of some rows.
void AddNeurons(const TwoLayerNetwork& network, const ConstRows& features, int64_t first,
                int64_t count, Eigen::Map<RowMatrix>& outputs) {
  const auto part = [&](const std::vector<double>& matrix) {
    return Eigen::Map<const RowMatrix>(matrix.data() + first * network.inputs, count,
                                       network.inputs);
  };
  const auto row_vector = [&](const std::vector<double>& numbers) {
    return Eigen::Map<const Eigen::RowVectorXd>(numbers.data() + first, count);
  };
  RowMatrix hidden = features * part(network.hidden_weights).transpose();
  hidden.rowwise() += row_vector(network.hidden_bias);
  if (network.gated) {
    RowMatrix gate = features * part(network.gates).transpose();
    gate.rowwise() += row_vector(network.gate_bias);
    hidden = (gate.array() > 0).select(hidden, 0.0);
  } else {
    hidden = hidden.cwiseMax(0.0);
  }
  for (int64_t begin = 0; begin < count;) {
    const int32_t output = network.neuron_outputs[static_cast<size_t>(first + begin)];
    int64_t end = begin + 1;
    while (end < count && network.neuron_outputs[static_cast<size_t>(first + end)] == output) ++end;
    outputs.col(output).noalias() +=
        hidden.middleCols(begin, end - begin) *
        row_vector(network.output_weights).segment(begin, end - begin).transpose();
    begin = end;
  }
}

absl::Status CheckBlock(const SolutionBlock& block, const SolutionSpace& space, int outputs,
                        bool gated) {
  const size_t columns = space.column_norms.size();
  if (block.output < 0 || block.output >= outputs) {
    return absl::InvalidArgumentError(
        absl::StrCat("a block is of output ", block.output, " of ", outputs));
  }
  if (block.weights.size() != columns || (gated && block.gate.size() != columns)) {
    return absl::InvalidArgumentError(absl::StrCat("a block has ", block.weights.size(),
                                                   " weights and a gate of ", block.gate.size(),
                                                   "; there are ", columns, " columns"));
  }
  if (!AllFinite(block.weights) || (gated && !AllFinite(block.gate)) || block.sign == 0 ||
      !std::isfinite(block.sign)) {
    return absl::InvalidArgumentError("the weights of a block are not finite, or its sign is 0");
  }
  return absl::OkStatus();
}

absl::Status CheckSpace(const SolutionSpace& space, int outputs) {
  const auto fits = [outputs](std::span<const double> numbers) {
    return numbers.empty() ||
           (numbers.size() == static_cast<size_t>(outputs) && AllFinite(numbers));
  };
  const auto is_norm = [](double norm) { return std::isfinite(norm) && norm >= 0; };
  if (outputs < 1 || space.column_norms.size() < (space.has_bias ? 1 : 0) ||
      !std::all_of(space.column_norms.begin(), space.column_norms.end(), is_norm) ||
      !fits(space.output_offset) || !fits(space.output_scale) ||
      std::any_of(space.output_scale.begin(), space.output_scale.end(),
                  [](double scale) { return scale <= 0; })) {
    return absl::InvalidArgumentError(
        "column norms must be finite and not negative; offsets and scales, which are positive, "
        "one finite number per output");
  }
  return absl::OkStatus();
}

// Relative to the largest, whose square may be infinite; in order, as Eigen's norm adds up in an
// order that depends on the address.
double NormOf(std::span<const double> numbers) {
  double largest = 0;
  for (const double number : numbers) largest = std::max(largest, std::abs(number));
  if (largest == 0) return 0;
  double squares = 0;
  for (const double number : numbers) squares += (number / largest) * (number / largest);
  return largest * std::sqrt(squares);
}

// Appends `numbers` * factor / norms to a matrix and its bias column.
void AppendUnscaled(std::span<const double> numbers, double factor, const SolutionSpace& space,
                    std::vector<double>& matrix, std::vector<double>& bias) {
  const auto raw = [&](size_t j) {
    const double norm = space.column_norms[j];
    return norm > 0 ? numbers[j] * factor / norm : 0.0;
  };
  const size_t inputs = numbers.size() - (space.has_bias ? 1 : 0);
  for (size_t j = 0; j < inputs; ++j) matrix.push_back(raw(j));
  bias.push_back(space.has_bias ? raw(inputs) : 0.0);
}

}  // namespace

absl::Status CheckNetwork(const TwoLayerNetwork& network) {
  const size_t neurons = network.output_weights.size();
  const size_t gate_rows = network.gated ? neurons : 0;
  if (network.inputs < 0 || network.outputs < 1 || network.hidden_bias.size() != neurons ||
      network.neuron_outputs.size() != neurons || network.gate_bias.size() != gate_rows ||
      network.output_bias.size() != static_cast<size_t>(network.outputs) ||
      network.hidden_weights.size() != neurons * static_cast<size_t>(network.inputs) ||
      network.gates.size() != gate_rows * static_cast<size_t>(network.inputs)) {
    return absl::DataLossError("the sizes of the network's weights do not fit together");
  }
  int32_t output = 0;
  for (const int32_t own : network.neuron_outputs) {
    if (own < output || own >= network.outputs) {
      return absl::DataLossError(absl::StrCat("a neuron is of output ", own, " of ",
                                              network.outputs, " after one of output ", output));
    }
    output = own;
  }
  for (const std::vector<double>* numbers :
       {&network.hidden_weights, &network.hidden_bias, &network.gates, &network.gate_bias,
        &network.output_weights, &network.output_bias}) {
    if (!AllFinite(*numbers)) return absl::DataLossError("a weight of the network is not finite");
  }
  return absl::OkStatus();
}

absl::StatusOr<TwoLayerNetwork> NetworkFromBlocks(std::span<const SolutionBlock> blocks,
                                                  const SolutionSpace& space, int outputs,
                                                  bool gated, double zero_norm) {
  TY_RETURN_IF_ERROR(CheckSpace(space, outputs));
  std::vector<const SolutionBlock*> ordered;
  for (const SolutionBlock& block : blocks) {
    TY_RETURN_IF_ERROR(CheckBlock(block, space, outputs, gated));
    if (NormOf(block.weights) > zero_norm) ordered.push_back(&block);
  }
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const auto* a, const auto* b) { return a->output < b->output; });
  TwoLayerNetwork network;
  network.inputs = static_cast<int>(space.column_norms.size()) - (space.has_bias ? 1 : 0);
  network.outputs = outputs;
  network.gated = gated;
  network.output_bias.assign(static_cast<size_t>(outputs), 0.0);
  std::copy(space.output_offset.begin(), space.output_offset.end(), network.output_bias.begin());
  for (const SolutionBlock* block : ordered) {
    const double root = std::sqrt(NormOf(block->weights));
    AppendUnscaled(block->weights, 1 / root, space, network.hidden_weights, network.hidden_bias);
    if (gated) AppendUnscaled(block->gate, 1, space, network.gates, network.gate_bias);
    network.neuron_outputs.push_back(block->output);
    const double scale =
        space.output_scale.empty() ? 1.0 : space.output_scale[static_cast<size_t>(block->output)];
    network.output_weights.push_back((block->sign > 0 ? root : -root) * scale);
  }
  if (!CheckNetwork(network).ok()) {
    return absl::InvalidArgumentError("the weights are too large in the units of the raw data");
  }
  return network;
}

void Forward(const TwoLayerNetwork& network, const double* features, int64_t rows, int64_t stride,
             double* outputs, ThreadPool& pool) {
  const Eigen::Map<const Eigen::RowVectorXd> bias(network.output_bias.data(), network.outputs);
  pool.Run((rows + kForwardRows - 1) / kForwardRows, [&](int64_t task, int) {
    const int64_t begin = task * kForwardRows;
    const int64_t count = std::min(kForwardRows, rows - begin);
    const ConstRows own(features + begin * stride, count, network.inputs,
                        Eigen::OuterStride<>(stride));
    Eigen::Map<RowMatrix> result(outputs + begin * network.outputs, count, network.outputs);
    result.rowwise() = bias;
    for (int64_t first = 0; first < network.neurons(); first += kNeuronsPerStep) {
      AddNeurons(network, own, first, std::min(kNeuronsPerStep, network.neurons() - first), result);
    }
  });
}

}  // namespace trainyard::convex_relu
