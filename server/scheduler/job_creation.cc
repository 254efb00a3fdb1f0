// Accepting jobs.
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/mutex.h"
#include "core/base/status.h"
#include "google/protobuf/util/time_util.h"
#include "proto/schema/violations.h"
#include "server/scheduler/job_changes.h"
#include "server/scheduler/job_manager_impl.h"
#include "server/scheduler/job_state.h"

namespace trainyard {
namespace {

// After what time a client may ask again when the queue is full or the server goes down.
constexpr double kQueueFullRetrySeconds = 5;
constexpr double kShutdownRetrySeconds = 1;

void CheckSlot(std::string_view field, int64_t value, int64_t capacity, std::string_view unit,
               Violations& violations) {
  if (value <= capacity) return;
  violations.Add(
      absl::StrCat("job.resources.", std::string(field)),
      absl::StrCat(value, " ", std::string(unit), " asked for; the server has ", capacity));
}

}  // namespace

// A job on its way into the catalogue.
struct JobManagerImpl::Creation {
  JobName name;
  v1::Job job;
  v1::JobEvent event;
  std::string request_id;
  std::string content_sha256;
  JobDone done;
  absl::Status refusal;             // answered unless the request turns out to be a repetition
  std::optional<JobName> existing;  // the job that the first such request made

  absl::Status Write(CatalogueTransaction& transaction);
};

absl::Status JobManagerImpl::Creation::Write(CatalogueTransaction& transaction) {
  existing.reset();
  if (!request_id.empty()) {
    TY_ASSIGN_OR_RETURN(const std::optional<RequestRecord> earlier,
                        transaction.FindRequest(name.project, request_id));
    if (earlier.has_value() && earlier->content_sha256 != content_sha256) {
      return WithReason(absl::AlreadyExistsError(absl::StrCat(
                            "request_id ", request_id, " was used for another request, which made ",
                            earlier->job.ToString())),
                        "REQUEST_ID_REUSED", {{"job", earlier->job.ToString()}});
    }
    if (earlier.has_value()) {
      existing = earlier->job;
      return absl::OkStatus();
    }
  }
  TY_RETURN_IF_ERROR(refusal);
  const absl::Status inserted = transaction.InsertJob(job);
  if (absl::IsAlreadyExists(inserted)) {
    return WithReason(absl::AlreadyExistsError(absl::StrCat("job ", job.name(), " exists already")),
                      "JOB_EXISTS", {{"job", job.name()}});
  }
  TY_RETURN_IF_ERROR(inserted);
  TY_RETURN_IF_ERROR(transaction.AppendEvents(name, {&event, 1}));
  if (request_id.empty()) return absl::OkStatus();
  return transaction.PutRequest(name.project, request_id, {name, content_sha256});
}

absl::Status JobManagerImpl::CheckFits(const v1::Job& job) const {
  Violations violations;
  CheckSlot("cpu_threads", job.resources().cpu_threads(), options_.capacity.cpu_threads,
            "CPU threads", violations);
  CheckSlot("gpus", job.resources().gpus(), options_.capacity.gpus, "GPUs", violations);
  CheckSlot("memory_bytes", job.resources().memory_bytes(), options_.capacity.memory_bytes,
            "bytes of memory", violations);
  return violations.ToStatus();
}

void JobManagerImpl::FillServerDefaults(v1::Job& job) const {
  v1::ResourceRequest& resources = *job.mutable_resources();
  if (resources.cpu_threads() == 0) resources.set_cpu_threads(options_.capacity.cpu_threads);
  if (resources.memory_bytes() == 0) resources.set_memory_bytes(options_.default_memory_bytes);
  if (!job.has_time_limit() && options_.default_time_limit < absl::InfiniteDuration()) {
    *job.mutable_time_limit() = ToProto(options_.default_time_limit);
  }
  if (!job.has_cancel_grace_period()) {
    *job.mutable_cancel_grace_period() = ToProto(options_.cancel_grace_period);
  }
  if (!job.has_max_attempts()) job.set_max_attempts(3);
}

void JobManagerImpl::Create(v1::Job job, std::string request_id, std::string content_sha256,
                            JobDone done) {
  auto creation = std::make_shared<Creation>();
  const absl::StatusOr<JobName> name = JobName::Parse(job.name());
  if (!name.ok()) {
    runtime_->Notify([done = std::move(done), status = name.status()] { done(status); });
    return;
  }
  FillServerDefaults(job);
  creation->name = *name;
  creation->event = BeginJob(job, clock_->Now());
  creation->refusal = CheckFits(job);
  creation->job = std::move(job);
  creation->request_id = std::move(request_id);
  creation->content_sha256 = std::move(content_sha256);
  creation->done = std::move(done);
  {
    MutexLock lock(&mutex_);
    if (shutting_down_) {
      creation->refusal = WithRetryDelay(
          WithReason(absl::UnavailableError("the server is going down"), "SHUTTING_DOWN"),
          kShutdownRetrySeconds);
      creation->request_id.clear();
    } else if (creation->refusal.ok() &&
               queue_->queued_count() + creating_ >= options_.max_queued_jobs) {
      creation->refusal = WithRetryDelay(
          WithReason(absl::ResourceExhaustedError(
                         absl::StrCat("the queue is full: ", options_.max_queued_jobs,
                                      " jobs are waiting, which is the limit")),
                     "QUEUE_FULL", {{"max_queued_jobs", absl::StrCat(options_.max_queued_jobs)}}),
          kQueueFullRetrySeconds);
    }
    if (!creation->refusal.ok() && creation->request_id.empty()) {
      runtime_->Notify([creation] { creation->done(creation->refusal); });
      return;
    }
    ++creating_;
    ++under_way_;
  }
  catalogue_->Write(
      [creation](CatalogueTransaction& transaction) { return creation->Write(transaction); },
      Guarded([this, creation](const absl::Status& status) { OnCreated(creation, status); }));
}

void JobManagerImpl::OnCreated(const std::shared_ptr<Creation>& creation,
                               const absl::Status& status) {
  MutexLock lock(&mutex_);
  --creating_;
  --under_way_;
  if (!status.ok()) {
    runtime_->Notify([creation, status] { creation->done(status); });
    return;
  }
  if (creation->existing.has_value()) {
    runtime_->PostDataWork(Guarded([this, creation] {
      absl::StatusOr<v1::Job> job = Read(*creation->existing);
      runtime_->Notify([creation, job = std::move(job)] { creation->done(job); });
    }));
    return;
  }
  JobRecord& record = AddRecord(creation->name);
  record.packed = creation->job.SerializeAsString();
  record.newest_sequence = creation->job.newest_sequence();
  Enqueue(record, creation->job);
  observer_->OnJobState(creation->job.algorithm(), v1::Job::STATE_UNSPECIFIED,
                        v1::Job::STATE_QUEUED);
  runtime_->Notify([creation] { creation->done(std::move(creation->job)); });
  Schedule();
}

}  // namespace trainyard
