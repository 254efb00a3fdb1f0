// Explanation of a model on a table, message by message.
#pragma once

#include "absl/status/statusor.h"
#include "trainyard/v1/explanation.pb.h"

namespace trainyard {

// Makes the messages of one explanation. Not thread-safe.
class Explanation {
 public:
  virtual ~Explanation() = default;
  // Fills in the next message, at most 1 MiB; false at the end.
  virtual absl::StatusOr<bool> Next(v1::ExplainResponse& message) = 0;
};

}  // namespace trainyard
