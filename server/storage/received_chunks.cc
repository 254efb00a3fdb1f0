#include "server/storage/received_chunks.h"

#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"

namespace trainyard {

absl::Status CheckChunk(const v1::FileChunk& chunk, int64_t received_bytes,
                        int64_t declared_bytes) {
  const auto size = static_cast<int64_t>(chunk.data().size());
  if (chunk.offset() != received_bytes) {
    return absl::OutOfRangeError(absl::StrCat("chunk.offset is ", chunk.offset(), "; must be ",
                                              received_bytes, ", where the chunk before ended"));
  }
  if (size > declared_bytes - received_bytes) {
    return absl::OutOfRangeError(absl::StrCat("chunk.data ends at byte ", received_bytes + size,
                                              "; header.size_bytes is ", declared_bytes));
  }
  const uint32_t crc = Crc32c(chunk.data());
  if (crc != chunk.crc32c()) {
    return absl::DataLossError(absl::StrCat(
        "chunk.crc32c is ", absl::Hex(chunk.crc32c(), absl::kZeroPad8), "; must be ",
        absl::Hex(crc, absl::kZeroPad8), ", the CRC-32C of the data at byte ", received_bytes));
  }
  return absl::OkStatus();
}

absl::Status CheckReceivedSize(int64_t received_bytes, int64_t declared_bytes) {
  if (received_bytes == declared_bytes) return absl::OkStatus();
  return absl::OutOfRangeError(absl::StrCat("the file ended after ", received_bytes,
                                            " bytes; header.size_bytes is ", declared_bytes));
}

}  // namespace trainyard
