// From the queue to a worker process, and from its end to the job's next state.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/mutex.h"
#include "core/base/secret.h"
#include "core/base/sha256.h"
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

constexpr int kTokenBytes = 32;
// How long what a dead worker had sent before may still arrive.
constexpr absl::Duration kDrainTime = absl::Seconds(1);
// How long a worker may take to exit once it was told that its end is stored.
constexpr absl::Duration kExitTime = absl::Seconds(5);

}  // namespace

void JobManagerImpl::Enqueue(JobRecord& record, const Job& job) {
  if (absl::Status fits = CheckFits(job); !fits.ok()) {
    FailUnfitting(record, fits);
    return;
  }
  const absl::Time create_time = FromProto(job.create_time());
  absl::Time not_before = create_time;
  if (job.attempts_size() > 0) {
    not_before = FromProto(job.attempts().rbegin()->end_time()) +
                 RetryBackoff(job, options_.retry_backoff, options_.max_retry_backoff);
  }
  queue_->Add(
      {record.key, record.name.project, job.priority(), create_time, not_before, SlotsOf(job)});
}

void JobManagerImpl::FailUnfitting(JobRecord& record, const absl::Status& reason) {
  LiveJob& live = MakeLive(record);
  const google::rpc::Status error = ToRpcStatus(absl::FailedPreconditionError(
      absl::StrCat("the job cannot run on this server any more: ",
                   absl::string_view(reason.message().data(), reason.message().size()))));
  *live.job.mutable_error() = error;
  live.job.set_end_cause(Attempt::END_CAUSE_SERVER_FAULT);
  v1::StateChange change;
  change.set_to(Job::STATE_FAILED);
  change.set_reason("it asks for more than the server has");
  *change.mutable_error() = error;
  change.set_end_cause(Attempt::END_CAUSE_SERVER_FAULT);
  ChangeState(live, std::move(change));
  Store(record);
}

void JobManagerImpl::Schedule() {
  queue_timer_ = absl::InfiniteDuration();
  if (shutting_down_) return;
  const absl::Time now = clock_->Now();
  // Every job takes at least one CPU thread; the next release asks again.
  while (queue_->in_use().cpu_threads < queue_->capacity().cpu_threads) {
    const std::optional<QueuedJob> picked = queue_->PickNext(now);
    if (!picked.has_value()) {
      const absl::Time next = queue_->NextChange(now);
      if (next == absl::InfiniteFuture()) return;
      queue_timer_ = Now() + std::max(next - now, absl::Milliseconds(1));
      runtime_->WakeAt(queue_timer_);
      return;
    }
    JobRecord& record = *records_.at(picked->name);
    StartAttempt(record);
    observer_->OnDispatch(record.live->job.algorithm(),
                          std::max(now - picked->not_before, absl::ZeroDuration()));
  }
}

void JobManagerImpl::StartAttempt(JobRecord& record) {
  LiveJob& live = MakeLive(record);
  live.log = logs_->Open(record.name, record.newest_sequence, false);
  live.attempt = std::make_unique<LiveAttempt>();
  LiveAttempt& attempt = *live.attempt;
  attempt.id = next_id_++;
  attempt.message_index = live.job.attempts_size();
  attempt.record.name = {record.name, attempt.message_index + 1};
  attempt.name = attempt.record.name.ToString();
  attempt.token = RandomHexToken(kTokenBytes);
  attempt.record.token_sha256 = Sha256Hex(attempt.token);
  attempt.record.executor = std::string(executor_->name());
  attempt.started = Now();
  attempts_[attempt.id] = &record;

  Attempt& message = *live.job.add_attempts();
  message.set_name(attempt.name);
  message.set_executor(attempt.record.executor);
  *message.mutable_start_time() = trainyard::ToProto(clock_->Now());
  for (std::string& gpu : gpus_.Take(record.key, live.job.resources().gpus())) {
    message.add_gpus(std::move(gpu));
  }
  if (!live.job.has_start_time()) *live.job.mutable_start_time() = message.start_time();
  live.job.clear_progress();

  v1::StateChange change;
  change.set_to(Job::STATE_STARTING);
  change.set_reason(absl::StrCat("attempt ", attempt.record.name.attempt, " begins"));
  ChangeState(live, std::move(change));
  live.next.write_attempt = true;
  live.next.after.push_back([this, id = attempt.id]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (JobRecord* found = FindAttempt(id)) PostLaunch(*found);
  });
  // Tables are prepared while the attempt is stored and the worker starts.
  PostInputs(record);
  Store(record);
}

