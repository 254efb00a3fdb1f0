#include "client/cpp/version.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/schema/violations.h"

namespace trainyard {
namespace {

std::optional<std::pair<int, int>> MajorMinor(std::string_view version) {
  const std::vector<std::string> parts =
      absl::StrSplit(absl::string_view(version.data(), version.size()), '.');
  std::pair<int, int> result;
  if (parts.size() < 2 || !absl::SimpleAtoi(parts[0], &result.first) ||
      !absl::SimpleAtoi(parts[1], &result.second)) {
    return std::nullopt;
  }
  return result;
}

}  // namespace

std::string_view ClientVersion() { return TRAINYARD_VERSION; }

absl::StatusOr<std::string> CheckServerVersion(std::string_view client, std::string_view server) {
  const std::string client_text(client);
  const std::string server_text(server);
  const auto ours = MajorMinor(client);
  const auto theirs = MajorMinor(server);
  if (!theirs.has_value()) {
    return WithReason(
        absl::FailedPreconditionError(absl::StrCat("the server says that its version is \"",
                                                   server_text, "\"; expected MAJOR.MINOR.PATCH")),
        "VERSION_MISMATCH");
  }
  if (!ours.has_value() || ours->first != theirs->first) {
    return WithReason(absl::FailedPreconditionError(
                          absl::StrCat("this client is version ", client_text, ", the server ",
                                       server_text, "; their major versions must be equal")),
                      "VERSION_MISMATCH", {{"client", client_text}, {"server", server_text}});
  }
  if (ours->second == theirs->second) return std::string();
  return absl::StrCat("this client is version ", client_text, ", the server ", server_text,
                      "; some options may be unknown to one of them");
}

}  // namespace trainyard
