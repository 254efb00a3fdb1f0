// What workers say.
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
#include "server/scheduler/worker_events.h"

namespace trainyard {
namespace {

using v1::Attempt;
using v1::Job;

// Events of one job that wait for the catalogue; a worker waits for acknowledgements long before.
constexpr int64_t kMaxPendingEventBytes = 64 << 20;

absl::Status AttemptEnded(std::string_view attempt) {
  return absl::FailedPreconditionError(
      absl::StrCat("attempt ", std::string(attempt), " has ended"));
}

absl::Status SessionGone() {
  return absl::FailedPreconditionError("the session was replaced by another or has ended");
}

bool MatchesHash(const std::string& secret, const std::string& sha256) {
  return !sha256.empty() && ConstantTimeEquals(Sha256Hex(secret), sha256);
}

// Hashes up to 64 KiB when the message is a good one, so not under the lock.
std::vector<v1::ModelFile> DescribeSmallFiles(const v1::Finished& finished) {
  std::vector<v1::ModelFile> files;
  if (!CheckFinished(finished).ok()) return files;
  for (const v1::SmallModelFile& small : finished.small_files()) {
    v1::ModelFile& file = files.emplace_back();
    file.set_path(small.path());
    file.set_size_bytes(static_cast<int64_t>(small.data().size()));
    file.set_sha256(Sha256Hex(small.data()));
  }
  return files;
}

}  // namespace

JobRecord* JobManagerImpl::FindSession(int64_t session) {
  auto found = sessions_.find(session);
  return found == sessions_.end() ? nullptr : found->second;
}

void JobManagerImpl::Send(const LiveAttempt& attempt, v1::ServerMessage message) {
  if (attempt.link == nullptr) return;
  runtime_->Notify([link = attempt.link, message = std::move(message)]() mutable {
    link->Send(std::move(message));
  });
}

void JobManagerImpl::CloseSession(LiveAttempt& attempt, const absl::Status& status) {
  if (attempt.session == 0) return;
  sessions_.erase(attempt.session);
  attempt.session = 0;
  attempt.assigned = false;
  runtime_->Notify([link = std::exchange(attempt.link, nullptr), status] { link->Close(status); });
}

absl::Status JobManagerImpl::ProtocolError(JobRecord& record, std::string_view message) {
  const absl::Status error =
      absl::InvalidArgumentError(absl::StrCat("worker broke the protocol: ", std::string(message)));
  LiveAttempt& attempt = *record.live->attempt;
  if (!attempt.ended) {
    // The transport ends the stream with this error itself.
    sessions_.erase(std::exchange(attempt.session, 0));
    attempt.link = nullptr;
    attempt.assigned = false;
    KillWorker(record, Attempt::END_CAUSE_WORKER_LOST,
               std::string(error.message().data(), error.message().size()));
    if (attempt.process == LiveAttempt::Process::kGone) EndByExit(record);
  }
  Settle(record);
  return error;
}

absl::Status JobManagerImpl::CheckHello(const v1::Hello& hello, const LiveAttempt& attempt) const {
  if (hello.session_key().empty()) {
    return absl::UnauthenticatedError("Hello carries no session key");
  }
  if (!attempt.record.session_key_sha256.empty()) {
    if (MatchesHash(hello.session_key(), attempt.record.session_key_sha256)) {
      return absl::OkStatus();
    }
    return absl::UnauthenticatedError(
        hello.token().empty()
            ? absl::StrCat("the session key is not that of ", hello.attempt())
            : absl::StrCat("the token of ", hello.attempt(), " has been used already"));
  }
  if (!MatchesHash(hello.token(), attempt.record.token_sha256)) {
    return absl::UnauthenticatedError(absl::StrCat("the token is not that of ", hello.attempt()));
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> JobManagerImpl::OpenSession(const v1::Hello& hello,
                                                    std::shared_ptr<WorkerLink> link) {
  const absl::StatusOr<AttemptName> name = AttemptName::Parse(hello.attempt());
  if (!name.ok()) return absl::UnauthenticatedError(name.status().message());
  MutexLock lock(&mutex_);
  if (shutting_down_) return absl::UnavailableError("the server is going down");
  JobRecord* record = Find(name->job);
  if (record == nullptr || record->live == nullptr || record->live->attempt == nullptr ||
      record->live->attempt->record.name.attempt != name->attempt) {
    return AttemptEnded(hello.attempt());
  }
  LiveAttempt& attempt = *record->live->attempt;
  const bool killed =
      attempt.stop.has_value() && attempt.stop->stage == StopRequest::Stage::kKilled;
  if (attempt.ended || killed || attempt.process == LiveAttempt::Process::kGone) {
    return AttemptEnded(hello.attempt());
  }
  TY_RETURN_IF_ERROR(CheckHello(hello, attempt));
  CloseSession(attempt, absl::AbortedError("another session of the same attempt was opened"));
  attempt.session = next_id_++;
  attempt.link = std::move(link);
  attempt.has_connected = true;
  attempt.last_heard = Now();
  attempt.start_deadline = attempt.reconnect_deadline = absl::InfiniteDuration();
  sessions_[attempt.session] = record;
  const int64_t session = attempt.session;
  if (Attempt& message = MessageOf(*record->live); message.pid() == 0) {
    message.set_pid(hello.pid());
  }
  if (attempt.record.session_key_sha256.empty()) {
    attempt.record.token_sha256.clear();
    attempt.record.session_key_sha256 = Sha256Hex(hello.session_key());
    AcceptFirstHello(*record);
  } else {
    TryAssign(*record);
  }
  Settle(*record);
  return session;
}

void JobManagerImpl::AcceptFirstHello(JobRecord& record) {
  LiveJob& live = *record.live;
  LiveAttempt& attempt = *live.attempt;
  // The text that finds the process again is stored with this.
  attempt.first_hello_waits = attempt.process == LiveAttempt::Process::kStarting;
  if (attempt.first_hello_waits) return;
  v1::StateChange change;
  change.set_to(Job::STATE_RUNNING);
  change.set_reason("the worker has the job");
  // A job that is being cancelled stays in that state; its worker learns so from the assignment.
  ChangeState(live, std::move(change));
  live.next.write_attempt = true;
  live.next.write_job = true;
  // The training need not wait until that is durable: a server that forgot it finds the process by
  // the attempt, which is stored, and knows the worker by its token, which it shows until then.
  attempt.accepted = true;
  TryAssign(record);
}

void JobManagerImpl::TryAssign(JobRecord& record) {
  const LiveJob& live = *record.live;
  LiveAttempt& attempt = *live.attempt;
  if (attempt.session == 0 || attempt.assigned || attempt.ended || !attempt.accepted ||
      attempt.inputs != LiveAttempt::Inputs::kReady) {
    return;
  }
  v1::ServerMessage message;
  v1::Assignment& assignment = *message.mutable_assignment();
  assignment.set_job(record.key);
  assignment.set_attempt(attempt.record.name.attempt);
  *assignment.mutable_spec() = live.job.spec();
  for (const v1::AssignedTable& table : attempt.tables) *assignment.add_tables() = table;
  for (const v1::AssignedModel& model : attempt.models) *assignment.add_models() = model;
  *assignment.mutable_resources() = live.job.resources();
  assignment.set_checkpoint_path(attempt.checkpoint_path);
  assignment.set_acknowledged_sequence(attempt.acknowledged_sequence);
  assignment.set_cancelled(attempt.stop.has_value());
  *assignment.mutable_cancel_grace_period() = trainyard::ToProto(GracePeriod(live.job));
  attempt.assigned = true;
  Send(attempt, std::move(message));
  if (!attempt.stop.has_value()) return;
  v1::ServerMessage cancel;
  cancel.mutable_cancel()->set_cause(attempt.stop->cause);
  Send(attempt, std::move(cancel));
}

absl::Status JobManagerImpl::OnEvents(int64_t session, v1::WorkerEvents events) {
  MutexLock lock(&mutex_);
  if (shutting_down_) return absl::UnavailableError("the server is going down");
  JobRecord* record = FindSession(session);
  if (record == nullptr) return SessionGone();
  LiveJob& live = *record->live;
  LiveAttempt& attempt = *live.attempt;
  attempt.last_heard = Now();
  if (attempt.ended || !attempt.assigned) {
    return ProtocolError(*record, "events outside its time between assignment and end");
  }
  const int64_t expected = attempt.record.worker_sequence + 1;
  if (events.first_sequence() < 1 || events.first_sequence() > expected) {
    return ProtocolError(*record, absl::StrCat("events from sequence ", events.first_sequence(),
                                               " on, expected ", expected));
  }
  const int64_t known = expected - events.first_sequence();
  live.pending_event_bytes += static_cast<int64_t>(events.ByteSizeLong());
  if (live.pending_event_bytes > kMaxPendingEventBytes) {
    return ProtocolError(*record, "more events than it may have unacknowledged");
  }
  for (int64_t i = known; i < events.events_size(); ++i) {
    v1::JobEvent& event = *events.mutable_events(static_cast<int>(i));
    const absl::Status valid = CheckWorkerEvent(event);
    if (!valid.ok()) {
      return ProtocolError(*record,
                           std::string_view(valid.message().data(), valid.message().size()));
    }
    attempt.record.worker_sequence = events.first_sequence() + i;
    AddEvent(live, std::move(event));
    live.next.write_attempt = true;
  }
  if (known >= events.events_size() &&
      attempt.record.worker_sequence == attempt.acknowledged_sequence) {
    v1::ServerMessage message;
    message.mutable_ack()->set_sequence(attempt.acknowledged_sequence);
    Send(attempt, std::move(message));
  }
  Settle(*record);
  return absl::OkStatus();
}

absl::Status JobManagerImpl::OnFinished(int64_t session, v1::Finished finished) {
  std::vector<v1::ModelFile> small_files = DescribeSmallFiles(finished);
  MutexLock lock(&mutex_);
  if (shutting_down_) return absl::UnavailableError("the server is going down");
  JobRecord* record = FindSession(session);
  if (record == nullptr) return SessionGone();
  LiveAttempt& attempt = *record->live->attempt;
  attempt.last_heard = Now();
  if (attempt.ended) return AttemptEnded(attempt.name);
  if (!attempt.assigned) return ProtocolError(*record, "the end of a job that it was not given");
  if (finished.last_sequence() != attempt.record.worker_sequence) {
    return ProtocolError(*record, absl::StrCat("the end after event ", finished.last_sequence(),
                                               ", received were ", attempt.record.worker_sequence));
  }
  if (absl::Status valid = CheckFinished(finished); !valid.ok()) {
    return ProtocolError(*record, std::string_view(valid.message().data(), valid.message().size()));
  }
  Cause cause = finished.end_cause();
  if (cause == Attempt::END_CAUSE_SUCCEEDED) {
    if (attempt.files_lost) {
      // Some or all of them were received by an earlier run of the server.
      cause = Attempt::END_CAUSE_SERVER_FAULT;
      EndAttempt(*record, cause,
                 WithReason(EndError(cause,
                                     "the server was restarted between the upload of the "
                                     "model and the end of the training"),
                            kServerRestarted));
    } else if (attempt.files.empty() && finished.small_files().empty()) {
      return ProtocolError(*record, "success without a file of the model");
    } else {
      for (v1::ModelFile& file : small_files) attempt.files[file.path()] = std::move(file);
      SucceedAttempt(*record, std::move(finished));
    }
  } else {
    const absl::Status reported(static_cast<absl::StatusCode>(finished.error().code()),
                                finished.error().message());
    absl::Status error = reported.ok() ? EndError(cause, Attempt::EndCause_Name(cause)) : reported;
    // A worker only knows that it was told to stop; why, the server knows.
    const bool stopped = attempt.stop.has_value() && (cause == Attempt::END_CAUSE_CANCELLED ||
                                                      cause == Attempt::END_CAUSE_WORKER_LOST);
    if (stopped) {
      cause = attempt.stop->cause;
      error = EndError(cause, attempt.stop->message);
    } else if (cause == Attempt::END_CAUSE_CANCELLED) {
      cause = Attempt::END_CAUSE_WORKER_LOST;
      error = EndError(cause, "worker was told to stop by somebody else than the server");
    }
    EndAttempt(*record, cause, error);
  }
  Settle(*record);
  return absl::OkStatus();
}

void JobManagerImpl::SucceedAttempt(JobRecord& record, v1::Finished finished) {
  LiveJob& live = *record.live;
  LiveAttempt& attempt = *live.attempt;
  *live.job.mutable_report() = std::move(*finished.mutable_report());
  live.job.mutable_progress()->set_fraction(1);
  live.job.mutable_progress()->set_seconds_left(0);
  MessageOf(live).set_peak_memory_bytes(live.job.report().peak_memory_bytes());
  v1::Model model;
  model.set_name(ModelName{record.name.project, record.name.job}.ToString());
  live.job.set_model(model.name());
  model.set_job(record.key);
  model.set_algorithm(live.job.algorithm());
  *model.mutable_create_time() = trainyard::ToProto(clock_->Now());
  for (auto& [path, file] : attempt.files) {
    model.set_size_bytes(model.size_bytes() + file.size_bytes());
    *model.add_files() = std::move(file);
  }
  *model.mutable_manifest() = std::move(*finished.mutable_manifest());
  *model.mutable_report() = live.job.report();
  model.set_display_name(live.job.display_name());
  model.set_etag(RandomHexToken(8));
  EndAttempt(record, Attempt::END_CAUSE_SUCCEEDED, absl::OkStatus());
  live.next.model = std::move(model);
  for (v1::SmallModelFile& file : *finished.mutable_small_files()) {
    live.next.contents[file.path()] = std::move(*file.mutable_data());
  }
}

void JobManagerImpl::OnAlive(int64_t session, const v1::WorkerAlive& alive) {
  MutexLock lock(&mutex_);
  JobRecord* record = FindSession(session);
  if (record == nullptr) return;
  LiveAttempt& attempt = *record->live->attempt;
  attempt.last_heard = Now();
  Attempt& message = MessageOf(*record->live);
  message.set_peak_memory_bytes(std::max(message.peak_memory_bytes(), alive.memory_bytes()));
}

void JobManagerImpl::OnClosed(int64_t session, bool protocol_error) {
  MutexLock lock(&mutex_);
  JobRecord* record = FindSession(session);
  if (record == nullptr) return;
  LiveAttempt& attempt = *record->live->attempt;
  sessions_.erase(session);
  attempt.session = 0;
  attempt.link = nullptr;
  attempt.assigned = false;
  if (!attempt.ended && !shutting_down_) {
    if (protocol_error) {
      KillWorker(*record, Attempt::END_CAUSE_WORKER_LOST,
                 "worker broke the protocol: it sent bytes that are no message");
    }
    if (attempt.process == LiveAttempt::Process::kGone) {
      EndByExit(*record);
    } else if (!attempt.stop.has_value()) {
      attempt.reconnect_deadline = Now() + options_.reconnect_timeout;
    } else if (attempt.stop->stage == StopRequest::Stage::kAsked) {
      TerminateWorker(*record);
    }
  }
  Settle(*record);
}

}  // namespace trainyard
