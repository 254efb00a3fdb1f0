// ModelService.
#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "proto/schema/field_rules.h"
#include "proto/schema/resource_names.h"
#include "server/api/call.h"
#include "server/api/file_chunks.h"
#include "server/api/predict_reactor.h"
#include "server/api/request_checks.h"
#include "server/api/services.h"
#include "server/api/stream_reactor.h"
#include "server/telemetry/log.h"
#include "trainyard/v1/model_service.grpc.pb.h"

namespace trainyard {
namespace {

using Base =
    v1::ModelService::WithCallbackMethod_GetModel<v1::ModelService::WithCallbackMethod_ListModels<
        v1::ModelService::WithCallbackMethod_DownloadModel<
            v1::ModelService::WithCallbackMethod_DeleteModel<
                v1::ModelService::WithCallbackMethod_PredictTable<v1::ModelService::Service>>>>>;

// Calls whose tables are buffered at once when each is as large as allowed.
constexpr int64_t kFullPredictions = 4;

// Sends the files of a model folder.
class ModelFiles final : public MessageSource<v1::FileChunk> {
 public:
  explicit ModelFiles(ModelStore::HeldModel model) : model_(std::move(model)) {}

  absl::StatusOr<bool> Next(v1::FileChunk& chunk) override {
    while (true) {
      if (chunker_ != nullptr) {
        TY_ASSIGN_OR_RETURN(const bool more, chunker_->Next(chunk));
        if (more) return true;
      }
      if (next_ == model_.model.files_size()) return false;
      const v1::ModelFile& file = model_.model.files(next_);
      TY_ASSIGN_OR_RETURN(FileChunker chunker,
                          FileChunker::Open(model_.paths[static_cast<size_t>(next_)], file.path(),
                                            file.sha256(), file.size_bytes(), 0, 0));
      chunker_ = std::make_unique<FileChunker>(std::move(chunker));
      ++next_;
    }
  }

 private:
  const ModelStore::HeldModel model_;
  std::unique_ptr<FileChunker> chunker_;
  int next_ = 0;
};

class ModelService final : public Base {
 public:
  explicit ModelService(const ServiceContext& context)
      : context_(context),
        get_(Method("GetModel", RpcMetrics::Kind::kUnary)),
        list_(Method("ListModels", RpcMetrics::Kind::kUnary)),
        download_(Method("DownloadModel", RpcMetrics::Kind::kStream)),
        delete_(Method("DeleteModel", RpcMetrics::Kind::kUnary)),
        predict_(Method("PredictTable", RpcMetrics::Kind::kStream)) {}

  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const v1::GetModelRequest* request,
                                     v1::Model* response) override {
    return AnswerFrom(*context_.pool, context, CallRecord(get_), response,
                      [this, request]() -> absl::StatusOr<v1::Model> {
                        TY_ASSIGN_OR_RETURN(const ModelName name,
                                            RequireName<ModelName>(request->name()));
                        return context_.models->Get(name);
                      });
  }

  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const v1::ListModelsRequest* request,
                                       v1::ListModelsResponse* response) override {
    return AnswerFrom(*context_.pool, context, CallRecord(list_), response,
                      [this, request] { return List(*request); });
  }

  grpc::ServerWriteReactor<v1::FileChunk>* DownloadModel(
      grpc::CallbackServerContext*, const v1::DownloadModelRequest* request) override {
    return StreamReactor<v1::FileChunk>::Start(
        *context_.pool, CallRecord(download_),
        [this, request = *request] { return OpenDownload(request); });
  }

  grpc::ServerUnaryReactor* DeleteModel(grpc::CallbackServerContext* context,
                                        const v1::DeleteModelRequest* request,
                                        google::protobuf::Empty* response) override {
    return AnswerFrom(*context_.pool, context, CallRecord(delete_), response,
                      [this, request] { return Delete(*request); });
  }

  PredictReactor::Reactor* PredictTable(grpc::CallbackServerContext*) override {
    const int64_t max_bytes = context_.info.limits().max_predict_bytes();
    return PredictReactor::Start(
        *context_.slow_pool, CallRecord(predict_), {max_bytes, kFullPredictions * max_bytes},
        buffered_bytes_, [this](const v1::PredictTableHeader& header, const std::string& input) {
          return Prepare(header, input);
        });
  }

 private:
  RpcStats* Method(const char* method, RpcMetrics::Kind kind) const {
    return context_.metrics->Method(absl::StrCat("ModelService/", method), kind);
  }

  absl::StatusOr<v1::ListModelsResponse> List(const v1::ListModelsRequest& request) const;
  absl::StatusOr<std::unique_ptr<MessageSource<v1::FileChunk>>> OpenDownload(
      const v1::DownloadModelRequest& request) const;
  absl::StatusOr<google::protobuf::Empty> Delete(const v1::DeleteModelRequest& request) const;
  absl::StatusOr<std::shared_ptr<const Table>> ParseInput(const ModelName& model,
                                                          v1::TableReadOptions options,
                                                          const std::string& input) const;
  absl::StatusOr<std::unique_ptr<TablePrediction>> Prepare(const v1::PredictTableHeader& header,
                                                           const std::string& input) const;

