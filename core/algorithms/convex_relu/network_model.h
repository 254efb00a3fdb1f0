// A network with all that it takes to apply it to tables.
#pragma once

#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/network.h"
#include "core/data/dense_encoder.h"
#include "trainyard/v1/dense_model.pb.h"

namespace trainyard::convex_relu {

// Made by MakeNetworkModel only, so that its parts fit together.
struct NetworkModel {
  v1::DenseNetworkModel description;
  DenseEncoder encoder;  // of description.encoding
  TwoLayerNetwork network;
};

// Fills in `gated` and `neurons`. DATA_LOSS when the description is not valid (a regression has
// targets and squared loss, a classification one target and at least two different classes), or
// encoding, network and description do not fit together.
absl::StatusOr<NetworkModel> MakeNetworkModel(v1::DenseNetworkModel description,
                                              TwoLayerNetwork network);

// Outputs of the network: the targets of a regression; 1 for two classes where the loss is not
// softmax; else the classes.
int OutputCount(const v1::DenseNetworkModel& description);

// Columns of predictions: the targets of a regression, else the classes.
int PredictionCount(const v1::DenseNetworkModel& description);

// Whether a classification predicts probabilities: all losses but the squared one.
bool GivesProbabilities(const v1::DenseNetworkModel& description);

// Predictions from outputs, both row-major. A regression's are the outputs. Classes have
//   squared loss: least-squares scores, about 1 for the class and about 0 for others, which may lie
//     outside [0, 1] and sum to 1 for two classes only: (1 -+ z) / 2, or the outputs;
//   logistic: the sigmoids of -z and z, or for more classes the sigmoids divided by their sum;
//   softmax: the softmax of the outputs.
std::vector<double> PredictionsOf(const v1::DenseNetworkModel& description,
                                  std::span<const double> outputs);

}  // namespace trainyard::convex_relu
