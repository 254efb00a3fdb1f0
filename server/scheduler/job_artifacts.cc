// Model files and checkpoints on their way from a worker.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/mutex.h"
#include "core/base/notification.h"
#include "core/base/secret.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "server/scheduler/job_manager_impl.h"
#include "server/scheduler/worker_events.h"

namespace trainyard {
namespace {

constexpr size_t kMaxModelFiles = 1000;
constexpr absl::Duration kStoreTimeout = absl::Seconds(60);

absl::Status NotStoredInTime(std::string_view what) {
  return absl::UnavailableError(
      absl::StrCat(std::string(what), " could not be stored in time; the disk may be full"));
}

}  // namespace

absl::StatusOr<JobRecord*> JobManagerImpl::FindArtifactAttempt(const v1::ArtifactHeader& header) {
  const absl::StatusOr<AttemptName> name = AttemptName::Parse(header.attempt());
  if (!name.ok()) return absl::UnauthenticatedError(name.status().message());
  if (shutting_down_) return absl::UnavailableError("the server is going down");
  JobRecord* record = Find(name->job);
  LiveAttempt* attempt =
      record == nullptr || record->live == nullptr ? nullptr : record->live->attempt.get();
  if (attempt == nullptr || attempt->record.name.attempt != name->attempt || attempt->ended) {
    return absl::FailedPreconditionError(absl::StrCat("attempt ", header.attempt(), " has ended"));
  }
  if (attempt->record.session_key_sha256.empty() ||
      !ConstantTimeEquals(Sha256Hex(header.session_key()), attempt->record.session_key_sha256)) {
    return absl::UnauthenticatedError(
        absl::StrCat("the session key is not that of ", header.attempt()));
  }
  switch (header.kind()) {
    case v1::ArtifactHeader::KIND_CHECKPOINT:
      return record;
    case v1::ArtifactHeader::KIND_MODEL_FILE:
      TY_RETURN_IF_ERROR(CheckModelPath(header.path()));
      if (attempt->files.size() >= kMaxModelFiles && !attempt->files.contains(header.path())) {
        return absl::InvalidArgumentError(
            absl::StrCat("a model has at most ", kMaxModelFiles, " files"));
      }
      return record;
    default:
      return absl::InvalidArgumentError("the artifact is neither a model file nor a checkpoint");
  }
}

absl::Status JobManagerImpl::AuthoriseArtifact(const v1::ArtifactHeader& header) {
  MutexLock lock(&mutex_);
  TY_ASSIGN_OR_RETURN(JobRecord * record, FindArtifactAttempt(header));
  // Stored while the file arrives.
  if (header.kind() == v1::ArtifactHeader::KIND_MODEL_FILE) BeginUploadNote(*record);
  return absl::OkStatus();
}

void JobManagerImpl::BeginUploadNote(JobRecord& record) {
  LiveJob& live = *record.live;
  if (std::exchange(live.attempt->upload_noted, true)) return;
  v1::JobEvent event;
  event.mutable_log()->set_severity(v1::LogLine::SEVERITY_INFO);
  event.mutable_log()->set_text(std::string(kStoringModel));
  AddEvent(live, std::move(event));
  WhenDurable(record, [this, id = live.attempt->id]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (JobRecord* found = FindAttempt(id)) found->live->attempt->upload_note_durable = true;
  });
  Settle(record);
}

absl::Status JobManagerImpl::AddArtifact(const v1::ArtifactHeader& header, const BlobInfo& blob,
                                         std::shared_ptr<void> hold) {
  if (header.kind() == v1::ArtifactHeader::KIND_CHECKPOINT) {
    return StoreCheckpoint(header, blob, std::move(hold));
  }
  TY_RETURN_IF_ERROR(NoteUpload(header));
  MutexLock lock(&mutex_);
  TY_ASSIGN_OR_RETURN(JobRecord * record, FindArtifactAttempt(header));
  LiveAttempt& attempt = *record->live->attempt;
  v1::ModelFile& file = attempt.files[header.path()];
  file.set_path(header.path());
  file.set_size_bytes(blob.size_bytes);
  file.set_sha256(blob.sha256);
  attempt.holds.push_back(std::move(hold));
  attempt.last_heard = Now();
  return absl::OkStatus();
}

absl::Status JobManagerImpl::StoreCheckpoint(const v1::ArtifactHeader& header, const BlobInfo& blob,
                                             std::shared_ptr<void> hold) {
  const auto stored = std::make_shared<Notification>();
  {
    MutexLock lock(&mutex_);
    TY_ASSIGN_OR_RETURN(JobRecord * record, FindArtifactAttempt(header));
    LiveJob& live = *record->live;
    live.attempt->last_heard = Now();
    v1::JobEvent event;
    event.mutable_checkpoint()->set_step(header.step());
    event.mutable_checkpoint()->set_size_bytes(blob.size_bytes);
    AddEvent(live, std::move(event));
    live.next.checkpoint = UnitOfWork::Checkpoint{header.step(), blob};
    live.next.after.push_back([stored, hold = std::move(hold)] { stored->Notify(); });
    Settle(*record);
  }
  if (runtime_->Wait(*stored, kStoreTimeout)) return absl::OkStatus();
  return NotStoredInTime("the checkpoint");
}

absl::Status JobManagerImpl::NoteUpload(const v1::ArtifactHeader& header) {
  const auto noted = std::make_shared<Notification>();
  {
    MutexLock lock(&mutex_);
    TY_ASSIGN_OR_RETURN(JobRecord * record, FindArtifactAttempt(header));
    BeginUploadNote(*record);
    if (record->live->attempt->upload_note_durable) return absl::OkStatus();
    WhenDurable(*record, [noted] { noted->Notify(); });
    Settle(*record);
  }
  if (runtime_->Wait(*noted, kStoreTimeout)) return absl::OkStatus();
  return NotStoredInTime("the beginning of the model's upload");
}

}  // namespace trainyard
