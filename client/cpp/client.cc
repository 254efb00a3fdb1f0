#include "client/cpp/client.h"

#include <algorithm>
#include <array>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cpp/client_impl.h"
#include "client/cpp/status_macros.h"
#include "client/cpp/version.h"
#include "google/rpc/status.pb.h"

namespace trainyard {
namespace {

absl::Status CheckTarget(const std::string& target) {
  if (absl::StartsWith(target, "unix:") && target.size() > 5) return absl::OkStatus();
  const size_t colon = target.rfind(':');
  int port = 0;
  const bool good = colon != std::string::npos && colon > 0 &&
                    absl::SimpleAtoi(target.substr(colon + 1), &port) && port > 0 && port < 65536 &&
                    target.find('/') == std::string::npos &&
                    (target.find(':') == colon || (target[0] == '[' && target[colon - 1] == ']'));
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the server address \"", target, "\" is neither HOST:PORT nor [IPV6]:PORT nor unix:PATH"));
}

bool IsLoopback(const std::string& target) {
  return absl::StartsWith(target, "unix:") || absl::StartsWith(target, "localhost:") ||
         absl::StartsWith(target, "127.") || absl::StartsWith(target, "[::1]:");
}

grpc::ChannelArguments ChannelArguments(const ClientOptions& options, const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(options.keepalive_time)));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(options.keepalive_timeout)));
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // gRPC's own wait between connections must not outlast ours.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  if (IsLoopback(target)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return arguments;
}

}  // namespace

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const auto& detail : details.details()) {
      result.SetPayload(detail.type_url(), absl::Cord(detail.value()));
    }
  }
  return result;
}

std::string MakeUuid() {
  std::random_device source;
  std::array<uint32_t, 4> words{};
  for (uint32_t& word : words) word = source();
  return absl::StrFormat("%08x-%04x-4%03x-%04x-%04x%08x", words[0], words[1] >> 16,
                         words[1] & 0xfff, 0x8000 | (words[2] >> 16 & 0x3fff), words[2] & 0xffff,
                         words[3]);
}

bool Client::Impl::WaitForServer(absl::Duration wait, const std::stop_token& stop) const {
  constexpr absl::Duration kStopCheck = absl::Milliseconds(50);
  const absl::Time end = absl::Now() + wait;
  bool lost = false;
  for (absl::Time now = absl::Now(); now < end && !stop.stop_requested(); now = absl::Now()) {
    const grpc_connectivity_state state = channel->GetState(true);
    if (state != GRPC_CHANNEL_READY) lost = true;
    if (state == GRPC_CHANNEL_READY && lost) break;
    // Not merely a sleep: an attempt to connect only goes on while somebody waits for the channel.
    // Otherwise gRPC looks after it every five seconds.
    channel->WaitForStateChange(state, absl::ToChronoTime(std::min(end, now + kStopCheck)));
  }
  return !stop.stop_requested();
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(std::string_view target,
                                                        ClientOptions options) {
  const std::string address(target);
  CLIENT_RETURN_IF_ERROR(CheckTarget(address));
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->channel = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(),
                                            ChannelArguments(impl->options, address));
  impl->server = v1::ServerService::NewStub(impl->channel);
  impl->jobs = v1::JobService::NewStub(impl->channel);
  impl->datasets = v1::DatasetService::NewStub(impl->channel);
  impl->models = v1::ModelService::NewStub(impl->channel);
  auto client = std::unique_ptr<Client>(new Client(std::move(impl)));
  if (client->impl_->options.check_version) {
    CLIENT_ASSIGN_OR_RETURN(const v1::ServerInfo info, client->GetServerInfo());
    CLIENT_ASSIGN_OR_RETURN(const std::string warning,
                            CheckServerVersion(ClientVersion(), info.version()));
    if (!warning.empty() && client->impl_->options.on_warning) {
      client->impl_->options.on_warning(warning);
    }
  }
  return client;
}

absl::StatusOr<v1::ServerInfo> Client::GetServerInfo() {
  return impl_->Call(*impl_->server, &v1::ServerService::Stub::GetServerInfo,
                     v1::GetServerInfoRequest(), true);
}

