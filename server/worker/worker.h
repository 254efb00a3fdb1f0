// The life of a worker process.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "absl/time/time.h"
#include "server/worker/server_connection.h"

namespace trainyard {

struct WorkerOptions {
  std::string attempt;
  std::string token;
  std::filesystem::path work_folder;  // private, empty
  absl::Duration give_up_after = absl::Minutes(10);
  absl::Duration alive_interval = absl::Seconds(5);
  // Called when the server has stored the end of the attempt and nothing is left to do; may end the
  // process.
  std::function<void()> on_stored = [] {};
};

// Gets an assignment, trains, reports; returns a WorkerExitCode. SIGTERM cancels the training; it
// must be blocked in every thread of the process before. When the training still runs at the
// return (the server is gone or refuses), the process must be ended by _exit.
int RunWorker(const WorkerOptions& options, ServerConnection& connection);

}  // namespace trainyard
