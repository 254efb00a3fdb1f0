// The jobs of an earlier run of the server.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/mutex.h"
#include "core/base/status.h"
#include "server/scheduler/attempt_end.h"
#include "server/scheduler/job_changes.h"
#include "server/scheduler/job_manager_impl.h"
#include "server/scheduler/job_state.h"
#include "server/scheduler/worker_events.h"

namespace trainyard {
namespace {

using v1::Attempt;
using v1::Job;

constexpr int kReplayEvents = 4096;
constexpr int64_t kUploadSearchEvents = 2000;
constexpr int64_t kReplayBytes = 4 << 20;

constexpr std::string_view kLostInStart = "server was restarted while the worker was being started";
constexpr std::string_view kLostWorker = "server was restarted and the worker was gone";

struct UnfinishedJob {
  Job job;
  std::vector<AttemptRecord> attempts;
};

}  // namespace

absl::Status JobManagerImpl::Recover() {
  // Only jobs with an attempt need further reads, which must not happen within the visit.
  std::vector<UnfinishedJob> active;
  absl::Status failure;
  TY_RETURN_IF_ERROR(
      catalogue_->ForEachUnfinishedJob([&](Job job, std::vector<AttemptRecord> attempts) {
        if (job.state() != Job::STATE_QUEUED) {
          active.push_back({std::move(job), std::move(attempts)});
        } else if (absl::Status status = RecoverJob(job, {}); !status.ok()) {
          failure = status;
        }
      }));
  TY_RETURN_IF_ERROR(failure);
  for (UnfinishedJob& unfinished : active) {
    TY_RETURN_IF_ERROR(RecoverJob(unfinished.job, std::move(unfinished.attempts)));
  }
  {
    MutexLock lock(&mutex_);
    Schedule();
  }
  runtime_->Start([this] { return RunTimers(); });
  return absl::OkStatus();
}

absl::Status JobManagerImpl::RecoverJob(const Job& job, std::vector<AttemptRecord> attempts) {
  TY_ASSIGN_OR_RETURN(const JobName name, JobName::Parse(job.name()));
  MutexLock lock(&mutex_);
  observer_->OnJobState(job.algorithm(), Job::STATE_UNSPECIFIED, job.state());
  JobRecord& record = AddRecord(name);
  record.newest_sequence = job.newest_sequence();
  record.packed = job.SerializeAsString();
  if (job.state() == Job::STATE_QUEUED) {
    Enqueue(record, job);
    return absl::OkStatus();
  }
  LiveJob& live = MakeLive(record);
  TY_RETURN_IF_ERROR(ReplayEvents(live, name));
  record.newest_sequence = live.visible.newest_sequence();
  live.log = logs_->Open(name, record.newest_sequence, false);
  AttemptRecord newest;
  newest.name = {name, std::max(1, job.attempts_size())};
  newest.ended = true;
  for (AttemptRecord& attempt : attempts) {
    if (attempt.name.attempt == newest.name.attempt) newest = std::move(attempt);
  }
  TY_ASSIGN_OR_RETURN(const bool had_begun_upload,
                      HadBegunUpload(name, newest.name.attempt, record.newest_sequence));
  RecoverAttempt(record, std::move(newest), had_begun_upload);
  return absl::OkStatus();
}

absl::Status JobManagerImpl::ReplayEvents(LiveJob& live, const JobName& name) {
  // The row of a running job lags behind its events.
  while (true) {
    TY_ASSIGN_OR_RETURN(const std::vector<v1::JobEvent> events,
                        catalogue_->ReadEvents(name, live.visible.newest_sequence() + 1,
                                               kReplayEvents, kReplayBytes));
    if (events.empty()) break;
    for (const v1::JobEvent& event : events) ApplyEvent(event, live.visible);
  }
  live.job = live.visible;
  return absl::OkStatus();
}

absl::StatusOr<bool> JobManagerImpl::HadBegunUpload(const JobName& name, int32_t attempt,
                                                    int64_t newest) {
  // The upload follows the training: hardly anything comes after the line that notes it.
  int64_t next = std::max<int64_t>(1, newest - kUploadSearchEvents);
  while (next <= newest) {
    TY_ASSIGN_OR_RETURN(const std::vector<v1::JobEvent> events,
                        catalogue_->ReadEvents(name, next, kReplayEvents, kReplayBytes));
    if (events.empty()) break;
    for (const v1::JobEvent& event : events) {
      if (event.attempt() == attempt && event.log().text() == kStoringModel) return true;
    }
    next = events.back().sequence() + 1;
  }
  return false;
}

void JobManagerImpl::RecoverAttempt(JobRecord& record, AttemptRecord attempt_record,
                                    bool had_begun_upload) {
  LiveJob& live = *record.live;
  live.attempt = std::make_unique<LiveAttempt>();
  LiveAttempt& attempt = *live.attempt;
  attempt.id = next_id_++;
  attempt.name = attempt_record.name.ToString();
  attempt.message_index = attempt_record.name.attempt - 1;
  attempt.record = std::move(attempt_record);
  attempt.adopted = true;
  attempt.files_lost = attempt.upload_noted = attempt.upload_note_durable = had_begun_upload;
  attempt.acknowledged_sequence = attempt.record.worker_sequence;
  attempts_[attempt.id] = &record;
  while (live.job.attempts_size() <= attempt.message_index) {
    live.job.add_attempts()->set_name(
        AttemptName{record.name, live.job.attempts_size() + 1}.ToString());
  }
  const Attempt& message = MessageOf(live);
  const absl::Time started =
      message.has_start_time() ? FromProto(message.start_time()) : clock_->Now();
  attempt.started = Now() - std::max(clock_->Now() - started, absl::ZeroDuration());

  if (attempt.record.ended) {
    // A job in the state of one that has an attempt, without any.
    attempt.record.ended = false;
    attempt.process = LiveAttempt::Process::kGone;
    EndLostToRestart(record, kLostInStart);
    Settle(record);
    return;
  }
  attempt.process = LiveAttempt::Process::kRunning;
  attempt.accepted = attempt.record.token_sha256.empty();
  queue_->AddRunning({record.key, record.name.project, live.job.priority(),
                      FromProto(live.job.create_time()), absl::InfinitePast(), SlotsOf(live.job)},
                     started);
  gpus_.TakeThese(record.key, {message.gpus().begin(), message.gpus().end()});
  attempt.reconnect_deadline = Now() + options_.reconnect_timeout;
  if (live.job.has_time_limit()) {
    attempt.time_limit_deadline = attempt.started + FromProto(live.job.time_limit());
  }
  PostInputs(record);
  ++under_way_;
  runtime_->PostProcessWork(
      Guarded([this, id = attempt.id, name = attempt.name, process = attempt.record.process] {
        Adopt(id, name, process);
      }));
  SetTimer(record);
}

void JobManagerImpl::Adopt(int64_t attempt_id, const std::string& attempt,
                           const std::string& process) {
  const absl::Status status = executor_->Adopt(
      attempt, process,
      Guarded([this, attempt_id](WorkerExit exit) { OnExit(attempt_id, std::move(exit)); }));
  if (!status.ok() && !absl::IsNotFound(status)) executor_->Kill(attempt);
  OnAdopted(attempt_id, status);
}

void JobManagerImpl::OnAdopted(int64_t attempt_id, const absl::Status& status) {
  MutexLock lock(&mutex_);
  --under_way_;
  JobRecord* record = FindAttempt(attempt_id);
  if (record == nullptr) return;
  LiveAttempt& attempt = *record->live->attempt;
  if (!status.ok()) {
    attempt.process = LiveAttempt::Process::kGone;
    ReleaseSlots(*record);
    CloseSession(attempt, absl::FailedPreconditionError("the worker is gone"));
    EndLostToRestart(*record, !absl::IsNotFound(status)
                                  ? "server was restarted and could not find the worker again"
                              : attempt.record.process.empty() ? kLostInStart
                                                               : kLostWorker);
    Schedule();
  } else if (!attempt.ended) {
    // What was asked of the executor before it knew the attempt was in vain.
    const bool killed =
        attempt.stop.has_value() && attempt.stop->stage == StopRequest::Stage::kKilled;
    if (record->live->job.state() == Job::STATE_CANCELLING && !killed) {
      attempt.stop.emplace(StopRequest{Attempt::END_CAUSE_CANCELLED, "cancelled by a user"});
    }
    AskToStop(*record);
  }
  Settle(*record);
}

void JobManagerImpl::EndLostToRestart(JobRecord& record, std::string_view message) {
  record.live->attempt->has_connected = false;
  EndAttempt(record, Attempt::END_CAUSE_WORKER_LOST,
             EndError(Attempt::END_CAUSE_WORKER_LOST, message));
}

}  // namespace trainyard
