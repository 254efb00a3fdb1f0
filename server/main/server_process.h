// The whole server in one object: everything is made, connected, started and stopped here.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/config/settings.h"

namespace trainyard {

class ServerProcess {
 public:
  // Locks and opens the store, takes over the jobs of an earlier run, listens. `settings` are
  // checked; `worker_binary` is the program of the workers. Errors name what could not be opened,
  // bound or run.
  static absl::StatusOr<std::unique_ptr<ServerProcess>> Start(
      const Settings& settings, const std::filesystem::path& worker_binary);
  virtual ~ServerProcess() = default;

  // HOST:PORT of the API, and of the metrics (empty where there are none).
  virtual const std::string& api_address() const = 0;
  virtual const std::string& metrics_address() const = 0;

  // Health says NOT_SERVING, new jobs are refused, watches end with UNAVAILABLE, calls in progress
  // get the grace time; everything accepted is on disk afterwards. Workers go on.
  virtual void Shutdown() = 0;
};

// Verifies the store of `settings.data_dir` and prints what is wrong to standard output. OK when it
// is sound, DATA_LOSS when it is not, other errors when it could not be checked.
absl::Status CheckStoreAndReport(const Settings& settings);

}  // namespace trainyard
