// Plays a worker process over the WorkerService.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/server/api/test_server.h"

namespace trainyard {

class WorkerPlayer {
 public:
  explicit WorkerPlayer(TestServer& server);
  ~WorkerPlayer();

  // Opens a session; `token` may be empty once it was shown.
  void Hello(const std::string& attempt, const std::string& token, const std::string& key = "key");
  void Send(const v1::WorkerMessage& message) { stream_->Write(message); }
  // Sends `events` from `first_sequence` on and waits until they are acknowledged.
  void SendEvents(int64_t first_sequence, const std::vector<v1::JobEvent>& events);
  // The next message of the server; one without content when the stream has ended.
  v1::ServerMessage Read();
  // Reads until a message of this kind comes.
  v1::ServerMessage ReadUntil(v1::ServerMessage::MessageCase kind);
  // Ends the session from this side; how the server ended it.
  grpc::Status Finish();
  // Cuts the connection.
  void Drop();

  grpc::Status UploadArtifact(const v1::ArtifactHeader& header, std::string_view bytes,
                              v1::UploadArtifactResponse& response);

 private:
  std::unique_ptr<v1::WorkerService::Stub> stub_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerMessage, v1::ServerMessage>> stream_;
};

// An event with one metric point.
v1::JobEvent MetricEvent(std::string_view name, int64_t step, double value);

// Runs `job`, which is queued or being started, to its end as a worker does, with the real
// algorithm. Returns the finished job.
v1::Job TrainAsWorker(TestServer& server, const std::string& job);

// Uploads `table` and has hierarchical shrinkage learn its column `target` in a job of this id; the
// column `empty`, which no model can use, is left out. Returns the model's name.
std::string TrainModel(TestServer& server, const std::string& job_id,
                       const std::string& table = SmallTable());

}  // namespace trainyard
