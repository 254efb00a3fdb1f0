// What workers may send.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "trainyard/v1/job.pb.h"
#include "trainyard/v1/worker_service.pb.h"

namespace trainyard {

// Log line that the server writes when a worker begins to store its model. Files of a model are
// named in the catalogue only when the attempt ends well; a server that comes back knows by this
// line that an earlier one had received some.
inline constexpr std::string_view kStoringModel = "storing the model";

// OK for an event that a worker may send: progress, metrics or a log line within their bounds. Sets
// aside what the server gives: sequence and attempt. INVALID_ARGUMENT otherwise.
absl::Status CheckWorkerEvent(v1::JobEvent& event);

// OK when the end is one that a worker may report, with small files of a model only where it
// succeeded, each once and together within their bound; INVALID_ARGUMENT otherwise.
absl::Status CheckFinished(const v1::Finished& finished);

// OK for a path within a model folder: relative, without `.` and `..`, at most 255 bytes.
absl::Status CheckModelPath(std::string_view path);

}  // namespace trainyard
