// What the parts of the client share. Included by client/cpp/*.cc only: it needs gRPC.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <stop_token>

#include "client/cpp/client.h"
#include "trainyard/v1/dataset_service.grpc.pb.h"
#include "trainyard/v1/job_service.grpc.pb.h"
#include "trainyard/v1/model_service.grpc.pb.h"
#include "trainyard/v1/server_service.grpc.pb.h"

namespace trainyard {

// `status` with its google.rpc details as payloads.
absl::Status FromGrpc(const grpc::Status& status);

struct Client::Impl {
  ClientOptions options;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::ServerService::Stub> server;
  std::unique_ptr<v1::JobService::Stub> jobs;
  std::unique_ptr<v1::DatasetService::Stub> datasets;
  std::unique_ptr<v1::ModelService::Stub> models;

  // Waits for `wait`, or less long when the connection was lost and is made again meanwhile; until
  // `stop` at most. Returns whether it was not stopped.
  bool WaitForServer(absl::Duration wait, const std::stop_token& stop = {}) const;

  // Makes one unary call within `call_timeout`; repeats it after UNAVAILABLE when `repeatable`.
  template <class Stub, class Request, class Response>
  absl::StatusOr<Response> Call(Stub& stub,
                                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                                const Request& request, bool repeatable) {
    const absl::Time deadline = absl::Now() + options.call_timeout;
    Response response;
    auto attempt = [&] {
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(deadline));
      response.Clear();
      return FromGrpc((stub.*method)(&context, request, &response));
    };
    const absl::Status status =
        repeatable ? RetryUnavailable(options.retry, deadline, Waiter(), attempt) : attempt();
    if (!status.ok()) return status;
    return response;
  }

  int64_t CommittedBytes(const v1::UploadDatasetHeader& header);

  // Repeats a whole transfer that answered UNAVAILABLE, without a deadline.
  absl::Status RepeatTransfer(const std::function<absl::Status()>& attempt) const {
    return RetryUnavailable(options.retry, absl::InfiniteFuture(), Waiter(), attempt);
  }

 private:
  std::function<void(absl::Duration)> Waiter() const {
    return [this](absl::Duration wait) { WaitForServer(wait); };
  }
};

}  // namespace trainyard
