// From absl::Status to what a gRPC client receives.
#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/support/status.h"

namespace trainyard {

// Most bytes of serialised google.rpc.Status in the trailing metadata. Above about 8000 bytes of
// metadata a client sees RESOURCE_EXHAUSTED in place of the error.
inline constexpr size_t kMaxStatusDetailBytes = 6 << 10;

// `status` with its typed payloads as details. Always holds an ErrorInfo, with a reason made from
// the code where none was given. UNAVAILABLE and RESOURCE_EXHAUSTED always hold a RetryInfo, 1 s
// where none was given. Texts and violations are cut so that the whole stays within
// kMaxStatusDetailBytes. `status` must not be OK.
google::rpc::Status ToStatusDetails(const absl::Status& status);

// The same as gRPC carries it. OK stays OK.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace trainyard
