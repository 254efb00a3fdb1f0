// Following a job to its end.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/cli/context.h"
#include "trainyard/v1/job.pb.h"

namespace trainyard::cli {

enum class FollowMode {
  kSilent,     // wait only
  kDisplay,    // show events to people
  kJsonLines,  // one JSON object a line for each event
};

// Follows the job from event `from` until it has ended, through lost connections. Then prints the
// results (for kJsonLines nothing more): with --json the finished Job, else tables and a plot.
// Returns the exit code of the end state, or kInterrupted after Ctrl-C, when the job goes on. The
// error of a job that failed is written to standard error.
absl::StatusOr<int> FollowJob(Context& context, const std::string& name, FollowMode mode,
                              int64_t from = 1);

}  // namespace trainyard::cli
