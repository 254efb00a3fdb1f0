// Short forms for passing absl::Status up.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace trainyard {

// `status` with `context` and a colon before its message; payloads are kept. OK stays OK.
inline absl::Status AddContext(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  absl::Status result(status.code(), absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload(
      [&](absl::string_view url, const absl::Cord& payload) { result.SetPayload(url, payload); });
  return result;
}

}  // namespace trainyard

#define TY_CONCAT_INNER(a, b) a##b
#define TY_CONCAT(a, b) TY_CONCAT_INNER(a, b)

// Returns from the calling function when `expression`, an absl::Status, is not OK.
#define TY_RETURN_IF_ERROR(expression)     \
  do {                                     \
    absl::Status ty_status = (expression); \
    if (!ty_status.ok()) return ty_status; \
  } while (false)

// Assigns the value of `expression`, an absl::StatusOr, to `lhs`, or returns its status.
#define TY_ASSIGN_OR_RETURN(lhs, expression) \
  TY_ASSIGN_OR_RETURN_INNER(TY_CONCAT(ty_statusor_, __LINE__), lhs, expression)
#define TY_ASSIGN_OR_RETURN_INNER(statusor, lhs, expression) \
  auto statusor = (expression);                              \
  if (!statusor.ok()) return statusor.status();              \
  lhs = *std::move(statusor)
