// What the server and a worker in ingest mode say to each other.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "trainyard/v1/table.pb.h"

namespace trainyard {

// Descriptors of the ingest process: serialised v1::TableReadOptions to read, and where the result
// is written.
inline constexpr int kIngestOptionsFd = 3;
inline constexpr int kIngestResultFd = 4;

// The result as bytes: a schema, or an error with its violations.
std::string EncodeIngestResult(const absl::StatusOr<v1::TableSchema>& result);

// The reverse. INTERNAL when the bytes are no result.
absl::StatusOr<v1::TableSchema> DecodeIngestResult(std::string_view bytes);

}  // namespace trainyard
