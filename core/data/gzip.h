// Decompression of gzip (RFC 1952).
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/data/file_bytes.h"

namespace trainyard {

// Whether the bytes begin like a gzip file.
bool LooksLikeGzip(std::string_view bytes);

// The content of all members. INVALID_ARGUMENT when the data is damaged, cut off, or larger than
// `max_bytes`; RESOURCE_EXHAUSTED when memory runs out.
absl::StatusOr<std::unique_ptr<GrowingBuffer>> Gunzip(std::string_view bytes, int64_t max_bytes);

}  // namespace trainyard
