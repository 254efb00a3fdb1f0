// The request that `trainyard train` sends, made from its options.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/context.h"
#include "client/cli/spec_flags.h"
#include "trainyard/v1/job_service.pb.h"

namespace trainyard::cli {

// Options of every algorithm.
struct TrainOptions {
  std::string algorithm;  // member of TrainingSpec
  std::string dataset;
  std::vector<std::string> targets;
  std::vector<std::string> assignments;  // --set
  std::string spec_file;
  std::string job_id;
  std::string display_name;
  std::vector<std::string> labels;
  int priority = 0;
  int cpu_threads = 0;
  int gpus = 0;
  std::string memory;
  std::string time_limit;
  std::string cancel_grace_period;
  int max_attempts = 0;
  bool validate_only = false;
  bool wait = false;
  bool follow = false;
};

// Puts together, later ones over earlier ones: the spec file, --set, the flags of the spec's
// fields,
// --dataset and --target, and the options of the job. Ids of data sets become full names. Errors
// are usage errors that name the option.
absl::StatusOr<v1::CreateJobRequest> MakeTrainRequest(const Context& context,
                                                      const TrainOptions& options,
                                                      const std::vector<SpecFlag>& flags);

// Names of all algorithms: the members of TrainingSpec.
std::vector<std::string> AlgorithmNames();

}  // namespace trainyard::cli
