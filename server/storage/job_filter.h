// The filter language of ListJobs, a subset of AIP-160.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

namespace trainyard {

// A filter as a condition of an SQL query over the table `jobs`.
struct JobFilter {
  std::string condition;  // holds a `?` for each of `values`; `TRUE` for the empty filter
  std::vector<std::variant<int64_t, std::string>> values;
};

// Translates a filter:
//
//   filter    = [ condition { "AND" condition } ]
//   condition = field operator value
//   field     = "state" | "algorithm" | "priority" | "create_time" | "display_name"
//             | "labels." value
//   operator  = "=" | "!=" | "<" | "<=" | ">" | ">="
//   value     = word | quoted text
//
// Quoted text is "…" or '…'; \ escapes the next character. `state` takes the name of a state, with
// or without `STATE_`, and only = and !=. `priority` takes a whole number, `create_time` an RFC
// 3339 time; texts are compared bytewise. A condition over a label holds only for jobs that have
// the label, also with
// !=. At most 4096 bytes and 32 conditions.
//
// INVALID_ARGUMENT with a violation of `filter` that quotes the place (in bytes, from 1) and the
// rule.
absl::StatusOr<JobFilter> ParseJobFilter(std::string_view filter);

}  // namespace trainyard
