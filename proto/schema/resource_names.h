// Names of resources: `projects/{p}/jobs/{j}` and so on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace trainyard {

// `projects/{project}`.
struct ProjectName {
  std::string project;

  static absl::StatusOr<ProjectName> Parse(std::string_view name);
  std::string ToString() const;
};

// `projects/{project}/jobs/{job}`.
struct JobName {
  std::string project;
  std::string job;

  static absl::StatusOr<JobName> Parse(std::string_view name);
  std::string ToString() const;
};

// `projects/{project}/jobs/{job}/attempts/{attempt}`, attempt >= 1.
struct AttemptName {
  JobName job;
  int32_t attempt = 0;

  static absl::StatusOr<AttemptName> Parse(std::string_view name);
  std::string ToString() const;
};

// `projects/{project}/datasets/{dataset}[/versions/{version}]`; version 0 stands for the newest.
struct DatasetName {
  std::string project;
  std::string dataset;
  int64_t version = 0;

  static absl::StatusOr<DatasetName> Parse(std::string_view name);
  std::string ToString() const;
};

// `projects/{project}/models/{model}`.
struct ModelName {
  std::string project;
  std::string model;

  static absl::StatusOr<ModelName> Parse(std::string_view name);
  std::string ToString() const;
};

// OK when `id` is a resource id: `[a-z]([a-z0-9-]{0,61}[a-z0-9])?`; else INVALID_ARGUMENT that
// quotes the value and the rule. Parse errors are of the same kind and also name the expected form.
absl::Status CheckResourceId(std::string_view id);

// Whether `text` is a UUID: 8-4-4-4-12 hexadecimal digits.
bool IsUuid(std::string_view text);

}  // namespace trainyard
