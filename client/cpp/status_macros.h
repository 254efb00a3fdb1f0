// Short forms for passing absl::Status up inside the client, which does not depend on core.
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define CLIENT_CONCAT_INNER(a, b) a##b
#define CLIENT_CONCAT(a, b) CLIENT_CONCAT_INNER(a, b)

// Returns from the calling function when `expression`, an absl::Status, is not OK.
#define CLIENT_RETURN_IF_ERROR(expression)         \
  do {                                             \
    absl::Status client_status = (expression);     \
    if (!client_status.ok()) return client_status; \
  } while (false)

// Assigns the value of `expression`, an absl::StatusOr, to `lhs`, or returns its status.
#define CLIENT_ASSIGN_OR_RETURN(lhs, expression) \
  CLIENT_ASSIGN_OR_RETURN_INNER(CLIENT_CONCAT(client_statusor_, __LINE__), lhs, expression)
#define CLIENT_ASSIGN_OR_RETURN_INNER(statusor, lhs, expression) \
  auto statusor = (expression);                                  \
  if (!statusor.ok()) return statusor.status();                  \
  lhs = *std::move(statusor)