  const ServiceContext context_;
  RpcStats* const get_;
  RpcStats* const list_;
  RpcStats* const download_;
  RpcStats* const delete_;
  RpcStats* const predict_;
  const std::shared_ptr<std::atomic<int64_t>> buffered_bytes_ =
      std::make_shared<std::atomic<int64_t>>(0);
};

absl::StatusOr<v1::ListModelsResponse> ModelService::List(
    const v1::ListModelsRequest& request) const {
  Violations violations;
  const ProjectName project = ParseName<ProjectName>("parent", request.parent(), violations);
  const int32_t size = PageSize(request.page_size(), PageBounds(), violations);
  if (!violations.empty()) return violations.ToStatus();
  return ListWithinLimit<v1::ListModelsResponse>(
      size, [&](int32_t count) -> absl::StatusOr<v1::ListModelsResponse> {
        TY_ASSIGN_OR_RETURN(Catalogue::ModelPage page,
                            context_.models->List(project.project, request.page_token(), count));
        v1::ListModelsResponse response;
        for (v1::Model& model : page.models) *response.add_models() = std::move(model);
        response.set_next_page_token(page.next_page_token);
        return response;
      });
}

absl::StatusOr<std::unique_ptr<MessageSource<v1::FileChunk>>> ModelService::OpenDownload(
    const v1::DownloadModelRequest& request) const {
  TY_ASSIGN_OR_RETURN(const ModelName name, RequireName<ModelName>(request.name()));
  TY_ASSIGN_OR_RETURN(ModelStore::HeldModel model, context_.models->Open(name));
  return std::make_unique<ModelFiles>(std::move(model));
}

absl::StatusOr<google::protobuf::Empty> ModelService::Delete(
    const v1::DeleteModelRequest& request) const {
  TY_ASSIGN_OR_RETURN(const ModelName name, RequireName<ModelName>(request.name()));
  TY_RETURN_IF_ERROR(context_.models->Delete(name, request.etag()));
  LogInfo("model deleted", {{"model", request.name()}});
  context_.on_deleted();
  return google::protobuf::Empty();
}

// Reads bytes with the types that the model was trained on: a categorical column whose levels look
// like numbers would be taken for numbers otherwise.
absl::StatusOr<std::shared_ptr<const Table>> ModelService::ParseInput(
    const ModelName& model, v1::TableReadOptions options, const std::string& input) const {
  TY_ASSIGN_OR_RETURN(const v1::Model stored, context_.models->Get(model));
  const std::map<std::string, int> asked_for(options.column_types().begin(),
                                             options.column_types().end());
  for (const v1::ColumnSchema& feature : stored.manifest().features()) {
    options.mutable_column_types()->insert({feature.name(), feature.type()});
  }
  TableLimits limits;
  // A compressed table must not unfold without bound in the server's own memory.
  limits.max_uncompressed_bytes =
      std::max<int64_t>(4 * context_.info.limits().max_predict_bytes(), 1 << 20);
  limits.require_typed_columns = false;  // the model names the features that it misses
  TY_ASSIGN_OR_RETURN(std::shared_ptr<const Table> table,
                      ParseTable(input, options, limits, context_.predict_threads));
  std::set<std::string_view> names;
  for (const v1::ColumnSchema& column : table->schema().columns()) names.insert(column.name());
  Violations violations;
  for (const auto& [name, type] : asked_for) {
    if (names.contains(name)) continue;
    violations.Add(absl::StrCat("header.table.column_types.", name), "there is no such column");
  }
  if (!violations.empty()) return violations.ToStatus();
  return table;
}

absl::StatusOr<std::unique_ptr<TablePrediction>> ModelService::Prepare(
    const v1::PredictTableHeader& header, const std::string& input) const {
  Violations violations;
  const ModelName model = ParseName<ModelName>("header.name", header.name(), violations);
  DatasetName dataset;
  if (!header.dataset().empty()) {
    dataset = ParseName<DatasetName>("header.dataset", header.dataset(), violations);
    if (violations.empty() && dataset.project != model.project) {
      violations.Add("header.dataset",
                     absl::StrCat("'", header.dataset(), "' is not of the model's project '",
                                  model.project, "'"));
    }
  }
  CheckFieldRules(header.table(), "header.table", violations);
  if (!violations.empty()) return violations.ToStatus();
  TY_ASSIGN_OR_RETURN(std::shared_ptr<const Predictor> predictor,
                      context_.models->LoadPredictor(model));
  std::shared_ptr<const Table> table;
  if (header.dataset().empty()) {
    TY_ASSIGN_OR_RETURN(table, ParseInput(model, header.table(), input));
  } else {
    TY_ASSIGN_OR_RETURN(table, context_.datasets->OpenTable(dataset));
  }
  return std::make_unique<TablePrediction>(std::move(predictor), std::move(table),
                                           context_.predict_threads);
}

}  // namespace

std::unique_ptr<grpc::Service> MakeModelService(const ServiceContext& context) {
  return std::make_unique<ModelService>(context);
}

}  // namespace trainyard
