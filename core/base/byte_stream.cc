#include "core/base/byte_stream.h"

#include <utility>

#include "core/base/crc32c.h"

namespace trainyard {

std::string ByteWriter::Seal() && {
  Put(static_cast<uint64_t>(Crc32c(bytes_)));
  return std::move(bytes_);
}

ByteReader ByteReader::Unseal(std::string_view bytes) {
  constexpr size_t kChecksumBytes = 8;
  const bool long_enough = bytes.size() >= kChecksumBytes;
  const std::string_view content =
      long_enough ? bytes.substr(0, bytes.size() - kChecksumBytes) : std::string_view();
  ByteReader reader(content);
  reader.ok_ =
      long_enough && ByteReader(bytes.substr(content.size())).Take<uint64_t>() == Crc32c(content);
  return reader;
}

uint64_t FingerprintOf(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace trainyard
