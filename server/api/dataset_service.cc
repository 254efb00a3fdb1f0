// DatasetService.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "proto/schema/resource_names.h"
#include "server/api/answer_size.h"
#include "server/api/call.h"
#include "server/api/file_chunks.h"
#include "server/api/request_checks.h"
#include "server/api/services.h"
#include "server/api/stream_reactor.h"
#include "server/api/upload_reactor.h"
#include "server/telemetry/log.h"
#include "trainyard/v1/dataset_service.grpc.pb.h"

namespace trainyard {
namespace {

using Base = v1::DatasetService::WithCallbackMethod_UploadDataset<
    v1::DatasetService::WithCallbackMethod_GetUpload<
        v1::DatasetService::WithCallbackMethod_GetDataset<
            v1::DatasetService::WithCallbackMethod_ListDatasets<
                v1::DatasetService::WithCallbackMethod_PreviewDataset<
                    v1::DatasetService::WithCallbackMethod_DownloadDataset<
                        v1::DatasetService::WithCallbackMethod_DeleteDataset<
                            v1::DatasetService::Service>>>>>>>;

constexpr int32_t kDefaultPreviewRows = 10;
constexpr int32_t kMaxPreviewRows = 1000;
// Bytes of a preview; the answer must stay below the 4 MiB that clients take.
constexpr size_t kMaxPreviewBytes = 2 << 20;
constexpr size_t kMaxPreviewValueBytes = 1024;
constexpr size_t kMaxPreviewRowBytes = 1 << 20;
constexpr size_t kMessageOverhead = 6;  // of a message within another

void FitDataset(v1::Dataset& dataset) {
  if (!dataset.latest_version().has_table()) return;
  FitSchema(*dataset.mutable_latest_version()->mutable_table());
}

// Takes the messages of UploadDataset.
class DatasetSink final : public MessageSink<v1::UploadDatasetRequest, v1::Dataset> {
 public:
  explicit DatasetSink(DatasetStore& store) : store_(store) {}

  absl::Status Accept(v1::UploadDatasetRequest& message) override {
    if (upload_ == nullptr) return Begin(message);
    if (!message.has_chunk()) {
      return MessageError("message", "only the first message may be other than a chunk");
    }
    if (static_cast<int64_t>(message.chunk().data().size()) > kMaxChunkBytes) {
      return MessageError("chunk.data", absl::StrCat("has ", message.chunk().data().size(),
                                                     " bytes; at most ", kMaxChunkBytes));
    }
    return upload_->Append(message.chunk());
  }

  absl::StatusOr<v1::Dataset> Finish() override {
    if (upload_ == nullptr) return MessageError("header", "must be given in the first message");
    auto dataset = upload_->Finish();
    if (dataset.ok()) {
      LogInfo("data set stored", {{"dataset", dataset->latest_version().name()},
                                  {"bytes", absl::StrCat(dataset->latest_version().size_bytes())}});
      FitDataset(*dataset);
    }
    return dataset;
  }

 private:
  static absl::Status MessageError(std::string_view field, std::string_view rule) {
    Violations violations;
    violations.Add(field, rule);
    return violations.ToStatus();
  }

  absl::Status Begin(const v1::UploadDatasetRequest& message) {
    if (!message.has_header()) {
      return MessageError("header", "must be given in the first message");
    }
    TY_ASSIGN_OR_RETURN(upload_, store_.Begin(message.header()));
    return absl::OkStatus();
  }

  DatasetStore& store_;
  std::unique_ptr<DatasetUpload> upload_;
};

// Sends a data set's file.
class DatasetFile final : public MessageSource<v1::FileChunk> {
 public:
  DatasetFile(FileChunker chunker, std::shared_ptr<void> hold)
      : hold_(std::move(hold)), chunker_(std::move(chunker)) {}
  absl::StatusOr<bool> Next(v1::FileChunk& chunk) override { return chunker_.Next(chunk); }

 private:
  const std::shared_ptr<void> hold_;
  FileChunker chunker_;
};

class DatasetService final : public Base {
 public:
  explicit DatasetService(const ServiceContext& context)
      : context_(context),
        upload_(Method("UploadDataset", RpcMetrics::Kind::kStream)),
        get_upload_(Method("GetUpload", RpcMetrics::Kind::kUnary)),
        get_(Method("GetDataset", RpcMetrics::Kind::kUnary)),
        list_(Method("ListDatasets", RpcMetrics::Kind::kUnary)),
        preview_(Method("PreviewDataset", RpcMetrics::Kind::kUnary)),
        download_(Method("DownloadDataset", RpcMetrics::Kind::kStream)),
        delete_(Method("DeleteDataset", RpcMetrics::Kind::kUnary)) {}

  grpc::ServerReadReactor<v1::UploadDatasetRequest>* UploadDataset(grpc::CallbackServerContext*,
                                                                   v1::Dataset* response) override {
    return UploadReactor<v1::UploadDatasetRequest, v1::Dataset>::Start(
        *context_.pool, *context_.slow_pool, CallRecord(upload_),
        std::make_unique<DatasetSink>(*context_.datasets), response);
  }

