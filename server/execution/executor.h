// How a placed job becomes processes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainyard/v1/job.pb.h"

namespace trainyard {

// What is needed to start the worker of one attempt.
struct WorkerLaunch {
  std::string attempt;            // `projects/{p}/jobs/{j}/attempts/{n}`
  std::string token;              // one-time secret; never in the arguments or the environment
  std::string server_address;     // gRPC target that the worker dials
  v1::ResourceRequest resources;  // limits to apply; 0 means none
  // The GPUs that the attempt may use, by their drivers' names. It sees no others, and none at all
  // where this is empty.
  std::vector<std::string> gpus;
};

// How an attempt's processes ended.
struct WorkerExit {
  std::optional<int> exit_code;  // absent when a signal ended the worker, or nobody can know
  int signal = 0;
  bool out_of_memory = false;     // ended because the memory limit was reached
  int64_t peak_memory_bytes = 0;  // of all processes together where that is known; 0 if not
  std::string stderr_tail;        // the last 8 KiB
};

// Starts and ends workers. Thread-safe.
class Executor {
 public:
  virtual ~Executor() = default;

  virtual std::string_view name() const = 0;

  // Called once per attempt, on a thread of the executor, when no process of the attempt is left.
  using OnExit = std::function<void(WorkerExit exit)>;

  // Starts the worker. Returns a text with which Adopt finds it again after a restart of the
  // server. RESOURCE_EXHAUSTED when the machine cannot start a process now; other errors are
  // permanent.
  virtual absl::StatusOr<std::string> Launch(const WorkerLaunch& launch, OnExit on_exit) = 0;

  // Takes over an attempt that an earlier run of the server launched. `process` is what Launch
  // returned, or empty when that run ended before it was stored, or before the launch. NOT_FOUND
  // when there is no worker, or none any more; whatever is left of it has been killed then, and
  // `on_exit` is not called.
  virtual absl::Status Adopt(const std::string& attempt, const std::string& process,
                             OnExit on_exit) = 0;

  // Sends SIGTERM to the worker. Nothing happens when it is gone.
  virtual void Terminate(const std::string& attempt) = 0;
  // Kills every process of the attempt, also those that left its session.
  virtual void Kill(const std::string& attempt) = 0;
  // Process id of the worker; 0 when unknown.
  virtual int64_t ProcessId(const std::string& attempt) const = 0;
};

}  // namespace trainyard