absl::StatusOr<v1::ListAlgorithmsResponse> Client::ListAlgorithms() {
  return impl_->Call(*impl_->server, &v1::ServerService::Stub::ListAlgorithms,
                     v1::ListAlgorithmsRequest(), true);
}

absl::StatusOr<v1::Algorithm> Client::GetAlgorithm(std::string_view algorithm) {
  v1::GetAlgorithmRequest request;
  request.set_algorithm(std::string(algorithm));
  return impl_->Call(*impl_->server, &v1::ServerService::Stub::GetAlgorithm, request, true);
}

absl::StatusOr<v1::Queue> Client::GetQueue(std::string_view parent) {
  v1::GetQueueRequest request;
  request.set_parent(std::string(parent));
  return impl_->Call(*impl_->server, &v1::ServerService::Stub::GetQueue, request, true);
}

absl::StatusOr<v1::Job> Client::CreateJob(v1::CreateJobRequest request) {
  if (request.request_id().empty()) request.set_request_id(MakeUuid());
  return impl_->Call(*impl_->jobs, &v1::JobService::Stub::CreateJob, request, true);
}

absl::StatusOr<v1::Job> Client::GetJob(std::string_view name) {
  v1::GetJobRequest request;
  request.set_name(std::string(name));
  return impl_->Call(*impl_->jobs, &v1::JobService::Stub::GetJob, request, true);
}

absl::StatusOr<v1::ListJobsResponse> Client::ListJobs(const v1::ListJobsRequest& request) {
  return impl_->Call(*impl_->jobs, &v1::JobService::Stub::ListJobs, request, true);
}

absl::StatusOr<v1::Job> Client::CancelJob(const v1::CancelJobRequest& request) {
  return impl_->Call(*impl_->jobs, &v1::JobService::Stub::CancelJob, request, true);
}

absl::Status Client::DeleteJob(const v1::DeleteJobRequest& request) {
  return impl_->Call(*impl_->jobs, &v1::JobService::Stub::DeleteJob, request, false).status();
}

absl::StatusOr<v1::ListMetricsResponse> Client::ListMetrics(const v1::ListMetricsRequest& request) {
  return impl_->Call(*impl_->jobs, &v1::JobService::Stub::ListMetrics, request, true);
}

absl::StatusOr<v1::Dataset> Client::GetDataset(std::string_view name) {
  v1::GetDatasetRequest request;
  request.set_name(std::string(name));
  return impl_->Call(*impl_->datasets, &v1::DatasetService::Stub::GetDataset, request, true);
}

absl::StatusOr<v1::ListDatasetsResponse> Client::ListDatasets(
    const v1::ListDatasetsRequest& request) {
  return impl_->Call(*impl_->datasets, &v1::DatasetService::Stub::ListDatasets, request, true);
}

absl::StatusOr<v1::PreviewDatasetResponse> Client::PreviewDataset(
    const v1::PreviewDatasetRequest& request) {
  return impl_->Call(*impl_->datasets, &v1::DatasetService::Stub::PreviewDataset, request, true);
}

absl::Status Client::DeleteDataset(const v1::DeleteDatasetRequest& request) {
  return impl_->Call(*impl_->datasets, &v1::DatasetService::Stub::DeleteDataset, request, false)
      .status();
}

absl::StatusOr<v1::Model> Client::GetModel(std::string_view name) {
  v1::GetModelRequest request;
  request.set_name(std::string(name));
  return impl_->Call(*impl_->models, &v1::ModelService::Stub::GetModel, request, true);
}

absl::StatusOr<v1::ListModelsResponse> Client::ListModels(const v1::ListModelsRequest& request) {
  return impl_->Call(*impl_->models, &v1::ModelService::Stub::ListModels, request, true);
}

absl::StatusOr<v1::PrintTreeResponse> Client::PrintTree(const v1::PrintTreeRequest& request) {
  return impl_->Call(*impl_->models, &v1::ModelService::Stub::PrintTree, request, true);
}

absl::Status Client::DeleteModel(const v1::DeleteModelRequest& request) {
  return impl_->Call(*impl_->models, &v1::ModelService::Stub::DeleteModel, request, false).status();
}

}  // namespace trainyard
