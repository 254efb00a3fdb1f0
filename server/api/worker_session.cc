#include "server/api/worker_session.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include <utility>

namespace trainyard {
namespace {

absl::Status ProtocolError(std::string_view problem) {
  return WithReason(absl::InvalidArgumentError(absl::string_view(problem.data(), problem.size())),
                    "WORKER_PROTOCOL");
}

}  // namespace

WorkerSession::Reactor* WorkerSession::Start(JobManager& jobs, CallRecord record) {
  auto session = std::make_shared<WorkerSession>(jobs, record);
  session->self_ = session;
  session->StartRead(&session->incoming_);
  return session.get();
}

WorkerSession::WorkerSession(JobManager& jobs, const CallRecord& record)
    : jobs_(jobs), record_(record) {}

void WorkerSession::OnReadDone(bool ok) {
  if (!ok) return Close(absl::OkStatus());
  v1::WorkerMessage message;
  grpc::ByteBuffer bytes = std::move(incoming_);
  incoming_.Clear();
  const bool parsed =
      grpc::SerializationTraits<v1::WorkerMessage>::Deserialize(&bytes, &message).ok();
  const absl::Status status =
      parsed ? Take(std::move(message)) : ProtocolError("the bytes received are no WorkerMessage");
  if (!status.ok()) {
    protocol_error_ = absl::IsInvalidArgument(status);
    return Close(status);
  }
  MutexLock lock(&mutex_);
  if (!ended_) StartRead(&incoming_);
}

absl::Status WorkerSession::Take(v1::WorkerMessage message) {
  if (session_ == kNoSession) {
    if (!message.has_hello()) return ProtocolError("a session must begin with Hello");
    return Open(message.hello());
  }
  switch (message.message_case()) {
    case v1::WorkerMessage::kEvents:
      return jobs_.OnEvents(session_, std::move(*message.mutable_events()));
    case v1::WorkerMessage::kFinished:
      return jobs_.OnFinished(session_, std::move(*message.mutable_finished()));
    case v1::WorkerMessage::kAlive:
      jobs_.OnAlive(session_, message.alive());
      return absl::OkStatus();
    case v1::WorkerMessage::kHello:
      return ProtocolError("Hello was sent twice in a session");
    case v1::WorkerMessage::MESSAGE_NOT_SET:
      return ProtocolError("an empty message was sent");
  }
  return ProtocolError("an unknown message was sent");
}

absl::Status WorkerSession::Open(const v1::Hello& hello) {
  const auto session = jobs_.OpenSession(hello, shared_from_this());
  if (session.ok()) session_ = *session;
  return session.status();
}

void WorkerSession::Send(v1::ServerMessage message) {
  MutexLock lock(&mutex_);
  if (closing_ || ended_) return;
  // An acknowledgement includes all before it: the queue of a worker that does not read stays
  // short.
  if (message.has_ack() && !outgoing_.empty() && outgoing_.back().has_ack()) {
    outgoing_.back() = std::move(message);
  } else {
    outgoing_.push_back(std::move(message));
  }
  Advance();
}

void WorkerSession::Close(absl::Status status) {
  MutexLock lock(&mutex_);
  if (closing_ || ended_) return;
  closing_ = true;
  status_ = std::move(status);
  if (!status_.ok()) outgoing_.clear();
  Advance();
}

void WorkerSession::Advance() {
  if (writing_ || ended_) return;
  if (!outgoing_.empty()) {
    writing_ = true;
    const grpc::Slice slice(outgoing_.front().SerializeAsString());
    outgoing_.pop_front();
    writing_bytes_ = grpc::ByteBuffer(&slice, 1);
    StartWrite(&writing_bytes_);
    return;
  }
  if (!closing_) return;
  ended_ = true;
  FinishCall(*this, record_, status_);
}

void WorkerSession::OnWriteDone(bool ok) {
  MutexLock lock(&mutex_);
  writing_ = false;
  if (!ok) {
    outgoing_.clear();
    if (!closing_) status_ = CallCancelledError();
    closing_ = true;
  }
  Advance();
}

void WorkerSession::OnCancel() { Close(CallCancelledError()); }

void WorkerSession::OnDone() {
  if (session_ != kNoSession) jobs_.OnClosed(session_, protocol_error_);
  self_.reset();
}

}  // namespace trainyard
