#include "core/algorithms/convex_relu/network_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

using Model = v1::DenseNetworkModel;

absl::Status CheckDescription(const Model& model) {
  if (!Model::Loss_IsValid(model.loss()) || model.loss() == Model::LOSS_UNSPECIFIED) {
    return absl::DataLossError("a network model has no known loss");
  }
  if (model.classes().empty()) {
    if (!model.targets().empty() && model.loss() == Model::LOSS_SQUARED) return absl::OkStatus();
    return absl::DataLossError("a network of a regression must have targets and squared loss");
  }
  const absl::flat_hash_set<absl::string_view> classes(model.classes().begin(),
                                                       model.classes().end());
  if (model.targets_size() == 1 && model.classes_size() >= 2 &&
      classes.size() == static_cast<size_t>(model.classes_size())) {
    return absl::OkStatus();
  }
  return absl::DataLossError(
      absl::StrCat("a network of a classification must have one target and different classes; it "
                   "has ",
                   model.targets_size(), " and ", model.classes_size()));
}

// log(1 / (1 + exp(-z))), also where the sigmoid rounds to 0.
double LogSigmoid(double z) {
  return z >= 0 ? -std::log1p(std::exp(-z)) : z - std::log1p(std::exp(z));
}

void Softmax(std::span<double> row) {
  const double greatest = *std::max_element(row.begin(), row.end());
  double sum = 0;
  for (double& value : row) sum += value = std::exp(value - greatest);
  for (double& value : row) value /= sum;
}

std::vector<double> TwoClasses(const Model& model, std::span<const double> outputs) {
  std::vector<double> predictions;
  predictions.reserve(2 * outputs.size());
  for (const double z : outputs) {
    for (const double own : {-z, z}) {
      predictions.push_back(model.loss() == Model::LOSS_SQUARED ? (1 + own) / 2
                                                                : std::exp(LogSigmoid(own)));
    }
  }
  return predictions;
}

}  // namespace

int OutputCount(const Model& model) {
  if (model.classes().empty()) return model.targets_size();
  return model.classes_size() == 2 && model.loss() != Model::LOSS_SOFTMAX ? 1
                                                                          : model.classes_size();
}

int PredictionCount(const Model& model) {
  return model.classes().empty() ? model.targets_size() : model.classes_size();
}

bool GivesProbabilities(const Model& model) {
  return !model.classes().empty() && model.loss() != Model::LOSS_SQUARED;
}

absl::StatusOr<NetworkModel> MakeNetworkModel(Model description, TwoLayerNetwork network) {
  TY_RETURN_IF_ERROR(CheckDescription(description));
  TY_RETURN_IF_ERROR(CheckNetwork(network));
  TY_ASSIGN_OR_RETURN(DenseEncoder encoder, DenseEncoder::FromProto(description.encoding()));
  if (network.inputs != encoder.width() || network.outputs != OutputCount(description)) {
    return absl::DataLossError(absl::StrCat("a network of ", network.inputs, " inputs and ",
                                            network.outputs, " outputs does not fit rows of ",
                                            encoder.width(), " numbers and a model of ",
                                            OutputCount(description), " outputs"));
  }
  description.set_gated(network.gated);
  description.set_neurons(network.neurons());
  return NetworkModel{std::move(description), std::move(encoder), std::move(network)};
}

std::vector<double> PredictionsOf(const Model& model, std::span<const double> outputs) {
  const size_t classes = static_cast<size_t>(model.classes_size());
  if (classes == 2 && OutputCount(model) == 1) return TwoClasses(model, outputs);
  std::vector<double> predictions(outputs.begin(), outputs.end());
  if (!GivesProbabilities(model)) return predictions;
  if (model.loss() == Model::LOSS_LOGISTIC) {
    std::transform(predictions.begin(), predictions.end(), predictions.begin(), LogSigmoid);
  }
  for (size_t begin = 0; begin < predictions.size(); begin += classes) {
    Softmax(std::span(predictions).subspan(begin, classes));
  }
  return predictions;
}

}  // namespace trainyard::convex_relu
