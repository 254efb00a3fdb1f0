// Lists of short texts as bytes, as they stand in cache files.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trainyard {

// Every text as a 32-bit length and its bytes.
std::string EncodeTexts(std::span<const std::string> texts);

// Appends the texts that EncodeTexts made bytes of; false where the bytes are cut off.
bool DecodeTexts(std::string_view bytes, std::vector<std::string>& texts);

}  // namespace trainyard
