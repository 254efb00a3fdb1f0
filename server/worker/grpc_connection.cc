#include "server/worker/grpc_connection.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"
#include "core/base/status.h"
#include "trainyard/v1/worker_service.grpc.pb.h"

namespace trainyard {
namespace {

constexpr int64_t kChunkBytes = 1 << 20;
// A frozen server is found within the sum of the two.
constexpr int kKeepaliveTimeMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
// gRPC takes the least back-off for the connection time-out as well.
constexpr int kConnectTimeoutMs = 2'000;
constexpr int kInitialReconnectBackoffMs = 100;
constexpr int kMaxReconnectBackoffMs = 500;

constexpr std::chrono::milliseconds kConnectWait(500);

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

class GrpcSessionStream : public SessionStream {
 public:
  explicit GrpcSessionStream(v1::WorkerService::Stub& stub) : stream_(stub.Session(&context_)) {}

  bool Write(const v1::WorkerMessage& message) override { return stream_->Write(message); }

  bool WriteGarbage() override {
    // A string of proto3 that is not UTF-8: the bytes sent are no WorkerMessage, and every parser
    // has to refuse them.
    v1::WorkerMessage garbage;
    garbage.mutable_hello()->set_version("\xFF\xFE\xFF\xFE");
    return stream_->Write(garbage);
  }

  bool Read(v1::ServerMessage& message) override { return stream_->Read(&message); }
  void Cancel() override { context_.TryCancel(); }
  absl::Status Finish() override { return FromGrpc(stream_->Finish()); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::WorkerMessage, v1::ServerMessage>> stream_;
};

class GrpcConnection : public ServerConnection {
 public:
  explicit GrpcConnection(const std::string& target)
      : channel_(
            grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), Arguments())),
        stub_(v1::WorkerService::NewStub(channel_)) {}

  std::unique_ptr<SessionStream> OpenSession() override {
    channel_->WaitForConnected(std::chrono::system_clock::now() + kConnectWait);
    return std::make_unique<GrpcSessionStream>(*stub_);
  }

  absl::StatusOr<v1::ModelFile> UploadArtifact(const v1::ArtifactHeader& header,
                                               const ByteSource& source) override {
    grpc::ClientContext context;
    // Metadata and header travel with the first chunk, the end with the last: a small file is one
    // packet.
    context.set_initial_metadata_corked(true);
    v1::UploadArtifactResponse response;
    const auto writer = stub_->UploadArtifact(&context, &response);
    v1::UploadArtifactRequest request;
    *request.mutable_header() = header;
    grpc::WriteOptions with_header;
    if (header.size_bytes() == 0) {
      with_header.set_last_message();
    } else {
      with_header.set_buffer_hint();
    }
    bool writable = writer->Write(request, with_header);
    absl::Status source_status;
    for (int64_t offset = 0; writable && offset < header.size_bytes();) {
      auto bytes = source(offset, std::min(kChunkBytes, header.size_bytes() - offset));
      if (!bytes.ok()) {
        source_status = bytes.status();
        context.TryCancel();
        break;
      }
      v1::FileChunk& chunk = *request.mutable_chunk();
      chunk.set_offset(offset);
      chunk.set_crc32c(Crc32c(*bytes));
      offset += static_cast<int64_t>(bytes->size());
      chunk.set_data(*std::move(bytes));
      grpc::WriteOptions options;
      if (offset >= header.size_bytes()) options.set_last_message();
      writable = writer->Write(request, options);
    }
    const grpc::Status status = writer->Finish();
    TY_RETURN_IF_ERROR(source_status);
    TY_RETURN_IF_ERROR(FromGrpc(status));
    return response.file();
  }

 private:
  static grpc::ChannelArguments Arguments() {
    grpc::ChannelArguments arguments;
    // What a connection to one local server never needs costs time at the start of every worker.
    arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kInitialReconnectBackoffMs);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectBackoffMs);
    return arguments;
  }

  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::WorkerService::Stub> stub_;
};

}  // namespace

std::unique_ptr<ServerConnection> MakeGrpcConnection(const std::string& target) {
  return std::make_unique<GrpcConnection>(target);
}

}  // namespace trainyard
