// What a fit refuses.
#pragma once

#include "absl/status/status.h"
#include "core/trees/boosting/boosting.h"

namespace trainyard {

// INVALID_ARGUMENT that names the field, its value and its range.
absl::Status CheckBoostingOptions(const v1::BoostingOptions& options);

// INVALID_ARGUMENT for no training row of positive weight, rows out of range, weights that are
// negative or not finite, a target or directions of the wrong length, directions on categories or
// for softmax, and early stopping without validation rows.
absl::Status CheckBoostingData(const BoostingData& data, const v1::BoostingOptions& options);

// INVALID_ARGUMENT for a lambda below 0, or finished trees that are not whole rounds.
absl::Status CheckBoostingSetup(const BoostingSetup& setup, int outputs);

}  // namespace trainyard
