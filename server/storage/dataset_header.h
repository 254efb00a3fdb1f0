// What a data set upload must declare.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "trainyard/v1/dataset_service.pb.h"

namespace trainyard {

// INVALID_ARGUMENT with all violations (paths begin with `header.`), UNIMPLEMENTED for a kind that
// this build does not take, RESOURCE_EXHAUSTED for more than `max_bytes`.
absl::Status CheckUploadHeader(const v1::UploadDatasetHeader& header, int64_t max_bytes);

}  // namespace trainyard
