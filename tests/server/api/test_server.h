// The API with a real store and job manager in this process, over real connections; the workers
// alone are played by the test.
#pragma once

#include <grpcpp/grpcpp.h>
#include <prometheus/registry.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "server/api/api_server.h"
#include "server/execution/executor.h"
#include "server/storage/testing/temp_store.h"
#include "trainyard/v1/dataset_service.grpc.pb.h"
#include "trainyard/v1/job_service.grpc.pb.h"
#include "trainyard/v1/model_service.grpc.pb.h"
#include "trainyard/v1/server_service.grpc.pb.h"
#include "trainyard/v1/worker_service.grpc.pb.h"

namespace trainyard {

// Starts nothing: keeps what a worker would be started with, for a test that plays it. A killed
// worker ends.
class PlayedExecutor final : public Executor {
 public:
  std::string_view name() const override { return "played"; }
  absl::StatusOr<std::string> Launch(const WorkerLaunch& launch, OnExit on_exit) override;
  absl::Status Adopt(const std::string& attempt, const std::string& process,
                     OnExit on_exit) override;
  void Terminate(const std::string& attempt) override;
  void Kill(const std::string& attempt) override;
  int64_t ProcessId(const std::string&) const override { return 1; }

  // The launch of an attempt; waits for it.
  WorkerLaunch WaitForLaunch(const std::string& attempt);
  // The worker's process ends.
  void Exit(const std::string& attempt, int exit_code);

 private:
  void End(const std::string& attempt, WorkerExit exit);

  std::mutex mutex_;
  std::condition_variable launched_;
  std::map<std::string, WorkerLaunch> launches_;
  std::map<std::string, OnExit> exits_;
  WorkerPool threads_{1, 1000};
};

class TestServer {
 public:
  struct Options {
    Slots capacity{2, 0, int64_t{1} << 30};
    int64_t max_queued_jobs = 100'000;
    int64_t max_dataset_bytes = int64_t{1} << 36;
    int64_t max_predict_bytes = 1 << 20;
    absl::Duration heartbeat_interval = absl::Seconds(15);
    bool enable_diagnostics = true;
    IngestTable ingest;  // reads tables in this process if empty
  };
  TestServer() : TestServer(Options()) {}
  explicit TestServer(const Options& options);
  ~TestServer();

  const std::string& address() const { return api_->address(); }
  std::string worker_address() const;
  ApiServer& api() { return *api_; }
  JobManager& manager() { return *jobs_; }
  TempStore& store() { return store_; }
  PlayedExecutor& executor() { return executor_; }
  std::shared_ptr<grpc::Channel> channel() { return channel_; }

  std::unique_ptr<v1::JobService::Stub> jobs() { return v1::JobService::NewStub(channel_); }
  std::unique_ptr<v1::DatasetService::Stub> datasets() {
    return v1::DatasetService::NewStub(channel_);
  }
  std::unique_ptr<v1::ModelService::Stub> models() { return v1::ModelService::NewStub(channel_); }
  std::unique_ptr<v1::ServerService::Stub> server() { return v1::ServerService::NewStub(channel_); }
  std::unique_ptr<v1::WorkerService::Stub> workers();

  // Files in the store that are no blobs that something refers to: what a failed upload left.
  int CountStrayFiles();

 private:
  TempStore store_;
  PlayedExecutor executor_;
  std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  RpcMetrics metrics_{*registry_};
  JobIdSource job_ids_{Clock::Real()};
  std::unique_ptr<DatasetStore> datasets_;
  std::unique_ptr<ModelStore> models_;
  std::unique_ptr<JobManager> jobs_;
  std::unique_ptr<ApiServer> api_;
  WorkerPool pool_{4, 10'000};
  WorkerPool slow_pool_{2, 10'000};
  std::shared_ptr<grpc::Channel> channel_;
};

// The details that a failed call carried.
google::rpc::BadRequest BadRequestOf(const grpc::Status& status);
google::rpc::ErrorInfo ErrorInfoOf(const grpc::Status& status);
// The field paths of BadRequestOf.
std::vector<std::string> FieldsOf(const grpc::Status& status);

// A request for a diagnostic job.
v1::CreateJobRequest DiagnosticRequest(std::string_view id);

// Makes one unary call with a deadline.
template <class Stub, class Request, class Response>
grpc::Status Call(Stub& stub,
                  grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                  const Request& request, Response& response) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  return (stub.*method)(&context, request, &response);
}

// Uploads `bytes` in pieces of `chunk_bytes`.
grpc::Status Upload(v1::DatasetService::Stub& stub, std::string_view id, std::string_view bytes,
                    v1::Dataset& dataset, size_t chunk_bytes = 256 << 10);
v1::UploadDatasetHeader HeaderOf(std::string_view id, std::string_view bytes);
v1::FileChunk ChunkOf(std::string_view bytes, int64_t offset);

// Four columns: x, y, a class `target` that depends on them, and `constant`; and an empty one.
std::string SmallTable(int rows = 60);

}  // namespace trainyard
