#include "server/execution/local/device_probe.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/execution/local/helper_process.h"

namespace trainyard {
namespace {

constexpr absl::Duration kTimeLimit = absl::Seconds(30);

}  // namespace

absl::StatusOr<std::vector<v1::Device>> ProbeDevices(const std::filesystem::path& worker_binary) {
  HelperRequest request;
  request.arguments = {worker_binary.string(), "--probe", "--result_fd=4"};
  request.time_limit = kTimeLimit;
  TY_ASSIGN_OR_RETURN(const HelperResult result, RunHelper(request));
  if (result.timed_out) {
    return absl::UnavailableError(
        absl::StrCat("probing devices took longer than ", absl::FormatDuration(kTimeLimit)));
  }
  // The devices travel as the field of the message that clients see them in.
  v1::ServerInfo info;
  if (result.signal != 0 || result.exit_code != 0 || !info.ParseFromString(result.output)) {
    return absl::InternalError(absl::StrCat("probing devices failed: signal ", result.signal,
                                            ", exit code ", result.exit_code,
                                            "; it said: ", result.stderr_tail));
  }
  return std::vector<v1::Device>(info.devices().begin(), info.devices().end());
}

}  // namespace trainyard
