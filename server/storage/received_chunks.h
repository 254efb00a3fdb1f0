// Checks of a file that arrives in chunks.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "trainyard/v1/dataset_service.pb.h"

namespace trainyard {

// Whether `chunk` is the next piece of a file whose header declares `declared_bytes` and of which
// `received_bytes` are there. OUT_OF_RANGE when it begins elsewhere or ends beyond the declared
// size; DATA_LOSS when its data do not have the CRC-32C that it carries.
absl::Status CheckChunk(const v1::FileChunk& chunk, int64_t received_bytes, int64_t declared_bytes);

// OUT_OF_RANGE when the last chunk has come and the file is not as long as declared.
absl::Status CheckReceivedSize(int64_t received_bytes, int64_t declared_bytes);

}  // namespace trainyard