JobRecord* JobManagerImpl::FindAttempt(int64_t attempt_id) {
  auto found = attempts_.find(attempt_id);
  return found == attempts_.end() ? nullptr : found->second;
}

void JobManagerImpl::PostLaunch(JobRecord& record) {
  LiveJob& live = *record.live;
  LiveAttempt& attempt = *live.attempt;
  if (attempt.stop.has_value()) {
    attempt.process = LiveAttempt::Process::kGone;
    ReleaseSlots(record);
    EndAttempt(record, attempt.stop->cause, EndError(attempt.stop->cause, attempt.stop->message));
    Schedule();
    return;
  }
  // Not launched: the next run of the server finds an attempt without a process and begins another.
  if (shutting_down_) return;
  attempt.process = LiveAttempt::Process::kStarting;
  attempt.started = Now();
  WorkerLaunch launch{attempt.name, std::exchange(attempt.token, {}), options_.worker_address,
                      live.job.resources(), gpus_.DriverNames(record.key)};
  ++under_way_;
  runtime_->PostProcessWork(
      Guarded([this, id = attempt.id, launch = std::move(launch)] { Launch(id, launch); }));
}

void JobManagerImpl::Launch(int64_t attempt_id, const WorkerLaunch& launch) {
  const absl::Duration begin = Now();
  const absl::StatusOr<std::string> process = executor_->Launch(
      launch,
      Guarded([this, attempt_id](WorkerExit exit) { OnExit(attempt_id, std::move(exit)); }));
  const int64_t pid = process.ok() ? executor_->ProcessId(launch.attempt) : 0;
  observer_->OnLaunch(process.ok(), Now() - begin);
  OnLaunched(attempt_id, process, pid);
}

void JobManagerImpl::OnLaunched(int64_t attempt_id, const absl::StatusOr<std::string>& process,
                                int64_t pid) {
  MutexLock lock(&mutex_);
  --under_way_;
  JobRecord* record = FindAttempt(attempt_id);
  if (record == nullptr) return;
  LiveAttempt& attempt = *record->live->attempt;
  if (!process.ok()) {
    attempt.process = LiveAttempt::Process::kGone;
    ReleaseSlots(*record);
    const bool may_retry =
        absl::IsResourceExhausted(process.status()) || absl::IsUnavailable(process.status());
    const absl::Status error = AddContext(process.status(), "the worker could not be started");
    if (attempt.stop.has_value()) {
      EndAttempt(*record, attempt.stop->cause,
                 EndError(attempt.stop->cause, attempt.stop->message));
    } else {
      EndAttempt(*record, Attempt::END_CAUSE_SERVER_FAULT, error, may_retry);
    }
    Schedule();
  } else if (!attempt.ended) {
    // Stored with the worker's first Hello. Until then the executor finds the process by the
    // attempt.
    attempt.record.process = *process;
    if (pid != 0) MessageOf(*record->live).set_pid(pid);
    if (attempt.process == LiveAttempt::Process::kStarting) {
      attempt.process = LiveAttempt::Process::kRunning;
      attempt.start_deadline =
          attempt.has_connected ? absl::InfiniteDuration() : Now() + options_.start_timeout;
      const Job& job = record->live->job;
      if (job.has_time_limit()) {
        attempt.time_limit_deadline = attempt.started + FromProto(job.time_limit());
      }
    }
    if (attempt.stop.has_value()) AskToStop(*record);
    if (attempt.first_hello_waits) AcceptFirstHello(*record);
  }
  Settle(*record);
}

