// The same calls without anything behind them: what gRPC itself costs on this machine.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>

namespace trainyard {

// Answers ServerService.GetServerInfo with an empty message, streams `events` messages of one event
// each for JobService.WatchJob (as many as `from_sequence` says), reads what
// DatasetService.UploadDataset sends without looking at it, and calls `on_create`, one call at a
// time, before it answers JobService.CreateJob.
class FloorServer {
 public:
  explicit FloorServer(std::function<void()> on_create = [] {});
  ~FloorServer();
  std::shared_ptr<grpc::Channel> channel() const;
  const std::string& address() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trainyard
