#include "server/api/request_checks.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace trainyard {

int32_t PageSize(int32_t page_size, const PageBounds& bounds, Violations& violations) {
  if (page_size < 0) {
    violations.Add("page_size",
                   absl::StrCat(page_size, " is negative; 0 means ", bounds.default_size,
                                ", more than ", bounds.max_size, " means ", bounds.max_size));
  }
  return page_size <= 0 ? bounds.default_size : std::min(page_size, bounds.max_size);
}

bool IsUuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !absl::ascii_isxdigit(static_cast<unsigned char>(text[i]))) {
      return false;
    }
  }
  return true;
}

}  // namespace trainyard
