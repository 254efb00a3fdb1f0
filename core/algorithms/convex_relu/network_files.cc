#include "core/algorithms/convex_relu/network_files.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/algorithms/convex_relu/network_onnx.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/model_io/piecewise_file.h"
#include "core/model_io/safetensors.h"

namespace trainyard::convex_relu {
namespace {

std::vector<TensorView> TensorsOf(const TwoLayerNetwork& network) {
  const int64_t neurons = network.neurons();
  std::vector<TensorView> tensors = {
      TensorView::Of("hidden_weights", {neurons, network.inputs}, network.hidden_weights),
      TensorView::Of("hidden_bias", {neurons}, network.hidden_bias),
      TensorView::Of("neuron_outputs", {neurons}, network.neuron_outputs),
      TensorView::Of("output_weights", {neurons}, network.output_weights),
      TensorView::Of("output_bias", {network.outputs}, network.output_bias)};
  if (network.gated) {
    tensors.push_back(TensorView::Of("gates", {neurons, network.inputs}, network.gates));
    tensors.push_back(TensorView::Of("gate_bias", {neurons}, network.gate_bias));
  }
  return tensors;
}

absl::StatusOr<TwoLayerNetwork> NetworkFromFile(const SafetensorsFile& file,
                                                const v1::DenseNetworkModel& description,
                                                int inputs) {
  const int64_t neurons = description.neurons();
  if (const size_t known = description.gated() ? 7 : 5; file.tensors().size() != known) {
    return absl::DataLossError(
        absl::StrCat("there are ", file.tensors().size(), " tensors; must be ", known));
  }
  TwoLayerNetwork network;
  network.inputs = inputs;
  network.outputs = OutputCount(description);
  network.gated = description.gated();
  TY_ASSIGN_OR_RETURN(network.hidden_weights, file.Doubles("hidden_weights", {neurons, inputs}));
  TY_ASSIGN_OR_RETURN(network.hidden_bias, file.Doubles("hidden_bias", {neurons}));
  if (network.gated) {
    TY_ASSIGN_OR_RETURN(network.gates, file.Doubles("gates", {neurons, inputs}));
    TY_ASSIGN_OR_RETURN(network.gate_bias, file.Doubles("gate_bias", {neurons}));
  }
  TY_ASSIGN_OR_RETURN(network.neuron_outputs, file.Int32s("neuron_outputs", {neurons}));
  TY_ASSIGN_OR_RETURN(network.output_weights, file.Doubles("output_weights", {neurons}));
  TY_ASSIGN_OR_RETURN(network.output_bias, file.Doubles("output_bias", {network.outputs}));
  return network;
}

absl::StatusOr<NetworkModel> ReadParts(const std::filesystem::path& folder) {
  TY_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(folder / kNetworkDescriptionFile));
  v1::DenseNetworkModel description;
  if (!description.ParseFromString(bytes)) {
    return absl::DataLossError(std::string(kNetworkDescriptionFile) + " is no network model");
  }
  TY_ASSIGN_OR_RETURN(const DenseEncoder encoder, DenseEncoder::FromProto(description.encoding()));
  TY_ASSIGN_OR_RETURN(const SafetensorsFile file,
                      SafetensorsFile::Open(folder / kNetworkWeightsFile));
  absl::StatusOr<TwoLayerNetwork> network = NetworkFromFile(file, description, encoder.width());
  if (!network.ok()) return AddContext(network.status(), kNetworkWeightsFile);
  return MakeNetworkModel(std::move(description), *std::move(network));
}

}  // namespace

absl::StatusOr<std::string> WriteNetworkModel(const NetworkModel& model,
                                              const std::filesystem::path& folder,
                                              const std::function<absl::Status()>& check) {
  TY_RETURN_IF_ERROR(WriteFileAtomically(FileSystem::Real(), folder / kNetworkDescriptionFile,
                                         model.description.SerializeAsString()));
  TY_RETURN_IF_ERROR(WriteSafetensors(folder / kNetworkWeightsFile, TensorsOf(model.network),
                                      {{"format", "trainyard network"}}, check));
  const absl::StatusOr<std::string> onnx = NetworkToOnnx(model);
  if (absl::IsFailedPrecondition(onnx.status())) return std::string(onnx.status().message());
  TY_RETURN_IF_ERROR(onnx.status());
  const std::string_view parts[] = {*onnx};
  TY_RETURN_IF_ERROR(WriteFilePiecewise(folder / kNetworkOnnxFile, parts, check));
  return std::string();
}

absl::StatusOr<NetworkModel> ReadNetworkModel(const std::filesystem::path& folder) {
  absl::StatusOr<NetworkModel> model = ReadParts(folder);
  if (absl::IsNotFound(model.status())) return absl::DataLossError(model.status().message());
  return model;
}

}  // namespace trainyard::convex_relu
