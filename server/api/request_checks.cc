#include "server/api/request_checks.h"

#include <algorithm>

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

}  // namespace trainyard
