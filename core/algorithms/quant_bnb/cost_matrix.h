// The costs of a spec as a matrix over the classes of the data.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "google/protobuf/repeated_field.h"
#include "trainyard/v1/quant_bnb.pb.h"

namespace trainyard {

// [true class][predicted class] row-major: 0 on the diagonal, the given costs, 1 elsewhere. Empty
// where no cost other than 1 is given. INVALID_ARGUMENT for a label that is none of `labels`, those
// of the rows that are used.
absl::StatusOr<std::vector<double>> MakeCostMatrix(
    const google::protobuf::RepeatedPtrField<v1::MisclassificationCost>& costs,
    std::span<const std::string> labels);

}  // namespace trainyard
