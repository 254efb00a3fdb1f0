#include "core/data/text_list.h"

#include <cstdint>
#include <cstring>

namespace trainyard {

std::string EncodeTexts(std::span<const std::string> texts) {
  std::string bytes;
  for (const std::string& text : texts) {
    const auto length = static_cast<uint32_t>(text.size());
    bytes.append(reinterpret_cast<const char*>(&length), sizeof(length));
    bytes.append(text);
  }
  return bytes;
}

bool DecodeTexts(std::string_view bytes, std::vector<std::string>& texts) {
  while (!bytes.empty()) {
    uint32_t length = 0;
    if (bytes.size() < sizeof(length)) return false;
    std::memcpy(&length, bytes.data(), sizeof(length));
    bytes.remove_prefix(sizeof(length));
    if (bytes.size() < length) return false;
    texts.emplace_back(bytes.substr(0, length));
    bytes.remove_prefix(length);
  }
  return true;
}

}  // namespace trainyard
