// CRC-32C (Castagnoli, RFC 3720 appendix B.4).
#pragma once

#include <cstdint>
#include <string_view>

namespace trainyard {

// The checksum of `bytes`.
uint32_t Crc32c(std::string_view bytes);

// The checksum of A followed by `bytes`, where `crc` is the checksum of A.
uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes);

}  // namespace trainyard
