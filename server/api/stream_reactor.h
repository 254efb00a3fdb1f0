// A server stream whose messages are made one after another by work that may block.
#pragma once

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "core/base/mutex.h"
#include "server/api/call.h"

namespace trainyard {

// Makes the messages. Called by one thread at a time.
template <class Message>
class MessageSource {
 public:
  virtual ~MessageSource() = default;
  // Fills in the next message; false at the end.
  virtual absl::StatusOr<bool> Next(Message& message) = 0;
};

// Writes what `source` makes on a thread of `pool`, one message at a time. A reader that does not
// read stops the source; a cancelled call ends it. Owns itself.
template <class Message>
class StreamReactor final : public grpc::ServerWriteReactor<Message>,
                            public std::enable_shared_from_this<StreamReactor<Message>> {
 public:
  // `open()` gives the source, an absl::StatusOr<std::unique_ptr<MessageSource<Message>>>, on a
  // thread of `pool`.
  template <class Open>
  static grpc::ServerWriteReactor<Message>* Start(WorkerPool& pool, CallRecord record, Open open) {
    auto reactor = std::make_shared<StreamReactor>(pool, record);
    reactor->self_ = reactor;
    const bool taken = pool.TrySubmit([reactor, open = std::move(open)]() mutable {
      auto source = open();
      if (!source.ok()) return reactor->End(source.status());
      reactor->source_ = *std::move(source);
      reactor->Step();
    });
    if (!taken) reactor->End(OverloadedError());
    return reactor.get();
  }

  StreamReactor(WorkerPool& pool, const CallRecord& record) : pool_(pool), record_(record) {}

  void OnWriteDone(bool ok) override {
    if (!ok) return End(CallCancelledError());
    pool_.Submit([self = this->shared_from_this()] { self->Step(); });
  }
  void OnCancel() override {
    MutexLock lock(&mutex_);
    cancelled_ = true;
  }
  void OnDone() override { self_.reset(); }

 private:
  void Step() {
    {
      MutexLock lock(&mutex_);
      if (cancelled_) return End(CallCancelledError());
    }
    message_.Clear();
    const absl::StatusOr<bool> more = source_->Next(message_);
    if (!more.ok() || !*more) return End(more.status());
    this->StartWrite(&message_);
  }

  void End(const absl::Status& status) {
    source_.reset();
    FinishCall(*this, record_, status);
  }

  WorkerPool& pool_;
  const CallRecord record_;
  std::unique_ptr<MessageSource<Message>> source_;
  Message message_;
  Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<StreamReactor> self_;
};

}  // namespace trainyard
