// absl::Status as a message, for passing it between processes.
#pragma once

#include "absl/status/status.h"
#include "google/rpc/status.pb.h"

namespace trainyard {

// Code, text (as valid UTF-8) and payloads, which become details.
google::rpc::Status StatusToMessage(const absl::Status& status);

// The reverse. A code that absl::Status does not know becomes UNKNOWN.
absl::Status StatusFromMessage(const google::rpc::Status& message);

}  // namespace trainyard
