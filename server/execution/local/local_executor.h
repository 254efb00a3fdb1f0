// Runs workers as processes of this machine.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/execution/executor.h"

namespace trainyard {

// Each attempt gets a session, a private working folder (removed at its end), a file for standard
// error and, where the system grants it, a control group. Memory is limited by the control group;
// where there is none, by looking at the attempt's processes every `memory_sample_interval` and
// killing them when their unreclaimable memory exceeds the limit (a process that grows faster than
// that may exceed it briefly). CPU threads are not confined: the worker is told their number.
//
// Workers outlive the executor and are found again by Adopt.
class LocalExecutor : public Executor {
 public:
  struct Options {
    std::filesystem::path worker_binary;
    std::filesystem::path work_folder;          // private to one server; created if need be
    std::vector<std::string> worker_arguments;  // further ones, for every worker
    bool use_cgroup_v2 = true;
    bool use_cgroup_v1 = true;
    absl::Duration memory_sample_interval = absl::Milliseconds(100);
  };

  // Finds out what the system grants, and removes what dead attempts of an earlier run left behind.
  // FAILED_PRECONDITION when the worker binary cannot be run or the folder cannot be used.
  static absl::StatusOr<std::unique_ptr<LocalExecutor>> Create(const Options& options);

  // For logs: how processes are confined, for example `cgroup v2 and cgroup v1 memory`.
  virtual std::string DescribeConfinement() const = 0;
};

}  // namespace trainyard
