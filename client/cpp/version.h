// Whether this client may talk to a server.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace trainyard {

// Version of this client, MAJOR.MINOR.PATCH.
std::string_view ClientVersion();

// Compares two versions MAJOR.MINOR.PATCH[…]. Returns a warning for people where the minor versions
// differ and an empty text where they are equal. Another major version is FAILED_PRECONDITION with
// reason VERSION_MISMATCH; so is a server version that is no version.
absl::StatusOr<std::string> CheckServerVersion(std::string_view client, std::string_view server);

}  // namespace trainyard
