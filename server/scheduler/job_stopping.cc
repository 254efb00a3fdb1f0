// Cancellation, time limits, silent workers, deletion.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/mutex.h"
#include "core/base/status.h"
#include "proto/schema/violations.h"
#include "server/scheduler/attempt_end.h"
#include "server/scheduler/job_changes.h"
#include "server/scheduler/job_manager_impl.h"
#include "server/scheduler/job_state.h"

namespace trainyard {
namespace {

using v1::Attempt;
using v1::Job;
using Stage = StopRequest::Stage;

constexpr std::string_view kCancelledByUser = "cancelled by a user";

absl::Status CheckEtag(const Job& job, const std::string& etag) {
  if (etag.empty() || etag == job.etag()) return absl::OkStatus();
  return WithReason(absl::AbortedError(absl::StrCat("job ", job.name(), " has etag ", job.etag(),
                                                    ", not ", etag, ": it has changed since")),
                    "ETAG_MISMATCH", {{"etag", job.etag()}});
}

absl::Status EndedOtherwise(const Job& job) {
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat(
          "job ", job.name(), " cannot be cancelled: it is in ", Job::State_Name(job.state()))),
      "JOB_ENDED", {{"state", Job::State_Name(job.state())}});
}

absl::Status NotEnded(const Job& job) {
  return WithReason(absl::FailedPreconditionError(
                        absl::StrCat("job ", job.name(), " cannot be deleted: it is in ",
                                     Job::State_Name(job.state()), " and has not ended")),
                    "JOB_NOT_ENDED", {{"state", Job::State_Name(job.state())}});
}

}  // namespace

absl::Duration JobManagerImpl::GracePeriod(const Job& job) const {
  return job.has_cancel_grace_period() ? FromProto(job.cancel_grace_period())
                                       : options_.cancel_grace_period;
}

void JobManagerImpl::Cancel(const JobName& name, std::string etag, JobDone done) {
  MutexLock lock(&mutex_);
  JobRecord* record = Find(name);
  if (record == nullptr && !shutting_down_) {
    runtime_->PostDataWork(
        Guarded([this, name, etag = std::move(etag), done] { CancelEnded(name, etag, done); }));
    return;
  }
  const absl::Status refusal =
      shutting_down_
          ? absl::UnavailableError("the server is going down")
          : CheckEtag(record->live != nullptr ? record->live->job : VisibleJob(*record), etag);
  if (!refusal.ok()) {
    runtime_->Notify([done, refusal] { done(refusal); });
    return;
  }
  MakeLive(*record);
  CancelLive(*record, std::move(done));
  Settle(*record);
}

void JobManagerImpl::CancelLive(JobRecord& record, JobDone done) {
  LiveJob& live = *record.live;
  switch (live.job.state()) {
    case Job::STATE_QUEUED: {
      queue_->Remove(record.key);
      live.job.set_end_cause(Attempt::END_CAUSE_CANCELLED);
      v1::StateChange change;
      change.set_to(Job::STATE_CANCELLED);
      change.set_reason(std::string(kCancelledByUser));
      change.set_end_cause(Attempt::END_CAUSE_CANCELLED);
      ChangeState(live, std::move(change));
      break;
    }
    case Job::STATE_STARTING:
    case Job::STATE_RUNNING:
      RequestStop(record, Attempt::END_CAUSE_CANCELLED, std::string(kCancelledByUser));
      break;
    case Job::STATE_SUCCEEDED:
    case Job::STATE_FAILED:
      runtime_->Notify([done, error = EndedOtherwise(live.job)] { done(error); });
      return;
    default:  // cancelled, or about to be
      break;
  }
  ReplyWhenDurable(record, std::move(done));
}

void JobManagerImpl::CancelEnded(const JobName& name, const std::string& etag,
                                 const JobDone& done) {
  absl::StatusOr<Job> job = Read(name);
  if (job.ok() && !IsEndState(job->state())) {
    // It was created meanwhile.
    Cancel(name, etag, done);
    return;
  }
  if (job.ok()) {
    if (absl::Status status = CheckEtag(*job, etag); !status.ok()) {
      job = status;
    } else if (job->state() != Job::STATE_CANCELLED) {
      job = EndedOtherwise(*job);
    }
  }
  runtime_->Notify([done, job = std::move(job)] { done(job); });
}

void JobManagerImpl::RequestStop(JobRecord& record, Cause cause, std::string message) {
  LiveJob& live = *record.live;
  LiveAttempt& attempt = *live.attempt;
  if (!attempt.stop.has_value()) attempt.stop.emplace();
  attempt.stop->cause = cause;
  attempt.stop->message = std::move(message);
  if (cause != Attempt::END_CAUSE_CANCELLED) {
    AskToStop(record);
    return;
  }
  v1::StateChange change;
  change.set_to(Job::STATE_CANCELLING);
  change.set_reason(attempt.stop->message);
  ChangeState(live, std::move(change));
  live.next.after.push_back([this, id = attempt.id]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (JobRecord* found = FindAttempt(id)) AskToStop(*found);
  });
}

void JobManagerImpl::AskToStop(JobRecord& record) {
  LiveAttempt& attempt = *record.live->attempt;
  if (attempt.ended || !attempt.stop.has_value()) return;
  // A process that is being started is dealt with when it is there.
  if (attempt.process != LiveAttempt::Process::kRunning) return;
  StopRequest& stop = *attempt.stop;
  if (stop.stage == Stage::kKilled) {
    KillWorker(record, stop.cause, stop.message);
    return;
  }
  if (stop.stage != Stage::kDeciding) return;
  if (!attempt.assigned) {
    TerminateWorker(record);
    return;
  }
  v1::ServerMessage message;
  message.mutable_cancel()->set_cause(stop.cause);
  Send(attempt, std::move(message));
  stop.stage = Stage::kAsked;
  stop.next_stage_time = Now() + GracePeriod(record.live->job);
}

