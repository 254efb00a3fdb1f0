#include "server/scheduler/job_event_log.h"

#include <algorithm>
#include <iterator>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/wire_format_lite.h"
#include "server/scheduler/job_state.h"
#include "trainyard/v1/job_service.pb.h"

namespace trainyard {
namespace {

using google::protobuf::internal::WireFormatLite;

// Catalogue reads by readers that are behind the memory window.
constexpr int kMaxStoredEventsPerRead = 4096;

bool EndsJob(const v1::JobEvent& event) {
  return event.has_state_change() && IsEndState(event.state_change().to());
}

// Appends one element of the field `events` of a serialised v1::WatchJobResponse. A serialised
// message may be put together from parts.
void AppendEvent(const v1::JobEvent& event, std::string& response) {
  google::protobuf::io::StringOutputStream stream(&response);
  google::protobuf::io::CodedOutputStream output(&stream);
  WireFormatLite::WriteTag(v1::WatchJobResponse::kEventsFieldNumber,
                           WireFormatLite::WIRETYPE_LENGTH_DELIMITED, &output);
  output.WriteVarint32(static_cast<uint32_t>(event.ByteSizeLong()));
  event.SerializeWithCachedSizes(&output);
}

void AppendNewest(int64_t newest, std::string& response) {
  google::protobuf::io::StringOutputStream stream(&response);
  google::protobuf::io::CodedOutputStream output(&stream);
  WireFormatLite::WriteInt64(v1::WatchJobResponse::kNewestSequenceFieldNumber, newest, &output);
}

}  // namespace

// Reads one job's log. Holds its position only.
class JobEventReader : public EventReader {
 public:
  JobEventReader(std::shared_ptr<JobEventLog> log, int64_t next)
      : log_(std::move(log)), waiter_(std::make_shared<JobEventLog::Waiter>()), next_(next) {}

  ~JobEventReader() override {
    {
      MutexLock lock(&log_->mutex_);
      std::erase(log_->waiters_, waiter_);
    }
    waiter_->CancelAndWait();
  }

  absl::StatusOr<EventBatch> Next(int64_t max_bytes) override {
    EventBatch batch;
    JobEventLog::Batch shared;
    {
      MutexLock lock(&log_->mutex_);
      if (!log_->closed_.ok()) return log_->closed_;
      batch.newest_sequence = log_->newest_;
      batch.last = log_->ended_ && next_ > log_->newest_;
      if (next_ > log_->shown_) return batch;
      if (const JobEventLog::Batch* found = log_->Find(next_)) shared = *found;
      batch.last = log_->ended_ && shared.last_sequence == log_->newest_;
    }
    if (shared.response == nullptr) return ReadStored(max_bytes);
    if (shared.first_sequence == next_ &&
        static_cast<int64_t>(shared.response->size()) <= max_bytes) {
      next_ = shared.last_sequence + 1;
      batch.response = std::move(shared.response);
      return batch;
    }
    v1::WatchJobResponse whole;
    if (!whole.ParseFromString(*shared.response)) {
      return absl::InternalError("an event batch in memory cannot be parsed");
    }
    return Pack(whole.events(), max_bytes, batch.newest_sequence);
  }

  void NotifyWhenReady(std::function<void()> ready) override {
    bool at_once = false;
    {
      MutexLock lock(&log_->mutex_);
      at_once = !log_->closed_.ok() || log_->ReadyAt(next_);
      MutexLock waiter_lock(&waiter_->mutex);
      waiter_->ready = std::move(ready);
      if (!at_once && std::find(log_->waiters_.begin(), log_->waiters_.end(), waiter_) ==
                          log_->waiters_.end()) {
        log_->waiters_.push_back(waiter_);
      }
    }
    if (at_once) waiter_->Fire();
  }

 private:
  absl::StatusOr<EventBatch> ReadStored(int64_t max_bytes) {
    auto events =
        log_->logs_->catalogue_->ReadEvents(log_->job_, next_, kMaxStoredEventsPerRead, max_bytes);
    if (!events.ok()) return events.status();
    if (events->empty()) {
      return absl::NotFoundError(absl::StrCat("events of job ", log_->job_.ToString(),
                                              " from sequence ", next_,
                                              " on are gone: the job was deleted"));
    }
    return Pack(*events, max_bytes, log_->newest_sequence());
  }

  // A batch of the events from `next_` on, as many as fit.
  template <typename Events>
  EventBatch Pack(const Events& events, int64_t max_bytes, int64_t newest) {
    EventBatch batch;
    std::string response;
    for (const v1::JobEvent& event : events) {
      if (event.sequence() < next_) continue;
      const int64_t size = static_cast<int64_t>(event.ByteSizeLong()) + 8;
      if (!response.empty() && static_cast<int64_t>(response.size()) + size > max_bytes) break;
      AppendEvent(event, response);
      next_ = event.sequence() + 1;
      batch.last = EndsJob(event);
    }
    batch.newest_sequence = std::max(newest, next_ - 1);
    AppendNewest(batch.newest_sequence, response);
    batch.response = std::make_shared<const std::string>(std::move(response));
    return batch;
  }

