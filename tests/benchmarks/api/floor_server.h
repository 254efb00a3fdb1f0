// The same calls without anything behind them: what gRPC itself costs on this machine.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

namespace trainyard {

// Answers ServerService.GetServerInfo with an empty message, streams `events` messages of one event
// each for JobService.WatchJob (as many as `from_sequence` says), and reads what
// DatasetService.UploadDataset sends without looking at it.
class FloorServer {
 public:
  FloorServer();
  ~FloorServer();
  std::shared_ptr<grpc::Channel> channel() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trainyard
