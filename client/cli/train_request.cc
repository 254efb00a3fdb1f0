#include "client/cli/train_request.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/cli/errors.h"
#include "client/cli/spec_file.h"
#include "client/cli/spec_values.h"
#include "client/cli/text.h"
#include "client/cpp/status_macros.h"
#include "proto/schema/field_rules.h"
#include "proto/schema/resource_names.h"

namespace trainyard::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

Message& SpecMessage(v1::TrainingSpec& spec, const std::string& algorithm) {
  const FieldDescriptor* member = v1::TrainingSpec::descriptor()->FindFieldByName(algorithm);
  return *spec.GetReflection()->MutableMessage(&spec, member);
}

// The message in the field `input` of a spec, where --dataset and --target go; null for algorithms
// that have none.
Message* InputOf(Message& spec) {
  const FieldDescriptor* field = spec.GetDescriptor()->FindFieldByName("input");
  if (field == nullptr || field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return nullptr;
  return spec.GetReflection()->MutableMessage(&spec, field);
}

absl::Status ApplyInput(const TrainOptions& options, Message& spec) {
  const bool takes_data = spec.GetDescriptor()->FindFieldByName("input") != nullptr;
  const std::string name = absl::StrReplaceAll(options.algorithm, {{"_", "-"}});
  if (!takes_data) {
    if (options.dataset.empty() && options.targets.empty()) return absl::OkStatus();
    return UsageError(absl::StrCat(options.dataset.empty() ? "--target" : "--dataset", ": ", name,
                                   " takes no data set"));
  }
  Message& input = *InputOf(spec);
  const FieldDescriptor* dataset = input.GetDescriptor()->FindFieldByName("dataset");
  if (dataset != nullptr) {
    if (!options.dataset.empty()) {
      input.GetReflection()->SetString(&input, dataset, options.dataset);
    }
    if (input.GetReflection()->GetString(input, dataset).empty()) {
      return UsageError(
          absl::StrCat("--dataset is required: which data set ", name, " learns from"));
    }
  }
  if (options.targets.empty()) return absl::OkStatus();
  const FieldDescriptor* targets = input.GetDescriptor()->FindFieldByName("target_columns");
  if (targets == nullptr) return UsageError(absl::StrCat("--target: ", name, " has no targets"));
  input.GetReflection()->ClearField(&input, targets);
  for (const std::string& target : options.targets) {
    if (ValidUtf8(target) != target) return UsageError("--target: the name is not valid UTF-8");
    input.GetReflection()->AddString(&input, targets, target);
  }
  return absl::OkStatus();
}

absl::Status ExpandNames(const Context& context, Message& spec) {
  absl::Status status;
  VisitResourceNames(spec, "dataset", [&](const std::string& path, std::string& value) {
    const absl::StatusOr<std::string> name = context.DatasetNameOf(value);
    if (name.ok()) {
      value = *name;
    } else if (status.ok()) {
      status = AsUsageError(name.status(), path);
    }
  });
  VisitResourceNames(spec, "model", [&](const std::string& path, std::string& value) {
    const absl::StatusOr<std::string> name = context.ModelNameOf(value);
    if (name.ok()) {
      value = *name;
    } else if (status.ok()) {
      status = AsUsageError(name.status(), path);
    }
  });
  return status;
}

// A field of the job from an option, when the option was given.
absl::Status SetFrom(const std::string& text, const char* path, const char* option, v1::Job& job) {
  if (text.empty()) return absl::OkStatus();
  return AsUsageError(SetField(job, path, text), option);
}

absl::Status ApplyJobOptions(const TrainOptions& options, v1::Job& job) {
  CLIENT_RETURN_IF_ERROR(SetFrom(options.display_name, "display_name", "--display-name", job));
  for (const std::string& label : options.labels) {
    const size_t equals = label.find('=');
    if (equals == std::string::npos || equals == 0 || ValidUtf8(label) != label) {
      return UsageError(absl::StrCat("--label: \"", Printable(label), "\" is not KEY=VALUE"));
    }
    (*job.mutable_labels())[label.substr(0, equals)] = label.substr(equals + 1);
  }
  if (options.priority != 0) job.set_priority(options.priority);
  if (options.max_attempts != 0) job.set_max_attempts(options.max_attempts);
  if (options.cpu_threads != 0) job.mutable_resources()->set_cpu_threads(options.cpu_threads);
  if (options.gpus != 0) job.mutable_resources()->set_gpus(options.gpus);
  if (!options.memory.empty()) {
    const absl::StatusOr<int64_t> bytes = ParseBytes(options.memory);
    CLIENT_RETURN_IF_ERROR(AsUsageError(bytes.status(), "--memory"));
    job.mutable_resources()->set_memory_bytes(*bytes);
  }
  CLIENT_RETURN_IF_ERROR(SetFrom(options.time_limit, "time_limit", "--time-limit", job));
  return SetFrom(options.cancel_grace_period, "cancel_grace_period", "--cancel-grace-period", job);
}

}  // namespace

absl::StatusOr<v1::CreateJobRequest> MakeTrainRequest(const Context& context,
                                                      const TrainOptions& options,
                                                      const std::vector<SpecFlag>& flags) {
  v1::CreateJobRequest request;
  request.set_parent(context.Parent());
  request.set_validate_only(options.validate_only);
  if (!options.job_id.empty()) {
    CLIENT_RETURN_IF_ERROR(AsUsageError(CheckResourceId(options.job_id), "--job-id"));
    request.set_job_id(options.job_id);
  }
  v1::Job& job = *request.mutable_job();
  if (!options.spec_file.empty()) {
    CLIENT_RETURN_IF_ERROR(MergeSpecFile(options.spec_file, options.algorithm, job));
  }
  Message& spec = SpecMessage(*job.mutable_spec(), options.algorithm);
  for (const std::string& assignment : options.assignments) {
    CLIENT_RETURN_IF_ERROR(AsUsageError(SetAssignment(spec, assignment), "--set"));
  }
  CLIENT_RETURN_IF_ERROR(ApplySpecFlags(flags, spec));
  CLIENT_RETURN_IF_ERROR(ApplyInput(options, spec));
  CLIENT_RETURN_IF_ERROR(ExpandNames(context, spec));
  CLIENT_RETURN_IF_ERROR(ApplyJobOptions(options, job));
  return request;
}

std::vector<std::string> AlgorithmNames() {
  std::vector<std::string> names;
  const auto* oneof = v1::TrainingSpec::descriptor()->FindOneofByName("spec");
  names.reserve(static_cast<size_t>(oneof->field_count()));
  for (int i = 0; i < oneof->field_count(); ++i) names.push_back(oneof->field(i)->name());
  return names;
}

}  // namespace trainyard::cli
