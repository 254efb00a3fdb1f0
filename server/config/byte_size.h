// A number of bytes as a flag.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace trainyard {

struct ByteSize {
  int64_t bytes = 0;
};

// A whole number, perhaps followed by KiB, MiB, GiB or TiB; found by argument-dependent lookup of
// the flag library.
bool AbslParseFlag(absl::string_view text, ByteSize* size, std::string* error);
std::string AbslUnparseFlag(const ByteSize& size);

}  // namespace trainyard
