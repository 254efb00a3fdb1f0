// Client::WatchJob: one stream at a time, each beginning after the last event delivered.
#include <algorithm>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cpp/client_impl.h"

namespace trainyard {
namespace {

bool IsEndState(v1::Job::State state) {
  return state == v1::Job::STATE_SUCCEEDED || state == v1::Job::STATE_FAILED ||
         state == v1::Job::STATE_CANCELLED;
}

// Whether an error means that the connection or the server went away, not that it refused.
bool IsLostConnection(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsCancelled(status) ||
         absl::StrContains(status.message(), "RST_STREAM") ||
         (absl::IsUnknown(status) && absl::StrContains(status.message(), "Stream removed"));
}

// Where a watch stands across its streams.
struct Position {
  int64_t next = 1;
  std::optional<v1::Job::State> end;
  absl::Time last_heard;
  bool heard = false;           // whether the current stream brought anything
  absl::Status callback_error;  // the reader of the events ends the watch
};

// Delivers a batch. Returns false when the stream must be given up: a gap, or a callback error.
bool Deliver(const v1::WatchJobResponse& batch, const WatchOptions& options, Position& position) {
  for (const v1::JobEvent& event : batch.events()) {
    if (event.sequence() < position.next) continue;
    if (event.sequence() > position.next) return false;
    position.callback_error = options.on_event ? options.on_event(event) : absl::OkStatus();
    if (!position.callback_error.ok()) return false;
    ++position.next;
    if (event.has_state_change() && IsEndState(event.state_change().to())) {
      position.end = event.state_change().to();
    }
  }
  position.heard = true;
  position.last_heard = absl::Now();
  return true;
}

// One stream of a watch, read with a bound on silence.
class WatchStream {
 public:
  WatchStream(v1::JobService::Stub& stub, const std::string& name, int64_t from,
              const std::stop_token& stop)
      : cancel_on_stop_(stop, [this] { context_.TryCancel(); }) {
    v1::WatchJobRequest request;
    request.set_name(name);
    request.set_from_sequence(from);
    reader_ = stub.PrepareAsyncWatchJob(&context_, request, &queue_);
    reader_->StartCall(Tag());
  }

  ~WatchStream() {
    context_.TryCancel();
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  // Whether the stream was opened within `silence`.
  bool Open(absl::Duration silence) { return Await(silence); }

  // Reads the next batch; false when the stream ended, broke or was silent for too long.
  bool Read(v1::WatchJobResponse& batch, absl::Duration silence) {
    reader_->Read(&batch, Tag());
    return Await(silence);
  }

  absl::Status Finish() {
    if (silent_) return absl::UnavailableError("the server fell silent");
    grpc::Status status;
    reader_->Finish(&status, Tag());
    return Await(absl::Seconds(5)) ? FromGrpc(status)
                                   : absl::UnavailableError("the stream did not end");
  }

 private:
  void* Tag() { return this; }

  // Waits for the one operation under way; a silent stream is cancelled and its operation awaited,
  // because it writes into the caller's memory.
  bool Await(absl::Duration silence) {
    void* tag = nullptr;
    bool ok = false;
    const auto deadline = absl::ToChronoTime(absl::Now() + silence);
    if (queue_.AsyncNext(&tag, &ok, deadline) == grpc::CompletionQueue::GOT_EVENT) return ok;
    silent_ = true;
    context_.TryCancel();
    queue_.Next(&tag, &ok);
    return false;
  }

  grpc::CompletionQueue queue_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncReader<v1::WatchJobResponse>> reader_;
  bool silent_ = false;
  std::stop_callback<std::function<void()>> cancel_on_stop_;
};

// Follows one stream to its end; returns how it ended.
absl::Status FollowStream(v1::JobService::Stub& stub, const std::string& name,
                          const ClientOptions& client, const WatchOptions& options,
                          Position& position) {
  WatchStream stream(stub, name, position.next, options.stop);
  bool delivered = true;
  if (stream.Open(client.watch_silence)) {
    v1::WatchJobResponse batch;
    while (delivered && stream.Read(batch, client.watch_silence)) {
      delivered = Deliver(batch, options, position);
    }
  }
  if (!position.callback_error.ok()) return position.callback_error;
  if (!delivered) {
    return absl::UnavailableError(absl::StrCat("event ", position.next, " was left out"));
  }
  return stream.Finish();
}

}  // namespace

absl::StatusOr<v1::Job::State> Client::WatchJob(std::string_view name,
                                                const WatchOptions& options) {
  const std::string job(name);
  Backoff backoff(impl_->options.retry);
  Position position;
  position.next = std::max<int64_t>(1, options.from_sequence);
  position.last_heard = absl::Now();
  while (true) {
    position.heard = false;
    absl::Status status = FollowStream(*impl_->jobs, job, impl_->options, options, position);
    if (!position.callback_error.ok()) return position.callback_error;
    if (position.end.has_value()) return *position.end;
    if (options.stop.stop_requested()) return absl::CancelledError("the watch was stopped");
    if (status.ok()) {
      // Either the end lies before the first event asked for, or the stream broke off.
      const absl::StatusOr<v1::Job> state = GetJob(job);
      if (state.ok() && IsEndState(state->state()) && state->newest_sequence() < position.next) {
        return state->state();
      }
      if (!state.ok() && !absl::IsUnavailable(state.status())) return state.status();
      status = absl::UnavailableError("the stream ended before the job did");
    }
    if (!IsLostConnection(status)) return status;
    if (position.heard) backoff.Reset();
    if (absl::Now() - position.last_heard >= impl_->options.watch_give_up) {
      return absl::UnavailableError(absl::StrCat("lost the server: ", status.message()));
    }
    const absl::Duration wait = backoff.Next(RequestedDelay(status));
    if (options.on_reconnect) options.on_reconnect(status, wait);
    if (!impl_->WaitForServer(wait, options.stop)) {
      return absl::CancelledError("the watch was stopped");
    }
  }
}

}  // namespace trainyard