void JobManagerImpl::PostInputs(JobRecord& record) {
  const LiveJob& live = *record.live;
  runtime_->PostDataWork(
      Guarded([this, id = live.attempt->id, name = record.name, spec = live.job.spec(),
               later_attempt = live.attempt->record.name.attempt > 1] {
        PrepareInputs(id, name, spec, later_attempt);
      }));
}

void JobManagerImpl::PrepareInputs(int64_t attempt_id, const JobName& name,
                                   const v1::TrainingSpec& spec, bool may_have_checkpoint) {
  absl::StatusOr<std::vector<v1::AssignedTable>> tables = std::vector<v1::AssignedTable>();
  if (assign_tables_ != nullptr) tables = assign_tables_(spec);
  absl::StatusOr<AssignedModels> models = AssignedModels();
  if (assign_models_ != nullptr && tables.ok()) models = assign_models_(spec);
  std::string checkpoint_path;
  std::shared_ptr<void> hold;
  if (may_have_checkpoint && blobs_ != nullptr) {
    const auto blob = catalogue_->CheckpointOf(name);
    if (blob.ok() && blob->has_value()) {
      hold = blobs_->Hold(**blob);
      // A checkpoint that is gone costs time, not the job.
      if (const auto path = blobs_->PathOf(**blob); path.ok()) checkpoint_path = path->string();
    }
  }
  MutexLock lock(&mutex_);
  JobRecord* record = FindAttempt(attempt_id);
  if (record == nullptr || record->live->attempt->ended) return;
  LiveAttempt& attempt = *record->live->attempt;
  if (!tables.ok() || !models.ok()) {
    const absl::Status error = AddContext(tables.ok() ? models.status() : tables.status(),
                                          "the job's data could not be prepared");
    // A model may have been deleted while the job was queued.
    const bool gone = tables.ok() && absl::IsNotFound(models.status());
    KillWorker(*record, gone ? Attempt::END_CAUSE_USER_ERROR : Attempt::END_CAUSE_SERVER_FAULT,
               std::string(error.message().data(), error.message().size()));
  } else {
    attempt.inputs = LiveAttempt::Inputs::kReady;
    attempt.tables = *std::move(tables);
    attempt.models = std::move(models->models);
    attempt.holds.insert(attempt.holds.end(), models->holds.begin(), models->holds.end());
    attempt.checkpoint_path = std::move(checkpoint_path);
    if (hold != nullptr) attempt.holds.push_back(std::move(hold));
    TryAssign(*record);
  }
  Settle(*record);
}

void JobManagerImpl::ReleaseSlots(JobRecord& record) {
  queue_->Release(record.key, clock_->Now());
  gpus_.Release(record.key);
}

void JobManagerImpl::OnExit(int64_t attempt_id, WorkerExit exit) {
  MutexLock lock(&mutex_);
  JobRecord* record = FindAttempt(attempt_id);
  // After the shutdown the next run finds out.
  if (record == nullptr || stopped_) return;
  LiveJob& live = *record->live;
  LiveAttempt& attempt = *live.attempt;
  if (attempt.process == LiveAttempt::Process::kGone) return;
  attempt.process = LiveAttempt::Process::kGone;
  attempt.exit = std::move(exit);
  ReleaseSlots(*record);
  // The job that takes the slots does not wait until this one's exit is stored.
  Schedule();
  if (attempt.ended) {
    RecordExit(*attempt.exit, MessageOf(live));
    *live.job.mutable_update_time() = trainyard::ToProto(clock_->Now());
    live.next.write_job = true;
  } else if (attempt.session != 0) {
    // Its last events may still be on their way.
    attempt.drain_deadline = Now() + kDrainTime;
  } else {
    EndByExit(*record);
  }
  Settle(*record);
}