  grpc::ServerUnaryReactor* GetUpload(grpc::CallbackServerContext* context,
                                      const v1::GetUploadRequest* request,
                                      v1::DatasetUpload* response) override {
    return AnswerFrom(*context_.pool, context, CallRecord(get_upload_), response,
                      [this, request] { return FindUpload(*request); });
  }

  grpc::ServerUnaryReactor* GetDataset(grpc::CallbackServerContext* context,
                                       const v1::GetDatasetRequest* request,
                                       v1::Dataset* response) override {
    return AnswerFrom(*context_.pool, context, CallRecord(get_), response,
                      [this, request] { return Get(*request); });
  }

  grpc::ServerUnaryReactor* ListDatasets(grpc::CallbackServerContext* context,
                                         const v1::ListDatasetsRequest* request,
                                         v1::ListDatasetsResponse* response) override {
    return AnswerFrom(*context_.pool, context, CallRecord(list_), response,
                      [this, request] { return List(*request); });
  }

  grpc::ServerUnaryReactor* PreviewDataset(grpc::CallbackServerContext* context,
                                           const v1::PreviewDatasetRequest* request,
                                           v1::PreviewDatasetResponse* response) override {
    // A cache that is gone is made again first.
    return AnswerFrom(*context_.slow_pool, context, CallRecord(preview_), response,
                      [this, request] { return Preview(*request); });
  }

  grpc::ServerWriteReactor<v1::FileChunk>* DownloadDataset(
      grpc::CallbackServerContext*, const v1::DownloadDatasetRequest* request) override {
    return StreamReactor<v1::FileChunk>::Start(
        *context_.pool, CallRecord(download_),
        [this, request = *request] { return OpenDownload(request); });
  }

  grpc::ServerUnaryReactor* DeleteDataset(grpc::CallbackServerContext* context,
                                          const v1::DeleteDatasetRequest* request,
                                          google::protobuf::Empty* response) override {
    return AnswerFrom(*context_.pool, context, CallRecord(delete_), response,
                      [this, request] { return Delete(*request); });
  }

 private:
  RpcStats* Method(const char* method, RpcMetrics::Kind kind) const {
    return context_.metrics->Method(absl::StrCat("DatasetService/", method), kind);
  }

  absl::StatusOr<v1::DatasetUpload> FindUpload(const v1::GetUploadRequest& request) const;
  absl::StatusOr<v1::Dataset> Get(const v1::GetDatasetRequest& request) const;
  absl::StatusOr<v1::ListDatasetsResponse> List(const v1::ListDatasetsRequest& request) const;
  absl::StatusOr<v1::PreviewDatasetResponse> Preview(
      const v1::PreviewDatasetRequest& request) const;
  absl::StatusOr<std::unique_ptr<MessageSource<v1::FileChunk>>> OpenDownload(
      const v1::DownloadDatasetRequest& request) const;
  absl::StatusOr<google::protobuf::Empty> Delete(const v1::DeleteDatasetRequest& request) const;