void JobManagerImpl::TerminateWorker(JobRecord& record) {
  LiveAttempt& attempt = *record.live->attempt;
  attempt.stop->stage = Stage::kTerminated;
  attempt.stop->next_stage_time = Now() + GracePeriod(record.live->job);
  runtime_->PostProcessWork(Guarded([this, name = attempt.name] { executor_->Terminate(name); }));
}

void JobManagerImpl::KillWorker(JobRecord& record, Cause cause, std::string message) {
  LiveAttempt& attempt = *record.live->attempt;
  if (!attempt.stop.has_value()) attempt.stop.emplace(StopRequest{cause, std::move(message)});
  attempt.stop->stage = Stage::kKilled;
  attempt.stop->next_stage_time = absl::InfiniteDuration();
  attempt.start_deadline = attempt.reconnect_deadline = attempt.time_limit_deadline =
      absl::InfiniteDuration();
  CloseSession(attempt, EndError(attempt.stop->cause, attempt.stop->message));
  if (attempt.process != LiveAttempt::Process::kRunning) return;
  runtime_->PostProcessWork(Guarded([this, name = attempt.name] { executor_->Kill(name); }));
}

void JobManagerImpl::CheckDeadlines(JobRecord& record, absl::Duration now) {
  LiveJob& live = *record.live;
  if (live.retry_store_time <= now) {
    live.retry_store_time = absl::InfiniteDuration();
    WriteUnit(record);
  }
  if (live.log_flush_time <= now) {
    live.log_flush_time = absl::InfiniteDuration();
    live.log->Flush(now);
  }
  if (live.attempt == nullptr) return;
  LiveAttempt& attempt = *live.attempt;
  if (NextDeadline(attempt) > now) return;
  if (attempt.ended) {
    // It has finished but does not exit.
    const bool kill = std::exchange(attempt.exit_demanded, true);
    attempt.exit_deadline = kill ? absl::InfiniteDuration() : now + GracePeriod(live.job);
    runtime_->PostProcessWork(Guarded([this, kill, name = attempt.name] {
      kill ? executor_->Kill(name) : executor_->Terminate(name);
    }));
    return;
  }
  if (attempt.process == LiveAttempt::Process::kGone) {
    EndByExit(record);
    return;
  }
  const auto seconds = [](absl::Duration time) { return absl::FormatDuration(time); };
  if (attempt.stop.has_value()) {
    if (attempt.stop->stage == Stage::kAsked) {
      TerminateWorker(record);
    } else {
      KillWorker(record, attempt.stop->cause, attempt.stop->message);
    }
  } else if (attempt.start_deadline <= now) {
    KillWorker(record, Attempt::END_CAUSE_WORKER_LOST,
               absl::StrCat("worker did not report within ", seconds(options_.start_timeout),
                            " of its start"));
  } else if (attempt.reconnect_deadline <= now) {
    KillWorker(record, Attempt::END_CAUSE_WORKER_LOST,
               absl::StrCat("worker lost its connection and did not return within ",
                            seconds(options_.reconnect_timeout)));
  } else if (attempt.time_limit_deadline <= now) {
    RequestStop(record, Attempt::END_CAUSE_TIME_LIMIT,
                absl::StrCat("ran longer than its time limit of ",
                             seconds(FromProto(live.job.time_limit()))));
  } else {
    KillWorker(record, Attempt::END_CAUSE_WORKER_LOST,
               absl::StrCat("worker sent nothing for ", seconds(options_.silence_timeout)));
  }
}

void JobManagerImpl::Delete(const JobName& name, std::string etag,
                            std::function<void(absl::Status)> done) {
  MutexLock lock(&mutex_);
  absl::Status refusal;
  JobRecord* record = Find(name);
  if (shutting_down_) {
    refusal = absl::UnavailableError("the server is going down");
  } else if (record == nullptr) {
    DeleteStored(name, etag, std::move(done));
    return;
  } else {
    const Job job = record->live != nullptr ? record->live->job : VisibleJob(*record);
    refusal = CheckEtag(job, etag);
    if (refusal.ok() && !IsEndState(job.state())) refusal = NotEnded(job);
  }
  if (!refusal.ok()) {
    runtime_->Notify([done, refusal] { done(refusal); });
    return;
  }
  // Its last process is still exiting; it goes when that is gone.
  record->live->when_gone.push_back([this, name, etag, done]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    DeleteStored(name, etag, done);
  });
}

void JobManagerImpl::DeleteStored(const JobName& name, const std::string& etag,
                                  std::function<void(absl::Status)> done) {
  ++under_way_;
  catalogue_->Write(
      [name, etag](CatalogueTransaction& transaction) -> absl::Status {
        TY_ASSIGN_OR_RETURN(const Job job, transaction.GetJob(name));
        TY_RETURN_IF_ERROR(CheckEtag(job, etag));
        if (!IsEndState(job.state())) return NotEnded(job);
        return transaction.DeleteJob(name);
      },
      Guarded([this, name, done = std::move(done)](const absl::Status& status) {
        if (status.ok()) {
          ended_.Remove(name.ToString());
          logs_->Close(name,
                       absl::NotFoundError(absl::StrCat("job ", name.ToString(), " was deleted")));
        }
        MutexLock lock(&mutex_);
        --under_way_;
        runtime_->Notify([done, status] { done(status); });
      }));
}

}  // namespace trainyard
