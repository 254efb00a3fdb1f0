// WorkerService: for worker processes, not for users.
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/api/call.h"
#include "server/api/file_chunks.h"
#include "server/api/services.h"
#include "server/api/upload_reactor.h"
#include "server/api/worker_session.h"
#include "server/storage/received_chunks.h"
#include "trainyard/v1/worker_service.grpc.pb.h"

namespace trainyard {
namespace {

using Base = v1::WorkerService::WithRawCallbackMethod_Session<
    v1::WorkerService::WithCallbackMethod_UploadArtifact<v1::WorkerService::Service>>;

// Takes the messages of UploadArtifact.
class ArtifactSink final
    : public MessageSink<v1::UploadArtifactRequest, v1::UploadArtifactResponse> {
 public:
  ArtifactSink(JobManager& jobs, BlobStore& blobs) : jobs_(jobs), blobs_(blobs) {}

  absl::Status Accept(v1::UploadArtifactRequest& message) override {
    if (writer_ == nullptr) return Begin(message);
    if (!message.has_chunk()) return Refuse("only the first message may be other than a chunk");
    const v1::FileChunk& chunk = message.chunk();
    const auto size = static_cast<int64_t>(chunk.data().size());
    if (size > kMaxChunkBytes) {
      return Refuse(absl::StrCat("chunk.data has ", size, " bytes; at most ", kMaxChunkBytes));
    }
    TY_RETURN_IF_ERROR(CheckChunk(chunk, writer_->size_bytes(), header_.size_bytes()));
    return writer_->Append(chunk.data());
  }

  absl::StatusOr<v1::UploadArtifactResponse> Finish() override {
    if (writer_ == nullptr) return Refuse("the first message must be the header");
    TY_RETURN_IF_ERROR(CheckReceivedSize(writer_->size_bytes(), header_.size_bytes()));
    TY_ASSIGN_OR_RETURN(const BlobInfo blob, writer_->Commit());
    TY_RETURN_IF_ERROR(jobs_.AddArtifact(header_, blob, blobs_.Hold(blob.sha256)));
    v1::UploadArtifactResponse response;
    response.mutable_file()->set_path(header_.path());
    response.mutable_file()->set_size_bytes(blob.size_bytes);
    response.mutable_file()->set_sha256(blob.sha256);
    return response;
  }

 private:
  static absl::Status Refuse(std::string_view problem) {
    return WithReason(absl::InvalidArgumentError(absl::string_view(problem.data(), problem.size())),
                      "WORKER_PROTOCOL");
  }

  absl::Status Begin(v1::UploadArtifactRequest& message) {
    if (!message.has_header()) return Refuse("the first message must be the header");
    header_ = std::move(*message.mutable_header());
    if (header_.size_bytes() < 0) {
      return Refuse(
          absl::StrCat("header.size_bytes is ", header_.size_bytes(), "; must be at least 0"));
    }
    TY_RETURN_IF_ERROR(jobs_.AuthoriseArtifact(header_));
    TY_ASSIGN_OR_RETURN(writer_, blobs_.Create(header_.size_bytes()));
    return absl::OkStatus();
  }

  JobManager& jobs_;
  BlobStore& blobs_;
  v1::ArtifactHeader header_;
  std::unique_ptr<BlobWriter> writer_;
};

class WorkerService final : public Base {
 public:
  explicit WorkerService(const ServiceContext& context)
      : context_(context), session_(Method("Session")), upload_(Method("UploadArtifact")) {}

  WorkerSession::Reactor* Session(grpc::CallbackServerContext*) override {
    return WorkerSession::Start(*context_.jobs, CallRecord(session_));
  }

  grpc::ServerReadReactor<v1::UploadArtifactRequest>* UploadArtifact(
      grpc::CallbackServerContext*, v1::UploadArtifactResponse* response) override {
    return UploadReactor<v1::UploadArtifactRequest, v1::UploadArtifactResponse>::Start(
        *context_.pool, *context_.slow_pool, CallRecord(upload_),
        std::make_unique<ArtifactSink>(*context_.jobs, *context_.blobs), response);
  }

 private:
  RpcStats* Method(const char* method) const {
    return context_.metrics->Method(absl::StrCat("WorkerService/", method),
                                    RpcMetrics::Kind::kStream);
  }

  const ServiceContext context_;
  RpcStats* const session_;
  RpcStats* const upload_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeWorkerService(const ServiceContext& context) {
  return std::make_unique<WorkerService>(context);
}

}  // namespace trainyard
