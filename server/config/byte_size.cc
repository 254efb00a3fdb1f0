#include "server/config/byte_size.h"

#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace trainyard {
namespace {

struct Unit {
  absl::string_view name;
  int64_t bytes;
};
constexpr Unit kUnits[] = {{"KiB", int64_t{1} << 10},
                           {"MiB", int64_t{1} << 20},
                           {"GiB", int64_t{1} << 30},
                           {"TiB", int64_t{1} << 40}};

}  // namespace

bool AbslParseFlag(absl::string_view text, ByteSize* size, std::string* error) {
  int64_t factor = 1;
  absl::string_view number = text;
  for (const Unit& unit : kUnits) {
    if (absl::ConsumeSuffix(&number, unit.name)) factor = unit.bytes;
  }
  int64_t value = 0;
  if (absl::SimpleAtoi(absl::StripAsciiWhitespace(number), &value) && value >= 0 &&
      value <= std::numeric_limits<int64_t>::max() / factor) {
    size->bytes = value * factor;
    return true;
  }
  *error = "a whole number of bytes is needed, perhaps followed by KiB, MiB, GiB or TiB";
  return false;
}

std::string AbslUnparseFlag(const ByteSize& size) {
  const Unit* best = nullptr;
  for (const Unit& unit : kUnits) {
    if (size.bytes != 0 && size.bytes % unit.bytes == 0) best = &unit;
  }
  return best == nullptr ? absl::StrCat(size.bytes)
                         : absl::StrCat(size.bytes / best->bytes, best->name);
}

}  // namespace trainyard