  const std::shared_ptr<JobEventLog> log_;
  const std::shared_ptr<JobEventLog::Waiter> waiter_;
  int64_t next_;
};

void JobEventLog::Waiter::Fire() {
  std::function<void()> callback;
  {
    MutexLock lock(&mutex);
    if (ready == nullptr) return;
    callback = std::exchange(ready, nullptr);
    running.push_back(std::this_thread::get_id());
  }
  callback();
  MutexLock lock(&mutex);
  running.erase(std::find(running.begin(), running.end(), std::this_thread::get_id()));
}

void JobEventLog::Waiter::CancelAndWait() {
  MutexLock lock(&mutex);
  ready = nullptr;
  // A reader may be destroyed by its own callback. The condition runs on whichever thread unlocks.
  const std::thread::id self = std::this_thread::get_id();
  const auto nobody_else = [this, self]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return std::all_of(running.begin(), running.end(),
                       [self](std::thread::id thread) { return thread == self; });
  };
  mutex.Await(nobody_else);
}

JobEventLog::JobEventLog(JobName job, int64_t newest_sequence, bool ended,
                         std::shared_ptr<EventLogs> logs)
    : job_(std::move(job)),
      logs_(std::move(logs)),
      newest_(newest_sequence),
      shown_(newest_sequence),
      ended_(ended) {}

JobEventLog::~JobEventLog() { logs_->Forget(job_.ToString(), this); }

absl::Duration JobEventLog::Publish(std::span<const v1::JobEvent> events, absl::Duration now) {
  const EventLogs::Options& options = logs_->options_;
  absl::Duration flush_time = absl::InfiniteDuration();
  {
    MutexLock lock(&mutex_);
    bool urgent = false;
    for (const v1::JobEvent& event : events) {
      if (open_.empty()) open_first_ = event.sequence();
      AppendEvent(event, open_);
      newest_ = event.sequence();
      urgent = urgent || event.has_state_change();
      ended_ = ended_ || EndsJob(event);
      if (static_cast<int64_t>(open_.size()) >= options.batch_bytes) Seal(now);
    }
    if (!open_.empty()) {
      if (urgent || now - last_shown_ >= options.packing_interval) {
        Seal(now);
      } else {
        flush_time = last_shown_ + options.packing_interval;
      }
    }
  }
  logs_->Account(this);
  return flush_time;
}

void JobEventLog::Flush(absl::Duration now) {
  {
    MutexLock lock(&mutex_);
    if (open_.empty()) return;
    Seal(now);
  }
  logs_->Account(this);
}

void JobEventLog::Seal(absl::Duration now) {
  AppendNewest(newest_, open_);
  open_.shrink_to_fit();
  batch_bytes_ += static_cast<int64_t>(open_.size());
  batches_.push_back(
      {open_first_, newest_, std::make_shared<const std::string>(std::exchange(open_, {}))});
  while (batch_bytes_ > logs_->options_.job_bytes && batches_.size() > 1) {
    batch_bytes_ -= static_cast<int64_t>(batches_.front().response->size());
    batches_.pop_front();
  }
  shown_ = newest_;
  last_shown_ = now;
  WakeReaders();
}

void JobEventLog::WakeReaders() {
  if (waiters_.empty()) return;
  logs_->notify_([waiters = std::exchange(waiters_, {})] {
    for (const auto& waiter : waiters) waiter->Fire();
  });
}

void JobEventLog::Close(absl::Status status) {
  MutexLock lock(&mutex_);
  if (!closed_.ok()) return;
  closed_ = std::move(status);
  WakeReaders();
}

std::unique_ptr<EventReader> JobEventLog::NewReader(int64_t from_sequence) {
  return std::make_unique<JobEventReader>(shared_from_this(), std::max<int64_t>(1, from_sequence));
}

int64_t JobEventLog::newest_sequence() const {
  MutexLock lock(&mutex_);
  return newest_;
}

int64_t JobEventLog::memory_bytes() const {
  MutexLock lock(&mutex_);
  return batch_bytes_;
}

int64_t JobEventLog::DropMemory() {
  MutexLock lock(&mutex_);
  batches_.clear();
  return std::exchange(batch_bytes_, 0);
}

bool JobEventLog::ReadyAt(int64_t sequence) const {
  return sequence <= shown_ || (ended_ && sequence > newest_);
}

const JobEventLog::Batch* JobEventLog::Find(int64_t sequence) const {
  if (batches_.empty() || sequence < batches_.front().first_sequence) return nullptr;
  auto after = std::upper_bound(
      batches_.begin(), batches_.end(), sequence,
      [](int64_t value, const Batch& batch) { return value < batch.first_sequence; });
  return &*std::prev(after);
}

}  // namespace trainyard
