// Secrets: making them and comparing them.
#pragma once

#include <string>
#include <string_view>

namespace trainyard {

// `bytes` random bytes of the operating system's generator in hexadecimal.
std::string RandomHexToken(int bytes);

// Whether both are equal; takes the same time wherever they differ.
bool ConstantTimeEquals(std::string_view a, std::string_view b);

}  // namespace trainyard
