// One API call: its measurement, and the short ways to answer it. Included by the services only: it
// needs gRPC.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <chrono>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/schema/violations.h"
#include "server/api/status_translation.h"
#include "server/api/worker_pool.h"
#include "server/telemetry/rpc_metrics.h"

namespace trainyard {

// Measures one call from its arrival to its answer.
class CallRecord {
 public:
  explicit CallRecord(RpcStats* stats) : stats_(stats), start_(std::chrono::steady_clock::now()) {
    stats_->OnStart();
  }
  void End(absl::StatusCode code) const {
    stats_->OnEnd(code, absl::FromChrono(std::chrono::steady_clock::now() - start_));
  }

 private:
  RpcStats* stats_;
  std::chrono::steady_clock::time_point start_;
};

// The answer to a call that the server has no capacity for now.
inline absl::Status OverloadedError() {
  return WithRetryDelay(
      WithReason(absl::UnavailableError("the server has more calls waiting than it takes"),
                 "SERVER_OVERLOADED"),
      1);
}

inline absl::Status CallCancelledError() { return absl::CancelledError("the caller cancelled"); }

// Finishes a unary call.
template <class Reactor>
void FinishCall(Reactor& reactor, const CallRecord& record, const absl::Status& status) {
  record.End(status.code());
  reactor.Finish(ToGrpcStatus(status));
}

template <class Reactor, class Response>
void FinishCall(Reactor& reactor, const CallRecord& record, absl::StatusOr<Response> answer,
                Response* response) {
  const absl::Status status = answer.status();
  if (status.ok()) *response = *std::move(answer);
  FinishCall(reactor, record, status);
}

// Answers a unary call at once, on gRPC's own thread: for work of microseconds.
template <class Response>
grpc::ServerUnaryReactor* AnswerNow(grpc::CallbackServerContext* context, CallRecord record,
                                    absl::StatusOr<Response> answer, Response* response) {
  auto* reactor = context->DefaultReactor();
  FinishCall(*reactor, record, std::move(answer), response);
  return reactor;
}

// Answers a unary call with what `work()`, an absl::StatusOr<Response>, gives on a thread of
// `pool`.
template <class Response, class Work>
grpc::ServerUnaryReactor* AnswerFrom(WorkerPool& pool, grpc::CallbackServerContext* context,
                                     CallRecord record, Response* response, Work work) {
  auto* reactor = context->DefaultReactor();
  const bool taken =
      pool.TrySubmit([context, record, response, reactor, work = std::move(work)]() mutable {
        if (context->IsCancelled()) return FinishCall(*reactor, record, CallCancelledError());
        FinishCall(*reactor, record, absl::StatusOr<Response>(work()), response);
      });
  if (!taken) FinishCall(*reactor, record, OverloadedError());
  return reactor;
}

// A stream that ends with an error before it has begun.
template <class Reactor>
class FailedStream final : public Reactor {
 public:
  FailedStream(const CallRecord& record, const absl::Status& status) {
    FinishCall(*this, record, status);
  }
  void OnDone() override { delete this; }
};

}  // namespace trainyard
