// Networks as ONNX models.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/network_model.h"

namespace trainyard::convex_relu {

// The bytes of a model that encodes rows (inputs: AddDenseEncoding), applies the network and, for
// classes, what PredictionsOf does. Outputs: `prediction`, [N, targets], of a regression; `label`,
// [N], the text of the predicted class, and `probabilities` or with squared loss `scores`,
// [N, classes], of a classification. All arithmetic is in float. FAILED_PRECONDITION when a weight
// is beyond float or the model beyond 2 GiB.
absl::StatusOr<std::string> NetworkToOnnx(const NetworkModel& model);

}  // namespace trainyard::convex_relu
