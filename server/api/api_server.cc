#include "server/api/api_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/service_type.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace trainyard {
namespace {

constexpr int kKeepaliveTimeMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
constexpr int kMinPingIntervalMs = 20'000;
// What a client may send on one stream before it is read. gRPC's own estimate grows with the speed
// of the connection, to tens of MiB that an upload then holds in memory.
constexpr int kStreamWindowBytes = 4 << 20;

void Configure(const ApiServer::Options& options, const grpc::ResourceQuota& quota,
               grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetResourceQuota(quota);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_concurrent_streams);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kMinPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kStreamWindowBytes);
  // Two servers on one port would take turns; the second must fail.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

class GrpcApiServer final : public ApiServer {
 public:
  GrpcApiServer(const Options& options, const ServiceContext& context) : options_(options) {
    user_services_.push_back(MakeJobService(context));
    user_services_.push_back(MakeDatasetService(context));
    user_services_.push_back(MakeModelService(context));
    user_services_.push_back(MakeServerService(context));
    worker_service_ = MakeWorkerService(context);
    quota_.Resize(static_cast<size_t>(options.memory_quota_bytes));
  }
  ~GrpcApiServer() override { Shutdown(absl::ZeroDuration()); }

  absl::Status Bind() {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    if (!options_.worker_socket.empty()) {
      if (absl::Status status = BindWorkers(); !status.ok()) return status;
    }
    grpc::ServerBuilder builder;
    Configure(options_, quota_, builder);
    int port = 0;
    builder.AddListeningPort(options_.listen, grpc::InsecureServerCredentials(), &port);
    for (const auto& service : user_services_) builder.RegisterService(service.get());
    users_ = builder.BuildAndStart();
    if (users_ == nullptr || port == 0) {
      return absl::UnavailableError(absl::StrCat("cannot listen on '", options_.listen,
                                                 "': it must be HOST:PORT, and not in use"));
    }
    address_ = absl::StrCat(options_.listen.substr(0, options_.listen.rfind(':')), ":", port);
    return absl::OkStatus();
  }

  const std::string& address() const override { return address_; }

  void SetServing(bool serving) override {
    users_->GetHealthCheckService()->SetServingStatus(serving);
  }

  void Shutdown(absl::Duration grace) override {
    const auto deadline = absl::ToChronoTime(absl::Now() + grace);
    if (users_ != nullptr) users_->Shutdown(deadline);
    if (workers_ != nullptr) {
      workers_->Shutdown(deadline);
      unlink(options_.worker_socket.c_str());
    }
  }

 private:
  absl::Status BindWorkers() {
    // A socket that an earlier run left behind; the store's lock says that nobody serves on it.
    unlink(options_.worker_socket.c_str());
    grpc::ServerBuilder builder;
    Configure(options_, quota_, builder);
    int bound = 0;
    builder.AddListeningPort(absl::StrCat("unix:", options_.worker_socket),
                             grpc::InsecureServerCredentials(), &bound);
    builder.RegisterService(worker_service_.get());
    workers_ = builder.BuildAndStart();
    if (workers_ == nullptr || bound == 0) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen on the Unix socket '", options_.worker_socket, "'"));
    }
    chmod(options_.worker_socket.c_str(), S_IRUSR | S_IWUSR);
    return absl::OkStatus();
  }

  const Options options_;
  grpc::ResourceQuota quota_{"trainyard"};
  std::vector<std::unique_ptr<grpc::Service>> user_services_;
  std::unique_ptr<grpc::Service> worker_service_;
  std::unique_ptr<grpc::Server> workers_;
  std::unique_ptr<grpc::Server> users_;
  std::string address_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ApiServer>> ApiServer::Start(const Options& options,
                                                            const ServiceContext& context) {
  auto server = std::make_unique<GrpcApiServer>(options, context);
  if (absl::Status status = server->Bind(); !status.ok()) return status;
  server->SetServing(true);
  return server;
}

}  // namespace trainyard