void JobManagerImpl::EndByExit(JobRecord& record) {
  LiveJob& live = *record.live;
  const LiveAttempt& attempt = *live.attempt;
  const WorkerExit exit = attempt.exit.value_or(WorkerExit());
  const std::string what = DescribeExit(exit, live.job.progress());
  Cause cause =
      exit.out_of_memory ? Attempt::END_CAUSE_OUT_OF_MEMORY : Attempt::END_CAUSE_WORKER_LOST;
  std::string message = what;
  if (attempt.stop.has_value() && (attempt.stop->cause != Attempt::END_CAUSE_WORKER_LOST ||
                                   cause == Attempt::END_CAUSE_WORKER_LOST)) {
    cause = attempt.stop->cause;
    message = attempt.stop->message;
  }
  EndAttempt(record, cause, EndError(cause, message));
}

Job::State JobManagerImpl::StateAfter(const LiveJob& live, Cause cause, bool may_retry) const {
  if (cause == Attempt::END_CAUSE_SUCCEEDED) return Job::STATE_SUCCEEDED;
  if (cause == Attempt::END_CAUSE_CANCELLED) return Job::STATE_CANCELLED;
  if (may_retry && AllowsRetry(cause) && HasAttemptsLeft(live.job)) return Job::STATE_QUEUED;
  return Job::STATE_FAILED;
}

void JobManagerImpl::EndAttempt(JobRecord& record, Cause cause, absl::Status error,
                                bool may_retry) {
  LiveJob& live = *record.live;
  LiveAttempt& attempt = *live.attempt;
  if (attempt.ended) return;
  // Whatever would otherwise have been tried again ends with the cancellation.
  if (live.job.state() == Job::STATE_CANCELLING && AllowsRetry(cause)) {
    cause = Attempt::END_CAUSE_CANCELLED;
  }
  if (attempt.adopted && !attempt.has_connected && cause == Attempt::END_CAUSE_WORKER_LOST) {
    error = WithReason(std::move(error), kServerRestarted);
  }
  attempt.ended = true;
  attempt.record.ended = true;
  attempt.record.token_sha256.clear();
  attempt.stop.reset();
  attempt.start_deadline = attempt.reconnect_deadline = attempt.time_limit_deadline =
      attempt.drain_deadline = absl::InfiniteDuration();
  if (attempt.process != LiveAttempt::Process::kGone) attempt.exit_deadline = Now() + kExitTime;

  Attempt& message = MessageOf(live);
  *message.mutable_end_time() = trainyard::ToProto(clock_->Now());
  message.set_end_cause(cause);
  if (!error.ok()) *message.mutable_error() = ToRpcStatus(error);
  if (attempt.exit.has_value()) RecordExit(*attempt.exit, message);

  v1::StateChange change;
  change.set_to(StateAfter(live, cause, may_retry));
  change.set_end_cause(cause);
  if (IsEndState(change.to())) live.job.set_end_cause(cause);
  if (change.to() == Job::STATE_FAILED) {
    *live.job.mutable_error() = message.error();
    *change.mutable_error() = message.error();
  }
  change.set_reason(cause == Attempt::END_CAUSE_SUCCEEDED ? "the model is stored"
                                                          : message.error().message());
  ChangeState(live, std::move(change));
  live.next.write_attempt = true;
  const absl::Duration run_time = Now() - attempt.started;
  live.next.after.push_back(
      [this, id = attempt.id, cause, run_time]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
        JobRecord& ended = *FindAttempt(id);
        LiveAttempt& ended_attempt = *ended.live->attempt;
        ended_attempt.end_durable = true;
        ended_attempt.holds.clear();
        observer_->OnAttemptEnd(ended.live->job.algorithm(), cause, run_time);
        v1::ServerMessage acknowledgement;
        acknowledgement.mutable_finished_ack();
        Send(ended_attempt, std::move(acknowledgement));
      });
}

void JobManagerImpl::DropAttempt(JobRecord& record) {
  LiveJob& live = *record.live;
  if (live.attempt == nullptr) return;
  LiveAttempt& attempt = *live.attempt;
  if (!attempt.end_durable || attempt.process != LiveAttempt::Process::kGone) return;
  CloseSession(attempt, absl::FailedPreconditionError("the attempt has ended"));
  attempts_.erase(attempt.id);
  live.attempt = nullptr;
  if (live.job.state() != Job::STATE_QUEUED) return;
  Enqueue(record, live.job);
  Schedule();
}

}  // namespace trainyard
