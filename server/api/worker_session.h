// The server side of one worker's session.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <deque>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "core/base/mutex.h"
#include "server/api/call.h"
#include "server/scheduler/job_manager.h"
#include "trainyard/v1/worker_service.pb.h"

namespace trainyard {

// Passes a worker's messages to the job manager in their order, and the manager's back. Messages
// are parsed here, so that bytes which are no message end the session with a clear error and are
// told to the manager as a breach of the protocol. Owns itself; the manager holds it as its link.
class WorkerSession final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                            public WorkerLink,
                            public std::enable_shared_from_this<WorkerSession> {
 public:
  using Reactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

  static Reactor* Start(JobManager& jobs, CallRecord record);

  WorkerSession(JobManager& jobs, const CallRecord& record);

  void Send(v1::ServerMessage message) override;
  void Close(absl::Status status) override;

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  static constexpr int64_t kNoSession = -1;

  absl::Status Take(v1::WorkerMessage message);
  absl::Status Open(const v1::Hello& hello);
  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  JobManager& jobs_;
  const CallRecord record_;
  std::shared_ptr<WorkerSession> self_;
  grpc::ByteBuffer incoming_;
  // Used by OnReadDone and OnDone only, which never run at the same time.
  int64_t session_ = kNoSession;
  bool protocol_error_ = false;

  Mutex mutex_;
  std::deque<v1::ServerMessage> outgoing_ ABSL_GUARDED_BY(mutex_);
  grpc::ByteBuffer writing_bytes_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trainyard