  const ServiceContext context_;
  RpcStats* const upload_;
  RpcStats* const get_upload_;
  RpcStats* const get_;
  RpcStats* const list_;
  RpcStats* const preview_;
  RpcStats* const download_;
  RpcStats* const delete_;
};

absl::StatusOr<v1::DatasetUpload> DatasetService::FindUpload(
    const v1::GetUploadRequest& request) const {
  Violations violations;
  const ProjectName project = ParseName<ProjectName>("parent", request.parent(), violations);
  if (!IsUuid(request.upload_id())) {
    violations.Add("upload_id",
                   absl::StrCat("is '", request.upload_id().substr(0, 80), "'; must be a UUID"));
  }
  if (!violations.empty()) return violations.ToStatus();
  return context_.datasets->GetUpload(project, request.upload_id());
}

absl::StatusOr<v1::Dataset> DatasetService::Get(const v1::GetDatasetRequest& request) const {
  TY_ASSIGN_OR_RETURN(DatasetName name, RequireName<DatasetName>(request.name()));
  const int64_t version = std::exchange(name.version, 0);
  TY_ASSIGN_OR_RETURN(v1::Dataset dataset, context_.datasets->Get(name));
  if (version != 0) {
    name.version = version;
    // Asked for one version, the data set is shown with that one.
    TY_ASSIGN_OR_RETURN(*dataset.mutable_latest_version(), context_.datasets->GetVersion(name));
  }
  FitDataset(dataset);
  return dataset;
}

absl::StatusOr<v1::ListDatasetsResponse> DatasetService::List(
    const v1::ListDatasetsRequest& request) const {
  Violations violations;
  const ProjectName project = ParseName<ProjectName>("parent", request.parent(), violations);
  const int32_t size = PageSize(request.page_size(), PageBounds(), violations);
  // The token is the last id of the page before, made opaque and bound to the project.
  std::string token;
  std::string after;
  if (!request.page_token().empty()) {
    const std::string prefix = absl::StrCat(project.ToString(), "/datasets/");
    const bool valid = absl::WebSafeBase64Unescape(request.page_token(), &token) &&
                       token.starts_with(prefix) &&
                       CheckResourceId(token.substr(prefix.size())).ok();
    if (valid) {
      after = token.substr(prefix.size());
    } else {
      violations.Add("page_token", "is no token of this list");
    }
  }
  if (!violations.empty()) return violations.ToStatus();
  const auto list = [&](int32_t count) -> absl::StatusOr<v1::ListDatasetsResponse> {
    TY_ASSIGN_OR_RETURN(std::vector<v1::Dataset> datasets,
                        context_.catalogue->ListDatasets(project.project, after, count + 1));
    const bool more = static_cast<int32_t>(datasets.size()) > count;
    if (more) datasets.resize(static_cast<size_t>(count));
    v1::ListDatasetsResponse response;
    if (more) response.set_next_page_token(absl::WebSafeBase64Escape(datasets.back().name()));
    for (v1::Dataset& dataset : datasets) {
      FitDataset(dataset);
      *response.add_datasets() = std::move(dataset);
    }
    return response;
  };
  return ListWithinLimit<v1::ListDatasetsResponse>(size, list);
}

// The first `columns` values of a row. All rows together have a bound, and so has each value; where
// many long ones meet, the later ones are cut shorter.
v1::PreviewRow TextsOf(const Table& table, int64_t row, int columns) {
  v1::PreviewRow preview;
  size_t left = kMaxPreviewRowBytes;
  for (int column = 0; column < columns; ++column) {
    std::string value = table.TextAt(row, column);
    if (CutText(value, std::min(left, kMaxPreviewValueBytes))) preview.add_cut_values(column);
    left -= value.size();
    preview.add_values(std::move(value));
  }
  return preview;
}

absl::StatusOr<v1::PreviewDatasetResponse> DatasetService::Preview(
    const v1::PreviewDatasetRequest& request) const {
  Violations violations;
  const DatasetName name = ParseName<DatasetName>("name", request.name(), violations);
  if (request.first_row() < 0) {
    violations.Add("first_row", absl::StrCat(request.first_row(), " is negative"));
  }
  if (request.row_count() < 0 || request.row_count() > kMaxPreviewRows) {
    violations.Add("row_count", absl::StrCat(request.row_count(), " is not from 0 (which means ",
                                             kDefaultPreviewRows, ") to ", kMaxPreviewRows));
  }
  if (!violations.empty()) return violations.ToStatus();
  TY_ASSIGN_OR_RETURN(const std::shared_ptr<const Table> table, context_.datasets->OpenTable(name));
  v1::PreviewDatasetResponse response;
  *response.mutable_schema() = table->schema();
  FitSchema(*response.mutable_schema());
  const int64_t count = request.row_count() == 0 ? kDefaultPreviewRows : request.row_count();
  const int64_t begin = std::min(request.first_row(), table->row_count());
  const int64_t end = begin + std::min(count, table->row_count() - begin);
  size_t bytes = response.ByteSizeLong();
  for (int64_t row = begin; row < end; ++row) {
    // One row of the columns in the schema may be above the bound by itself.
    v1::PreviewRow preview = TextsOf(*table, row, response.schema().columns_size());
    bytes += preview.ByteSizeLong() + kMessageOverhead;
    if (bytes > kMaxPreviewBytes && row > begin) break;
    *response.add_rows() = std::move(preview);
  }
  return response;
}

absl::StatusOr<std::unique_ptr<MessageSource<v1::FileChunk>>> DatasetService::OpenDownload(
    const v1::DownloadDatasetRequest& request) const {
  TY_ASSIGN_OR_RETURN(const DatasetName name, RequireName<DatasetName>(request.name()));
  TY_ASSIGN_OR_RETURN(DatasetStore::HeldFile file, context_.datasets->OpenFile(name));
  TY_ASSIGN_OR_RETURN(FileChunker chunker, FileChunker::Open(file.path, "", file.version.sha256(),
                                                             file.version.size_bytes(),
                                                             request.offset(), request.limit()));
  return std::make_unique<DatasetFile>(std::move(chunker), std::move(file.hold));
}

absl::StatusOr<google::protobuf::Empty> DatasetService::Delete(
    const v1::DeleteDatasetRequest& request) const {
  TY_ASSIGN_OR_RETURN(const DatasetName name, RequireName<DatasetName>(request.name()));
  if (name.version != 0) {
    Violations violations;
    violations.Add("name", "must name a data set; one version alone cannot be deleted");
    return violations.ToStatus();
  }
  TY_RETURN_IF_ERROR(context_.datasets->Delete(name, request.etag()));
  LogInfo("data set deleted", {{"dataset", request.name()}});
  context_.on_deleted();
  return google::protobuf::Empty();
}

}  // namespace

std::unique_ptr<grpc::Service> MakeDatasetService(const ServiceContext& context) {
  return std::make_unique<DatasetService>(context);
}

}  // namespace trainyard
