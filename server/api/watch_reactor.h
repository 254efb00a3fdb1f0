// The server side of one WatchJob call.
#pragma once

#include <grpcpp/alarm.h>
#include <grpcpp/support/byte_buffer.h>

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "core/base/mutex.h"
#include "server/api/call.h"
#include "server/scheduler/event_log.h"

namespace trainyard {

// Sends what `reader` gives, without copying it: all watchers of a job share the bytes. One write
// is outstanding at a time, so a watcher that does not read holds nothing but its position. After
// `heartbeat_interval` without a message an empty one is sent. Ends with OK after the event that
// ended the job. Owns itself.
class WatchReactor final : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                           public std::enable_shared_from_this<WatchReactor> {
 public:
  static grpc::ServerWriteReactor<grpc::ByteBuffer>* Start(WorkerPool& pool, CallRecord record,
                                                           absl::Duration heartbeat_interval,
                                                           std::unique_ptr<EventReader> reader);

  WatchReactor(WorkerPool& pool, const CallRecord& record, absl::Duration heartbeat_interval,
               std::unique_ptr<EventReader> reader);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  // Who acts next: a task of the pool, nobody until something happens, gRPC, or nobody ever.
  enum class State { kReading, kIdle, kWriting, kEnded };

  void Read();
  void OnReady();
  void OnAlarm();
  void SetAlarm() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReadSoon() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Write(const grpc::ByteBuffer& message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  WorkerPool& pool_;
  const CallRecord record_;
  const absl::Duration heartbeat_interval_;
  std::unique_ptr<EventReader> reader_;  // used in kReading only
  std::shared_ptr<WatchReactor> self_;

  Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kReading;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool ready_ ABSL_GUARDED_BY(mutex_) = true;  // the reader may have something
  bool last_ ABSL_GUARDED_BY(mutex_) = false;  // the message being written is the last
  int64_t newest_sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time last_write_ ABSL_GUARDED_BY(mutex_);
  grpc::ByteBuffer message_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Alarm> alarm_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trainyard
