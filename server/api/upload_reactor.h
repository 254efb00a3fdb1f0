// A client stream whose messages are stored one after another by work that may block.
#pragma once

#include <deque>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "core/base/mutex.h"
#include "server/api/call.h"

namespace trainyard {

// Takes the messages. Called by one thread at a time. Destroying it before Finish has answered OK
// leaves nothing behind.
template <class Request, class Response>
class MessageSink {
 public:
  virtual ~MessageSink() = default;
  virtual absl::Status Accept(Request& message) = 0;
  // After the last message.
  virtual absl::StatusOr<Response> Finish() = 0;
};

// Gives the messages to `sink` on threads of `pool`, its Finish on one of `finish_pool`. One
// message is read while the one before is stored; no more are buffered. A cut or cancelled call
// destroys the sink. Owns itself.
template <class Request, class Response>
class UploadReactor final : public grpc::ServerReadReactor<Request>,
                            public std::enable_shared_from_this<UploadReactor<Request, Response>> {
 public:
  using Sink = MessageSink<Request, Response>;

  static grpc::ServerReadReactor<Request>* Start(WorkerPool& pool, WorkerPool& finish_pool,
                                                 CallRecord record, std::unique_ptr<Sink> sink,
                                                 Response* response) {
    auto reactor = std::make_shared<UploadReactor>(pool, finish_pool, record, response);
    reactor->self_ = reactor;
    reactor->sink_ = std::move(sink);
    MutexLock lock(&reactor->mutex_);
    reactor->Advance();
    return reactor.get();
  }

  UploadReactor(WorkerPool& pool, WorkerPool& finish_pool, const CallRecord& record,
                Response* response)
      : pool_(pool), finish_pool_(finish_pool), record_(record), response_(response) {}

  void OnReadDone(bool ok) override {
    MutexLock lock(&mutex_);
    reading_ = false;
    if (ok) {
      filled_.push_back(read_slot_);
    } else {
      no_more_ = true;
    }
    Advance();
  }
  void OnCancel() override {
    MutexLock lock(&mutex_);
    if (error_.ok()) error_ = CallCancelledError();
    Advance();
  }
  void OnDone() override { self_.reset(); }

 private:
  static constexpr int kSlots = 2;
  static constexpr int kStoredAtOnce = 16;

  // Starts whatever can be done now.
  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (ended_) return;
    if (!storing_ && !error_.ok()) return End(error_);
    if (!storing_ && !filled_.empty()) {
      storing_ = true;
      pool_.Submit([self = this->shared_from_this()] { self->StoreSome(); });
    } else if (!storing_ && no_more_) {
      storing_ = true;
      finish_pool_.Submit([self = this->shared_from_this()] { self->FinishSink(); });
    }
    ReadNext();
  }

  // Reads into the slot that is free, if one is.
  void ReadNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const bool may_read = error_.ok() && !no_more_ && !reading_;
    if (!may_read || static_cast<int>(filled_.size()) == kSlots) return;
    reading_ = true;
    read_slot_ = filled_.empty() ? 0 : 1 - filled_.front();
    this->StartRead(&slots_[read_slot_]);
  }

  void StoreSome() {
    MutexLock lock(&mutex_);
    // A message that came meanwhile is stored without another trip through the pool, unless others
    // have waited for this thread long enough.
    for (int stored = 0; stored < kStoredAtOnce && !filled_.empty() && error_.ok(); ++stored) {
      const int slot = filled_.front();
      mutex_.Unlock();
      const absl::Status status = sink_->Accept(slots_[slot]);
      mutex_.Lock();
      filled_.pop_front();
      if (error_.ok()) error_ = status;
      ReadNext();
    }
    storing_ = false;
    Advance();
  }

  void FinishSink() {
    {
      MutexLock lock(&mutex_);
      if (!error_.ok()) return End(error_);
    }
    absl::StatusOr<Response> answer = sink_->Finish();
    const absl::Status status = answer.status();
    if (status.ok()) *response_ = *std::move(answer);
    MutexLock lock(&mutex_);
    End(status);
  }

  void End(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ended_ = true;
    // Removing what was stored touches the disk.
    pool_.Submit([sink = std::shared_ptr<Sink>(std::move(sink_))] {});
    FinishCall(*this, record_, status);
  }

  WorkerPool& pool_;
  WorkerPool& finish_pool_;
  const CallRecord record_;
  Response* const response_;
  std::unique_ptr<Sink> sink_;
  Request slots_[kSlots];
  Mutex mutex_;
  std::deque<int> filled_ ABSL_GUARDED_BY(mutex_);  // slots that wait to be stored, in order
  int read_slot_ ABSL_GUARDED_BY(mutex_) = 0;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool storing_ ABSL_GUARDED_BY(mutex_) = false;
  bool no_more_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<UploadReactor> self_;
};

}  // namespace trainyard
