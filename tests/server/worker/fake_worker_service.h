// A WorkerService that one test scripts, served over a Unix socket.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/base/mutex.h"
#include "trainyard/v1/worker_service.grpc.pb.h"

namespace trainyard {

class FakeWorkerService : public v1::WorkerService::Service {
 public:
  using Stream = grpc::ServerReaderWriter<v1::ServerMessage, v1::WorkerMessage>;

  // --- What the test chooses.
  v1::Assignment assignment;
  grpc::Status hello_answer = grpc::Status::OK;  // anything else refuses
  bool acknowledge = true;                       // whether events are
  std::filesystem::path folder;                  // where checkpoints are stored

  // --- What the test sees. Events by worker sequence.
  struct Seen {
    std::vector<v1::Hello> hellos;
    std::map<int64_t, v1::JobEvent> events;
    std::map<std::string, std::string> files;
    int64_t checkpoint_count = 0;
    std::vector<v1::Finished> finished;
    int64_t gaps = 0;     // events that came before their predecessors
    int64_t resent = 0;   // events that came again
    int64_t garbage = 0;  // sessions whose bytes were no message
    int64_t alive = 0;
  };
  Seen seen() {
    MutexLock lock(&mutex_);
    return seen_;
  }
  bool WaitFor(std::function<bool(const Seen&)> condition) {
    MutexLock lock(&mutex_);
    const auto holds = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return condition(seen_); };
    return mutex_.AwaitWithTimeout(holds, absl::Seconds(20));
  }
  // When the first event came, since the last Forget.
  std::chrono::steady_clock::time_point first_event_time() {
    MutexLock lock(&mutex_);
    return first_event_time_;
  }
  // Another attempt begins.
  void Forget() {
    MutexLock lock(&mutex_);
    seen_ = Seen();
  }
  void SendCancel() {
    v1::ServerMessage message;
    message.mutable_cancel()->set_cause(v1::Attempt::END_CAUSE_CANCELLED);
    MutexLock lock(&mutex_);
    if (stream_ != nullptr) stream_->Write(message);
  }

  // --- Serving.
  void Start(const std::string& address) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  // Ends every call at once.
  void Stop() {
    server_->Shutdown(std::chrono::system_clock::now());
    server_.reset();
  }

  grpc::Status Session(grpc::ServerContext*, Stream* stream) override;
  grpc::Status UploadArtifact(grpc::ServerContext*,
                              grpc::ServerReader<v1::UploadArtifactRequest>* reader,
                              v1::UploadArtifactResponse* response) override;

 private:
  void OnEvents(const v1::WorkerEvents& events, Stream* stream);

  Mutex mutex_;
  Seen seen_;
  Stream* stream_ = nullptr;
  std::chrono::steady_clock::time_point first_event_time_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace trainyard
