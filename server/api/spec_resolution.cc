#include "server/api/spec_resolution.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/algorithms/registry.h"
#include "core/base/sha256.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/util/time_util.h"
#include "proto/schema/field_rules.h"
#include "proto/schema/violations.h"
#include "server/api/request_checks.h"

namespace trainyard {
namespace {

using google::protobuf::util::TimeUtil;

constexpr size_t kMaxLabelBytes = 63;
constexpr int64_t kMaxDurationSeconds = int64_t{366} * 24 * 3600;
constexpr std::string_view kDiagnostic = "diagnostic";

google::protobuf::Duration ToProto(absl::Duration duration) {
  return TimeUtil::NanosecondsToDuration(absl::ToInt64Nanoseconds(duration));
}

// One request on its way; collects what is wrong in `violations_`.
class Resolver {
 public:
  Resolver(const v1::CreateJobRequest& request, const SpecEnvironment& environment)
      : request_(request), environment_(environment) {}

  absl::StatusOr<ResolvedJob> Run();

 private:
  void CheckEnvelope();
  void CheckLabels();
  void CheckDuration(std::string_view field, const google::protobuf::Duration& duration,
                     bool zero_allowed);
  void FillResources();
  void FindAlgorithm();
  absl::Status PinDatasets();
  absl::Status PinDataset(const std::string& field, std::string& name);
  // The parsed name of a resource of the job's project; nullopt, with a violation, for any other.
  template <class Name>
  std::optional<Name> ParseOwn(const std::string& field, const std::string& name);
  absl::Status CheckModels();
  absl::Status CheckModel(const std::string& field, const std::string& name);
  void CheckSpec();
  void CheckMemory();
  absl::Status Problem() const;

