// Checks that requests of several services share.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/schema/violations.h"

namespace trainyard {

// Bounds of a page: what 0 means and what larger sizes are cut to.
struct PageBounds {
  int32_t default_size = 50;
  int32_t max_size = 1000;
};

// The number of entries to answer for the `page_size` of a request. A negative one is a violation.
int32_t PageSize(int32_t page_size, const PageBounds& bounds, Violations& violations);

// Parses a resource name with `Name::Parse`; a violation of `field` when it has another form.
template <class Name>
Name ParseName(std::string_view field, const std::string& text, Violations& violations) {
  absl::StatusOr<Name> name =
      text.empty() ? absl::InvalidArgumentError("must be given") : Name::Parse(text);
  if (name.ok()) return *std::move(name);
  violations.Add(field, std::string(name.status().message()));
  return Name();
}

// The same for a request whose only field that can be wrong is `name`: INVALID_ARGUMENT with one
// violation.
template <class Name>
absl::StatusOr<Name> RequireName(const std::string& text) {
  Violations violations;
  Name name = ParseName<Name>("name", text, violations);
  if (!violations.empty()) return violations.ToStatus();
  return name;
}

// Largest answer that a list gives: clients take messages of at most 4 MiB.
inline constexpr size_t kMaxListBytes = 3 << 20;

// Calls `list(size)`, which gives a response with at most `size` entries, with ever smaller sizes
// until the response is not too large to send.
template <class Response, class List>
absl::StatusOr<Response> ListWithinLimit(int32_t size, const List& list) {
  while (true) {
    absl::StatusOr<Response> response = list(size);
    if (!response.ok() || size == 1 || response->ByteSizeLong() <= kMaxListBytes) return response;
    size /= 2;
  }
}

}  // namespace trainyard
