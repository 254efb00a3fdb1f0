// From a CreateJob request to a job that is resolved and valid, or to all that is wrong with it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/algorithms/algorithm.h"
#include "proto/schema/resource_names.h"
#include "server/scheduler/queue.h"
#include "trainyard/v1/dataset.pb.h"
#include "trainyard/v1/job_service.pb.h"

namespace trainyard {

// What the server fills in and checks against.
struct SpecEnvironment {
  Slots capacity;  // of this machine
  int64_t default_memory_bytes = 0;
  absl::Duration default_time_limit = absl::InfiniteDuration();
  absl::Duration cancel_grace_period = absl::Seconds(10);
  bool enable_diagnostics = false;
  // Names of the algorithms offered, for error texts.
  std::string algorithm_names;
  // The algorithm of that name, or nullptr.
  std::function<const Algorithm*(std::string_view name)> find_algorithm;
  // A version of a data set; version 0 stands for the newest. NOT_FOUND when there is none.
  std::function<absl::StatusOr<v1::DatasetVersion>(const DatasetName& name)> get_dataset_version;
  // A model, or NOT_FOUND. Null: there are none.
  std::function<absl::StatusOr<v1::Model>(const ModelName& name)> get_model;
};

// A job as JobManager::Create takes it.
struct ResolvedJob {
  v1::Job job;                 // `name` is empty when the request has no `job_id`
  std::string project;         // of the request's parent
  std::string content_sha256;  // of the request as sent, without `request_id` and `validate_only`
};

// Clears what only the server writes, fills in defaults, pins data sets to a version and checks the
// whole request. Reads the catalogue: may block. Errors: INVALID_ARGUMENT with every violation
// found (paths from the request's root; reason UNSUPPORTED_SPEC when the algorithm is not one that
// this server trains); NOT_FOUND, reason DATASET_NOT_FOUND, when a data set that does not exist is
// all that is wrong; what `get_dataset_version` answers otherwise.
absl::StatusOr<ResolvedJob> ResolveJob(const v1::CreateJobRequest& request,
                                       const SpecEnvironment& environment);

// SHA-256 of the content of a request, as ResolvedJob::content_sha256.
std::string ContentHash(const v1::CreateJobRequest& request);

}  // namespace trainyard
