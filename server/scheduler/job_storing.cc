// From a change in memory to its announcement: one unit of work at a time per job.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/mutex.h"
#include "core/base/status.h"
#include "server/scheduler/job_changes.h"
#include "server/scheduler/job_manager_impl.h"
#include "server/scheduler/job_state.h"

namespace trainyard {
namespace {

// The row of a job is written with every change of state, but for mere progress only so often.
constexpr absl::Duration kRowInterval = absl::Seconds(1);
constexpr absl::Duration kFirstStoreRetry = absl::Milliseconds(100);
constexpr absl::Duration kLongestStoreRetry = absl::Seconds(10);
constexpr size_t kMaxIdBytes = 63;
constexpr int kMaxModelNames = 1000;

bool HasWork(const UnitOfWork& unit) {
  return !unit.events.empty() || unit.write_job || unit.write_attempt ||
         unit.checkpoint.has_value() || !unit.after.empty();
}

// Inserts the model under the job's id or, where an earlier job of that id left a model, with a
// number added.
absl::Status InsertModel(UnitOfWork& unit, CatalogueTransaction& transaction) {
  TY_ASSIGN_OR_RETURN(const ModelName wanted, ModelName::Parse(unit.model->name()));
  v1::Model model = *unit.model;
  for (int i = 1; i <= kMaxModelNames; ++i) {
    ModelName name = wanted;
    if (i > 1) {
      const std::string number = absl::StrCat("-", i);
      name.model = absl::StrCat(name.model.substr(0, kMaxIdBytes - number.size()), number);
    }
    model.set_name(name.ToString());
    const absl::Status inserted = transaction.InsertModel(model, unit.contents);
    if (inserted.ok()) unit.job.set_model(model.name());
    if (!absl::IsAlreadyExists(inserted)) return inserted;
  }
  return absl::ResourceExhaustedError(
      absl::StrCat(kMaxModelNames, " models are named after ", unit.model->name()));
}

absl::Status WriteTo(CatalogueTransaction& transaction, const JobName& name, UnitOfWork& unit) {
  if (unit.model.has_value()) TY_RETURN_IF_ERROR(InsertModel(unit, transaction));
  if (unit.write_job) TY_RETURN_IF_ERROR(transaction.UpdateJob(unit.job));
  if (!unit.events.empty()) TY_RETURN_IF_ERROR(transaction.AppendEvents(name, unit.events));
  if (unit.attempt.has_value()) TY_RETURN_IF_ERROR(transaction.PutAttempt(*unit.attempt));
  if (!unit.checkpoint.has_value()) return absl::OkStatus();
  return transaction.PutCheckpoint(name, unit.checkpoint->step, unit.checkpoint->blob.sha256,
                                   unit.checkpoint->blob.size_bytes);
}

}  // namespace

JobRecord& JobManagerImpl::AddRecord(const JobName& name) {
  auto record = std::make_unique<JobRecord>();
  record->name = name;
  record->key = name.ToString();
  JobRecord& added = *record;
  records_[added.key] = std::move(record);
  return added;
}

LiveJob& JobManagerImpl::MakeLive(JobRecord& record) {
  if (record.live == nullptr) {
    record.live = std::make_unique<LiveJob>();
    record.live->visible.ParseFromString(record.packed);
    record.live->job = record.live->visible;
    record.live->log = logs_->Find(record.name);
    record.live->row_written = Now();
    record.packed = {};
  }
  return *record.live;
}

void JobManagerImpl::AddEvent(LiveJob& live, v1::JobEvent event) {
  event.set_sequence(live.job.newest_sequence() + 1);
  if (!event.has_time()) *event.mutable_time() = trainyard::ToProto(clock_->Now());
  if (live.attempt != nullptr) event.set_attempt(live.attempt->record.name.attempt);
  ApplyEvent(event, live.job);
  live.next.events.push_back(std::move(event));
}

bool JobManagerImpl::ChangeState(LiveJob& live, v1::StateChange change) {
  change.set_from(live.job.state());
  if (!Transition(live.job, change.to()).ok()) return false;
  v1::JobEvent event;
  *event.mutable_state_change() = std::move(change);
  AddEvent(live, std::move(event));
  if (IsEndState(live.job.state())) {
    *live.job.mutable_end_time() = live.job.update_time();
    live.job.clear_queue_position();
  }
  SetEtag(live.job);
  live.next.write_job = true;
  return true;
}

void JobManagerImpl::Store(JobRecord& record) {
  LiveJob& live = *record.live;
  if (live.in_flight == nullptr && HasWork(live.next)) {
    live.in_flight = std::make_shared<UnitOfWork>(std::exchange(live.next, {}));
    live.pending_event_bytes = 0;
    UnitOfWork& unit = *live.in_flight;
    const absl::Duration now = Now();
    if (!unit.events.empty() && now - live.row_written >= kRowInterval) unit.write_job = true;
    if (unit.write_job) {
      unit.job = live.job;
      live.row_written = now;
    }
    if (unit.write_attempt && live.attempt != nullptr) unit.attempt = live.attempt->record;
    WriteUnit(record);
  }
  SetTimer(record);
}

void JobManagerImpl::WriteUnit(JobRecord& record) {
  ++under_way_;
  const std::shared_ptr<UnitOfWork>& unit = record.live->in_flight;
  catalogue_->Write(
      [unit, name = record.name](CatalogueTransaction& transaction) {
        return WriteTo(transaction, name, *unit);
      },
      Guarded(
          [this, unit, key = record.key](absl::Status status) { OnStored(key, unit, status); }));
}

void JobManagerImpl::OnStored(const std::string& key, const std::shared_ptr<UnitOfWork>& unit,
                              const absl::Status& status) {
  MutexLock lock(&mutex_);
  --under_way_;
  auto found = records_.find(key);
  if (found == records_.end()) return;
  JobRecord& record = *found->second;
  LiveJob& live = *record.live;
  if (!status.ok()) {
    observer_->OnStoreFailure();
    const absl::Duration pause =
        std::min(kLongestStoreRetry, kFirstStoreRetry * (1 << std::min(live.store_failures++, 10)));
    live.retry_store_time = Now() + pause;
    SetTimer(record);
    return;
  }
  live.store_failures = 0;
  live.in_flight = nullptr;
  ShowUnit(record, *unit);
  for (const auto& function : unit->after) function();
  Settle(record);
}

void JobManagerImpl::ShowUnit(JobRecord& record, UnitOfWork& unit) {
  LiveJob& live = *record.live;
  if (unit.write_job) {
    if (unit.model.has_value()) live.job.set_model(unit.job.model());
    live.visible = std::move(unit.job);
  } else {
    for (const v1::JobEvent& event : unit.events) ApplyEvent(event, live.visible);
  }
  record.newest_sequence = live.visible.newest_sequence();
  if (!unit.events.empty()) {
    if (live.log != nullptr) live.log_flush_time = live.log->Publish(unit.events, Now());
    observer_->OnEventsPublished(static_cast<int64_t>(unit.events.size()));
  }
  for (const v1::JobEvent& event : unit.events) {
    if (!event.has_state_change()) continue;
    observer_->OnJobState(live.visible.algorithm(), event.state_change().from(),
                          event.state_change().to());
  }
  LiveAttempt* attempt = live.attempt.get();
  if (attempt == nullptr || !unit.attempt.has_value()) return;
  const int64_t stored = unit.attempt->worker_sequence;
  if (unit.attempt->name.attempt != attempt->record.name.attempt ||
      stored <= attempt->acknowledged_sequence) {
    return;
  }
  attempt->acknowledged_sequence = stored;
  v1::ServerMessage message;
  message.mutable_ack()->set_sequence(stored);
  if (attempt->assigned) Send(*attempt, std::move(message));
}

void JobManagerImpl::ReplyWhenDurable(JobRecord& record, JobDone done) {
  WhenDurable(record,
              [this, key = record.key, done = std::move(done)]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
                runtime_->Notify([done, job = VisibleJob(*records_.at(key))] { done(job); });
              });
}

