#include "tests/benchmarks/api/floor_server.h"

#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/server/api/worker_player.h"
#include "trainyard/v1/dataset_service.grpc.pb.h"
#include "trainyard/v1/job_service.grpc.pb.h"
#include "trainyard/v1/server_service.grpc.pb.h"

namespace trainyard {
namespace {

class EmptyUnary final
    : public v1::ServerService::WithCallbackMethod_GetServerInfo<v1::ServerService::Service> {
  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context,
                                          const v1::GetServerInfoRequest*,
                                          v1::ServerInfo*) override {
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

class BareWriter final : public grpc::ServerWriteReactor<v1::WatchJobResponse> {
 public:
  explicit BareWriter(int64_t count) : left_(count) {
    *response_.add_events() = MetricEvent("loss", 1, 0.5);
    Next();
  }
  void OnWriteDone(bool) override { Next(); }
  void OnDone() override { delete this; }

 private:
  void Next() {
    if (left_-- == 0) return Finish(grpc::Status::OK);
    StartWrite(&response_);
  }
  int64_t left_;
  v1::WatchJobResponse response_;
};

class BareJobs final : public v1::JobService::WithCallbackMethod_WatchJob<
                           v1::JobService::WithCallbackMethod_CreateJob<v1::JobService::Service>> {
 public:
  explicit BareJobs(std::function<void()> on_create) : on_create_(std::move(on_create)) {}

  grpc::ServerWriteReactor<v1::WatchJobResponse>* WatchJob(
      grpc::CallbackServerContext*, const v1::WatchJobRequest* request) override {
    return new BareWriter(request->from_sequence());
  }
  grpc::ServerUnaryReactor* CreateJob(grpc::CallbackServerContext* context,
                                      const v1::CreateJobRequest*, v1::Job*) override {
    {
      const std::lock_guard lock(mutex_);
      on_create_();
    }
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

 private:
  std::mutex mutex_;
  const std::function<void()> on_create_;
};

class BareReader final : public grpc::ServerReadReactor<v1::UploadDatasetRequest> {
 public:
  BareReader() { StartRead(&message_); }
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    StartRead(&message_);
  }
  void OnDone() override { delete this; }

 private:
  v1::UploadDatasetRequest message_;
};

class BareUpload final
    : public v1::DatasetService::WithCallbackMethod_UploadDataset<v1::DatasetService::Service> {
  grpc::ServerReadReactor<v1::UploadDatasetRequest>* UploadDataset(grpc::CallbackServerContext*,
                                                                   v1::Dataset*) override {
    return new BareReader();
  }
};

}  // namespace

struct FloorServer::State {
  explicit State(std::function<void()> on_create) : jobs(std::move(on_create)) {}

  EmptyUnary unary;
  BareJobs jobs;
  BareUpload upload;
  std::unique_ptr<grpc::Server> server;
  std::shared_ptr<grpc::Channel> channel;
  std::string address;
};

FloorServer::FloorServer(std::function<void()> on_create)
    : state_(std::make_unique<State>(std::move(on_create))) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&state_->unary);
  builder.RegisterService(&state_->jobs);
  builder.RegisterService(&state_->upload);
  state_->server = builder.BuildAndStart();
  state_->address = absl::StrCat("127.0.0.1:", port);
  state_->channel = grpc::CreateChannel(state_->address, grpc::InsecureChannelCredentials());
}

FloorServer::~FloorServer() { state_->server->Shutdown(); }

std::shared_ptr<grpc::Channel> FloorServer::channel() const { return state_->channel; }
const std::string& FloorServer::address() const { return state_->address; }

}  // namespace trainyard
