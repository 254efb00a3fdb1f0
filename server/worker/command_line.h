// The arguments of trainyard-worker.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/worker/ingest.h"
#include "server/worker/worker.h"

namespace trainyard {

struct WorkerCommand {
  enum class Mode { kTrain, kIngest, kProbe, kVersion, kHelp };
  Mode mode = Mode::kTrain;
  // kTrain
  std::string server;
  int token_fd = -1;
  WorkerOptions worker;  // without the token
  // kIngest
  IngestOptions ingest;
  // kProbe
  int result_fd = -1;
  // All modes: control groups to enter first.
  std::vector<std::string> control_groups;
};

// INVALID_ARGUMENT that names the argument and what is wrong with it.
absl::StatusOr<WorkerCommand> ParseWorkerCommand(const std::vector<std::string>& arguments);

// What `--help` prints.
extern const char kWorkerUsageText[];

}  // namespace trainyard
