#include "server/worker/session.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "server/worker/process_usage.h"

namespace trainyard {
namespace {

// Whether the server meant what it said: another connection would get the same answer.
bool IsRefusal(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kUnimplemented:
      return true;
    default:
      return false;
  }
}

}  // namespace

v1::WorkerMessage MakeAlive() {
  v1::WorkerMessage message;
  message.mutable_alive()->set_memory_bytes(ResidentBytes());
  message.mutable_alive()->set_cpu_seconds(CpuSeconds());
  return message;
}

Session::Session(const Options& options, Handlers handlers, ServerConnection& connection,
                 EventBuffer& events)
    : options_(options), handlers_(std::move(handlers)), connection_(connection), events_(events) {}

Session::End Session::Run() {
  absl::Duration lost_since = options_.clock->Monotonic();
  absl::Duration pause = options_.first_pause;
  while (true) {
    const auto stream = connection_.OpenSession();
    const StreamEnd end = RunStream(*stream);
    last_status_ = stream->Finish();
    if (end == StreamEnd::kFinished) return End::kFinished;
    if (IsRefusal(last_status_)) return End::kRefused;
    if (assigned_) {
      lost_since = options_.clock->Monotonic();
      pause = options_.first_pause;
    }
    if (options_.clock->Monotonic() + pause - lost_since > options_.give_up_after) {
      return End::kServerGone;
    }
    std::this_thread::sleep_for(absl::ToChronoNanoseconds(pause));
    pause = std::min(2 * pause, options_.longest_pause);
  }
}

v1::WorkerMessage Session::MakeHello() const {
  v1::WorkerMessage message;
  v1::Hello& hello = *message.mutable_hello();
  hello.set_attempt(options_.attempt);
  if (!known_) hello.set_token(options_.token);
  hello.set_session_key(options_.session_key);
  hello.set_version(options_.version);
  hello.set_pid(getpid());
  return message;
}

Session::StreamEnd Session::RunStream(SessionStream& stream) {
  assigned_ = false;
  events_.Pause();
  if (!stream.Write(MakeHello())) return StreamEnd::kLost;
  std::atomic<bool> stop = false;
  StreamEnd end = StreamEnd::kLost;
  std::thread writer([&] { WriteMessages(stream, stop); });
  ReadMessages(stream, end);
  stop = true;
  events_.Interrupt();
  // A stream that the server ended keeps its status, which a cancellation could replace.
  if (end == StreamEnd::kFinished) stream.Cancel();
  writer.join();
  return end;
}

void Session::ReadMessages(SessionStream& stream, StreamEnd& end) {
  v1::ServerMessage message;
  while (stream.Read(message)) {
    switch (message.message_case()) {
      case v1::ServerMessage::kAssignment:
        OnAssignment(std::move(*message.mutable_assignment()));
        break;
      case v1::ServerMessage::kAck:
        // It is stored that this worker has the job: the session key alone will do.
        known_ = true;
        events_.Acknowledge(message.ack().sequence());
        break;
      case v1::ServerMessage::kCancel:
        handlers_.on_cancel();
        break;
      case v1::ServerMessage::kFinishedAck:
        end = StreamEnd::kFinished;
        handlers_.on_stored();
        return;
      case v1::ServerMessage::MESSAGE_NOT_SET:
        break;
    }
  }
}

void Session::OnAssignment(v1::Assignment assignment) {
  const bool first = !std::exchange(has_assignment_, true);
  known_ = known_ || assignment.acknowledged_sequence() > 0;
  const bool cancelled = assignment.cancelled();
  assigned_ = true;
  events_.Rewind(assignment.acknowledged_sequence());
  events_.Interrupt();
  if (first) handlers_.on_assignment(std::move(assignment));
  if (cancelled) handlers_.on_cancel();
}

void Session::WriteMessages(SessionStream& stream, const std::atomic<bool>& stop) {
  Clock& clock = *options_.clock;
  absl::Duration last_written = clock.Monotonic();
  bool good = true;
  while (good && !stop) {
    {
      MutexLock lock(&garbage_mutex_);
      if (garbage_wanted_ && assigned_) {
        garbage_wanted_ = false;
        good = stream.WriteGarbage();
        continue;
      }
    }
    if (const auto message = events_.Take()) {
      good = stream.Write(*message);
      last_written = clock.Monotonic();
      continue;
    }
    const absl::Duration to_alive = last_written + options_.alive_interval - clock.Monotonic();
    if (to_alive <= absl::ZeroDuration()) {
      good = stream.Write(MakeAlive());
      last_written = clock.Monotonic();
    } else {
      events_.Wait(to_alive);
    }
  }
}

void Session::WriteGarbage() {
  MutexLock lock(&garbage_mutex_);
  garbage_wanted_ = true;
  events_.Interrupt();
  garbage_mutex_.Await(
      [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(garbage_mutex_) { return !garbage_wanted_; });
}

}  // namespace trainyard