void JobManagerImpl::WhenDurable(JobRecord& record, std::function<void()> function) {
  LiveJob& live = *record.live;
  if (HasWork(live.next)) {
    live.next.after.push_back(std::move(function));
  } else if (live.in_flight != nullptr) {
    live.in_flight->after.push_back(std::move(function));
  } else {
    function();
  }
}

void JobManagerImpl::Settle(JobRecord& record) {
  if (record.live == nullptr) return;
  DropAttempt(record);
  Store(record);
  Retire(record);
}

void JobManagerImpl::Retire(JobRecord& record) {
  LiveJob& live = *record.live;
  if (live.attempt != nullptr || live.in_flight != nullptr || HasWork(live.next)) return;
  if (live.log != nullptr) live.log->Flush(Now());
  if (!IsEndState(live.visible.state())) {
    record.packed = live.visible.SerializeAsString();
    record.live = nullptr;
    SetTimer(record);
    return;
  }
  ended_.Put(live.visible);
  const std::unique_ptr<LiveJob> gone = std::move(record.live);
  timers_.erase({record.timer, &record});
  records_.erase(std::string(record.key));
  for (const auto& function : gone->when_gone) function();
}

absl::Duration JobManagerImpl::NextDeadline(const LiveAttempt& attempt) const {
  if (attempt.ended) return attempt.exit_deadline;
  if (attempt.process == LiveAttempt::Process::kGone) return attempt.drain_deadline;
  if (attempt.stop.has_value()) return attempt.stop->next_stage_time;
  const absl::Duration silence = attempt.session != 0
                                     ? attempt.last_heard + options_.silence_timeout
                                     : absl::InfiniteDuration();
  return std::min(
      {silence, attempt.start_deadline, attempt.reconnect_deadline, attempt.time_limit_deadline});
}

void JobManagerImpl::SetTimer(JobRecord& record) {
  absl::Duration next = absl::InfiniteDuration();
  if (record.live != nullptr) {
    const LiveJob& live = *record.live;
    next = std::min(live.retry_store_time, live.log_flush_time);
    if (live.attempt != nullptr) next = std::min(next, NextDeadline(*live.attempt));
  }
  // A timer that fires too early costs less than moving it with every message of a worker.
  if (next >= record.timer) return;
  timers_.erase({record.timer, &record});
  record.timer = next;
  timers_.insert({next, &record});
  runtime_->WakeAt(next);
}

}  // namespace trainyard
