#include "server/api/watch_reactor.h"

#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "trainyard/v1/job_service.pb.h"

namespace trainyard {
namespace {

constexpr int64_t kMaxBatchBytes = 256 << 10;

// A message that shares `bytes`.
grpc::ByteBuffer Share(const std::shared_ptr<const std::string>& bytes) {
  auto* owner = new std::shared_ptr<const std::string>(bytes);
  const grpc::Slice slice(
      const_cast<char*>(bytes->data()), bytes->size(),
      [](void* data) { delete static_cast<std::shared_ptr<const std::string>*>(data); }, owner);
  return grpc::ByteBuffer(&slice, 1);
}

grpc::ByteBuffer Heartbeat(int64_t newest_sequence) {
  v1::WatchJobResponse response;
  response.set_newest_sequence(newest_sequence);
  const grpc::Slice slice(response.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

}  // namespace

grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchReactor::Start(
    WorkerPool& pool, CallRecord record, absl::Duration heartbeat_interval,
    std::unique_ptr<EventReader> reader) {
  auto reactor =
      std::make_shared<WatchReactor>(pool, record, heartbeat_interval, std::move(reader));
  reactor->self_ = reactor;
  MutexLock lock(&reactor->mutex_);
  reactor->SetAlarm();
  reactor->ReadSoon();
  return reactor.get();
}

WatchReactor::WatchReactor(WorkerPool& pool, const CallRecord& record,
                           absl::Duration heartbeat_interval, std::unique_ptr<EventReader> reader)
    : pool_(pool),
      record_(record),
      heartbeat_interval_(heartbeat_interval),
      reader_(std::move(reader)),
      last_write_(absl::Now()) {}

void WatchReactor::ReadSoon() {
  state_ = State::kReading;
  ready_ = false;
  pool_.Submit([self = shared_from_this()] { self->Read(); });
}

void WatchReactor::Read() {
  const absl::StatusOr<EventBatch> batch = reader_->Next(kMaxBatchBytes);
  const bool empty = batch.ok() && batch->response == nullptr && !batch->last;
  if (empty) {
    // The reader must not be used by two threads: what it calls meanwhile only sets `ready_`.
    reader_->NotifyWhenReady([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->OnReady();
    });
  }
  MutexLock lock(&mutex_);
  if (cancelled_) return End(CallCancelledError());
  if (!batch.ok()) return End(batch.status());
  newest_sequence_ = batch->newest_sequence;
  if (empty) {
    if (ready_) return ReadSoon();
    state_ = State::kIdle;
    return;
  }
  if (batch->response == nullptr) return End(absl::OkStatus());
  last_ = batch->last;
  Write(Share(batch->response));
}

void WatchReactor::Write(const grpc::ByteBuffer& message) {
  state_ = State::kWriting;
  message_ = message;
  last_write_ = absl::Now();
  StartWrite(&message_);
}

void WatchReactor::OnWriteDone(bool ok) {
  MutexLock lock(&mutex_);
  message_.Clear();
  if (!ok || cancelled_) return End(CallCancelledError());
  if (last_) return End(absl::OkStatus());
  ReadSoon();
}

void WatchReactor::OnReady() {
  MutexLock lock(&mutex_);
  ready_ = true;
  if (state_ == State::kIdle) ReadSoon();
}

void WatchReactor::SetAlarm() {
  alarm_ = std::make_unique<grpc::Alarm>();
  alarm_->Set(absl::ToChronoTime(last_write_ + heartbeat_interval_),
              [weak = weak_from_this()](bool expired) {
                if (!expired) return;
                if (const auto self = weak.lock()) self->OnAlarm();
              });
}

void WatchReactor::OnAlarm() {
  MutexLock lock(&mutex_);
  if (state_ == State::kEnded) return;
  const bool silent = absl::Now() - last_write_ >= heartbeat_interval_;
  if (silent && state_ == State::kIdle) Write(Heartbeat(newest_sequence_));
  // A write that takes longer than the interval needs no heartbeat behind it.
  if (silent) last_write_ = absl::Now();
  SetAlarm();
}

void WatchReactor::OnCancel() {
  MutexLock lock(&mutex_);
  cancelled_ = true;
  if (state_ == State::kIdle) End(CallCancelledError());
}

void WatchReactor::End(const absl::Status& status) {
  state_ = State::kEnded;
  FinishCall(*this, record_, status);
}

void WatchReactor::OnDone() {
  // The reader waits for a call of OnReady that is running: not under the lock.
  reader_.reset();
  std::unique_ptr<grpc::Alarm> alarm;
  {
    MutexLock lock(&mutex_);
    alarm = std::move(alarm_);
  }
  alarm.reset();
  self_.reset();
}

}  // namespace trainyard