  const v1::CreateJobRequest& request_;
  const SpecEnvironment& environment_;
  v1::Job job_;
  ProjectName project_;
  const Algorithm* algorithm_ = nullptr;
  TableSchemas tables_;
  Violations violations_;
  bool unsupported_spec_ = false;
  std::vector<std::string> missing_datasets_;
  int dataset_violations_ = 0;
};

absl::StatusOr<ResolvedJob> Resolver::Run() {
  job_ = request_.job();
  ClearOutputOnly(job_);
  CheckEnvelope();
  FindAlgorithm();
  FillDefaults(job_);
  if (request_.has_job()) CheckFieldRules(job_, "job", violations_);
  CheckLabels();
  if (job_.has_time_limit()) CheckDuration("job.time_limit", job_.time_limit(), false);
  if (job_.has_cancel_grace_period()) {
    CheckDuration("job.cancel_grace_period", job_.cancel_grace_period(), true);
  }
  FillResources();
  if (absl::Status status = PinDatasets(); !status.ok()) return status;
  if (absl::Status status = CheckModels(); !status.ok()) return status;
  CheckSpec();
  if (violations_.empty()) CheckMemory();
  if (!violations_.empty()) return Problem();
  if (!request_.job_id().empty()) {
    job_.set_name(JobName{project_.project, request_.job_id()}.ToString());
  }
  return ResolvedJob{std::move(job_), project_.project, ContentHash(request_)};
}

void Resolver::CheckEnvelope() {
  project_ = ParseName<ProjectName>("parent", request_.parent(), violations_);
  if (!request_.job_id().empty()) {
    const absl::Status status = CheckResourceId(request_.job_id());
    if (!status.ok()) violations_.Add("job_id", std::string(status.message()));
  }
  if (!request_.request_id().empty() && !IsUuid(request_.request_id())) {
    violations_.Add("request_id", absl::StrCat("'", absl::CHexEscape(request_.request_id()),
                                               "' is no UUID (8-4-4-4-12 hexadecimal digits)"));
  }
  if (!request_.has_job()) violations_.Add("job", "must be given");
}

void Resolver::FindAlgorithm() {
  const std::string_view name = AlgorithmNameOf(job_.spec());
  if (!name.empty()) algorithm_ = environment_.find_algorithm(name);
  if (name == kDiagnostic && !environment_.enable_diagnostics) algorithm_ = nullptr;
  if (algorithm_ != nullptr) {
    job_.set_algorithm(std::string(name));
    return;
  }
  if (!request_.has_job()) return;
  unsupported_spec_ = true;
  if (!request_.job().has_spec()) return;
  const std::string problem =
      name.empty() ? "no algorithm that this server knows is set"
                   : absl::StrCat("this server does not train '", std::string(name), "'",
                                  name == kDiagnostic ? " (it needs --enable_diagnostics)" : "");
  violations_.Add("job.spec", absl::StrCat(problem, "; it trains ", environment_.algorithm_names));
}

void Resolver::CheckLabels() {
  for (const auto& [key, value] : job_.labels()) {
    const std::string field = absl::StrCat("job.labels[", absl::CHexEscape(key), "]");
    if (key.empty() || key.size() > kMaxLabelBytes) {
      violations_.Add(field, absl::StrCat("the key has ", key.size(), " bytes; it must have 1 to ",
                                          kMaxLabelBytes));
    }
    if (value.size() > kMaxLabelBytes) {
      violations_.Add(field, absl::StrCat("the value has ", value.size(),
                                          " bytes; it may have at most ", kMaxLabelBytes));
    }
    for (const char c : absl::StrCat(key, value)) {
      if (!absl::ascii_iscntrl(static_cast<unsigned char>(c))) continue;
      violations_.Add(field, "control characters are not allowed");
      break;
    }
  }
}

void Resolver::CheckDuration(std::string_view field, const google::protobuf::Duration& duration,
                             bool zero_allowed) {
  const bool well_formed = duration.nanos() > -1'000'000'000 && duration.nanos() < 1'000'000'000 &&
                           (duration.seconds() <= 0 || duration.nanos() >= 0) &&
                           (duration.seconds() >= 0 || duration.nanos() <= 0);
  const bool zero = duration.seconds() == 0 && duration.nanos() == 0;
  const bool negative = duration.seconds() < 0 || duration.nanos() < 0;
  if (well_formed && !negative && (zero_allowed || !zero) &&
      duration.seconds() <= kMaxDurationSeconds) {
    return;
  }
  violations_.Add(field, absl::StrCat(duration.seconds(), " s and ", duration.nanos(),
                                      " ns; it must be ", zero_allowed ? "from 0" : "more than 0",
                                      " to ", kMaxDurationSeconds, " s"));
}

void Resolver::FillResources() {
  auto& resources = *job_.mutable_resources();
  const Slots& capacity = environment_.capacity;
  if (resources.cpu_threads() == 0) resources.set_cpu_threads(capacity.cpu_threads);
  if (resources.memory_bytes() == 0) resources.set_memory_bytes(environment_.default_memory_bytes);
  const auto check = [&](std::string_view field, int64_t asked, int64_t available,
                         std::string_view unit) {
    if (asked <= available) return;
    violations_.Add(field, absl::StrCat(asked, " is more than the ", available, " ",
                                        std::string(unit), " of this server"));
  };
  check("job.resources.cpu_threads", resources.cpu_threads(), capacity.cpu_threads, "CPU slots");
  check("job.resources.gpus", resources.gpus(), capacity.gpus, "GPUs");
  check("job.resources.memory_bytes", resources.memory_bytes(), capacity.memory_bytes,
        "bytes of memory");
  if (!job_.has_time_limit() && environment_.default_time_limit < absl::InfiniteDuration()) {
    *job_.mutable_time_limit() = ToProto(environment_.default_time_limit);
  }
  if (!job_.has_cancel_grace_period()) {
    *job_.mutable_cancel_grace_period() = ToProto(environment_.cancel_grace_period);
  }
}

absl::Status Resolver::PinDatasets() {
  absl::Status failure;
  VisitResourceNames(job_, "dataset", [&](const std::string& path, std::string& name) {
    const int before = violations_.count();
    if (failure.ok()) failure = PinDataset(absl::StrCat("job.", path), name);
    dataset_violations_ += violations_.count() - before;
  });
  return failure;
}

template <class Name>
std::optional<Name> Resolver::ParseOwn(const std::string& field, const std::string& name) {
  absl::StatusOr<Name> parsed = Name::Parse(name);
  if (!parsed.ok()) {
    violations_.Add(field, std::string(parsed.status().message()));
    return std::nullopt;
  }
  if (parsed->project != project_.project) {
    violations_.Add(
        field, absl::StrCat("'", name, "' is not of the job's project '", project_.project, "'"));
    return std::nullopt;
  }
  return *std::move(parsed);
}

absl::Status Resolver::PinDataset(const std::string& field, std::string& name) {
  const auto parsed = ParseOwn<DatasetName>(field, name);
  if (!parsed.has_value()) return absl::OkStatus();
  const auto version = environment_.get_dataset_version(*parsed);
  if (absl::IsNotFound(version.status())) {
    violations_.Add(field, absl::StrCat("'", name, "' does not exist"));
    missing_datasets_.push_back(name);
    return absl::OkStatus();
  }
  if (!version.ok()) return version.status();
  if (!version->has_table()) {
    violations_.Add(field, absl::StrCat("'", name, "' is no table"));
    return absl::OkStatus();
  }
  name = version->name();
  tables_[name] = version->table();
  return absl::OkStatus();
}

absl::Status Resolver::CheckModels() {
  absl::Status failure;
  VisitResourceNames(job_, "model", [&](const std::string& path, std::string& name) {
    if (failure.ok()) failure = CheckModel(absl::StrCat("job.", path), name);
  });
  return failure;
}

absl::Status Resolver::CheckModel(const std::string& field, const std::string& name) {
  const auto parsed = ParseOwn<ModelName>(field, name);
  if (!parsed.has_value()) return absl::OkStatus();
  if (environment_.get_model == nullptr) return absl::OkStatus();
  const auto model = environment_.get_model(*parsed);
  if (!absl::IsNotFound(model.status())) return model.status();
  violations_.Add(field, absl::StrCat("'", name, "' does not exist"));
  return absl::OkStatus();
}

void Resolver::CheckSpec() {
  // Without its tables nothing more can be said about a spec.
  if (algorithm_ == nullptr || dataset_violations_ > 0) return;
  if (violations_.count() > Violations::kMaxKept) return;
  for (const FieldViolation& violation : violations_.kept()) {
    if (violation.field.ends_with(".input") || violation.field.ends_with(".dataset")) return;
  }
  algorithm_->Resolve(tables_, "job.spec", *job_.mutable_spec(), violations_);
}

void Resolver::CheckMemory() {
  const int64_t asked = job_.resources().memory_bytes();
  const int64_t limit = asked > 0 ? asked : environment_.capacity.memory_bytes;
  const int64_t needed = algorithm_->EstimateMemory(job_.spec(), tables_);
  if (limit == 0 || needed <= limit) return;
  violations_.Add("job.resources.memory_bytes",
                  absl::StrCat("the training needs about ", needed, " bytes; ",
                               asked > 0 ? "the job's limit is " : "this server has ", limit));
}

absl::Status Resolver::Problem() const {
  absl::Status status = violations_.ToStatus();
  if (unsupported_spec_) return WithReason(status, "UNSUPPORTED_SPEC");
  if (static_cast<int>(missing_datasets_.size()) != violations_.count()) {
    return WithReason(status, "INVALID_REQUEST");
  }
  absl::Status missing(absl::StatusCode::kNotFound, status.message());
  status.ForEachPayload(
      [&](absl::string_view url, const absl::Cord& payload) { missing.SetPayload(url, payload); });
  return WithReason(missing, "DATASET_NOT_FOUND",
                    {{"datasets", absl::StrJoin(missing_datasets_, ",")}});
}

}  // namespace

absl::StatusOr<ResolvedJob> ResolveJob(const v1::CreateJobRequest& request,
                                       const SpecEnvironment& environment) {
  return Resolver(request, environment).Run();
}

std::string ContentHash(const v1::CreateJobRequest& request) {
  v1::CreateJobRequest content = request;
  content.clear_request_id();
  content.clear_validate_only();
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream output(&stream);
    output.SetSerializationDeterministic(true);
    content.SerializeToCodedStream(&output);
  }
  return Sha256Hex(bytes);
}

}  // namespace trainyard
