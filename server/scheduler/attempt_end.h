// How attempts end: causes, messages, and whether another attempt follows.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "google/rpc/status.pb.h"
#include "server/execution/executor.h"
#include "trainyard/v1/job.pb.h"

namespace trainyard {

// Reason (google.rpc.ErrorInfo) of an attempt that was lost because the server was restarted. Such
// an attempt does not count against Job.max_attempts.
inline constexpr std::string_view kServerRestarted = "SERVER_RESTARTED";

// So many attempts are forgiven at most: a job that takes the server down with it ends some time.
inline constexpr int kMaxForgivenAttempts = 20;

// Whether this cause allows another attempt: WORKER_LOST, PREEMPTED and SERVER_FAULT.
bool AllowsRetry(v1::Attempt::EndCause cause);

// Whether one more attempt may follow those of `job`, of which the last ended in a cause that
// allows it.
bool HasAttemptsLeft(const v1::Job& job);

// Pause before the next attempt of `job`: `first`, doubled for each counted attempt after the
// first, at most `longest`; zero after an attempt that was lost to a restart of the server.
absl::Duration RetryBackoff(const v1::Job& job, absl::Duration first, absl::Duration longest);

// The status as a message, its payloads as details.
google::rpc::Status ToRpcStatus(const absl::Status& status);
// The reason of the google.rpc.ErrorInfo among the details, empty if there is none.
std::string ReasonOf(const google::rpc::Status& status);

// The error of an attempt that ended so.
absl::Status EndError(v1::Attempt::EndCause cause, std::string_view message);

// `SIGSEGV` for 11 and so on; `SIG` and the number for those without a name.
std::string SignalName(int signal);

// For example `worker died of signal 11 (SIGSEGV) in phase "cross-validation" at step 2 of 3`.
std::string DescribeExit(const WorkerExit& exit, const v1::Progress& progress);

// Stores what is known of the end of the processes in the attempt.
void RecordExit(const WorkerExit& exit, v1::Attempt& attempt);

}  // namespace trainyard
