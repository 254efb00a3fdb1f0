// What worker and server agree on about the files of a model.
#pragma once

#include <cstdint>

namespace trainyard {

// Files of a model that travel with v1::Finished and are kept in the catalogue have together at
// most so many bytes; the others are uploaded and are blobs.
inline constexpr int64_t kMaxSmallFileBytes = 64 << 10;

}  // namespace trainyard
