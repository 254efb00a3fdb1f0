// How commands fail: exit codes and what standard error says.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "client/cli/terminal.h"
#include "trainyard/v1/job.pb.h"

namespace trainyard::cli {

// Exit codes that scripts rely on.
enum ExitCode : int {
  kSuccess = 0,
  kWrongUsage = 2,      // options, or a file on this machine
  kRejected = 3,        // the server said no
  kJobFailed = 4,       // the job that was waited for failed
  kJobCancelled = 5,    // the job that was waited for was cancelled
  kConnectionLost = 6,  // no answer from the server
  kInterrupted = 130,   // Ctrl-C
};

// Reason of errors in how the program was called.
inline constexpr std::string_view kUsageReason = "USAGE";

// Reason of the error after Ctrl-C.
inline constexpr std::string_view kInterruptedReason = "INTERRUPTED";

// INVALID_ARGUMENT with the reason USAGE.
absl::Status UsageError(std::string_view message);

// `status` as a usage error, with `context` and a colon before its message. OK stays OK.
absl::Status AsUsageError(const absl::Status& status, std::string_view context);

// The exit code for a command that ended with `status`.
ExitCode ExitCodeOf(const absl::Status& status);

// The exit code for a job that ended in `state`.
ExitCode ExitCodeOf(v1::Job::State state);

// The error that ended a job, with its details.
absl::Status ErrorOf(const v1::Job& job);

// One JSON document: {"error": {"code", "message", "reason", "violations": [{"field",
// "description"}]}}.
std::string ErrorToJson(const absl::Status& status);

// The same for people, in lines.
std::string ErrorToText(const absl::Status& status, const Terminal& terminal);

}  // namespace trainyard::cli
