// The files of a network in a model folder.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/network_model.h"

namespace trainyard::convex_relu {

// A v1::DenseNetworkModel.
inline constexpr char kNetworkDescriptionFile[] = "network.pb";
// The members of TwoLayerNetwork by their names, without those that are empty, in the safetensors
// format: numbers as F64, `neuron_outputs` as I32.
inline constexpr char kNetworkWeightsFile[] = "network.safetensors";
// The same network in float, for other programs (network_onnx.h).
inline constexpr char kNetworkOnnxFile[] = "model.onnx";

// Writes the three files. `check` is asked every few milliseconds of writing and may be empty. The
// ONNX file is left out where such a file cannot hold the network; the result then says why, and is
// else empty. Errors: the file system's and those of `check`.
absl::StatusOr<std::string> WriteNetworkModel(const NetworkModel& model,
                                              const std::filesystem::path& folder,
                                              const std::function<absl::Status()>& check);

// Reads the first two. DATA_LOSS when one is missing or damaged, or they do not fit together (see
// MakeNetworkModel).
absl::StatusOr<NetworkModel> ReadNetworkModel(const std::filesystem::path& folder);

}  // namespace trainyard::convex_relu
