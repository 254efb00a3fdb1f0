// ModelService.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/algorithms/tree_model_text.h"
#include "core/base/status.h"
#include "core/trees/tree_model_files.h"
#include "proto/schema/field_rules.h"
#include "proto/schema/resource_names.h"
#include "server/api/call.h"
#include "server/api/file_chunks.h"
#include "server/api/prediction.h"
#include "server/api/request_checks.h"
#include "server/api/services.h"
#include "server/api/stream_reactor.h"
#include "server/api/table_reactor.h"
#include "server/telemetry/log.h"
#include "trainyard/v1/model_service.grpc.pb.h"

namespace trainyard {
namespace {

using Base =
    v1::ModelService::WithCallbackMethod_GetModel<v1::ModelService::WithCallbackMethod_ListModels<
        v1::ModelService::WithCallbackMethod_DownloadModel<
            v1::ModelService::WithCallbackMethod_DeleteModel<
                v1::ModelService::WithCallbackMethod_PredictTable<
                    v1::ModelService::WithCallbackMethod_Explain<
                        v1::ModelService::WithCallbackMethod_PrintTree<
                            v1::ModelService::Service>>>>>>>;
using PredictReactor =
    TableReactor<v1::PredictTableRequest, v1::PredictTableHeader, v1::PredictTableResponse>;
using ExplainReactor = TableReactor<v1::ExplainRequest, v1::ExplainHeader, v1::ExplainResponse>;
using PredictSource = std::unique_ptr<MessageSource<v1::PredictTableResponse>>;
using ExplainSource = std::unique_ptr<MessageSource<v1::ExplainResponse>>;

// Calls whose tables are buffered at once when each is as large as allowed.
constexpr int64_t kFullTables = 4;

// Sends predictions block by block.
class PredictionLines final : public MessageSource<v1::PredictTableResponse> {
 public:
  explicit PredictionLines(TablePrediction prediction) : prediction_(std::move(prediction)) {}

  absl::StatusOr<bool> Next(v1::PredictTableResponse& response) override {
    TY_ASSIGN_OR_RETURN(std::string lines, prediction_.Next(static_cast<size_t>(kChunkBytes)));
    if (lines.empty()) return false;
    response.set_data(std::move(lines));
    response.set_row_count(prediction_.rows_given());
    return true;
  }

 private:
  TablePrediction prediction_;
};

// The answer for models of another kind.
absl::Status NotExplainableError(const ModelName& model) {
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat(
          "model '", model.model, "' cannot be explained: only models made of trees can")),
      "MODEL_NOT_EXPLAINABLE");
}

// Longest tree that PrintTree gives.
constexpr size_t kMaxTreeBytes = 2 << 20;

// Sends an explanation and keeps the model that it is made from.
class ExplanationMessages final : public MessageSource<v1::ExplainResponse> {
 public:
  ExplanationMessages(std::shared_ptr<const Predictor> model,
                      std::unique_ptr<Explanation> explanation)
      : model_(std::move(model)), explanation_(std::move(explanation)) {}

  absl::StatusOr<bool> Next(v1::ExplainResponse& response) override {
    return explanation_->Next(response);
  }

 private:
  const std::shared_ptr<const Predictor> model_;
  const std::unique_ptr<Explanation> explanation_;
};

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
        predict_(Method("PredictTable", RpcMetrics::Kind::kStream)),
        explain_(Method("Explain", RpcMetrics::Kind::kStream)),
        print_tree_(Method("PrintTree", RpcMetrics::Kind::kUnary)) {}

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
    return PredictReactor::Start(
        *context_.slow_pool, CallRecord(predict_), Limits(), buffered_bytes_,
        [this](const v1::PredictTableHeader& header, const std::string& input, const CancelFlag&) {
          return PreparePrediction(header, input);
        });
  }

  ExplainReactor::Reactor* Explain(grpc::CallbackServerContext*) override {
    return ExplainReactor::Start(*context_.slow_pool, CallRecord(explain_), Limits(),
                                 buffered_bytes_,
                                 [this](const v1::ExplainHeader& header, const std::string& input,
                                        const CancelFlag& cancelled) {
                                   return PrepareExplanation(header, input, cancelled);
                                 });
  }

  grpc::ServerUnaryReactor* PrintTree(grpc::CallbackServerContext* context,
                                      const v1::PrintTreeRequest* request,
                                      v1::PrintTreeResponse* response) override {
    return AnswerFrom(*context_.slow_pool, context, CallRecord(print_tree_), response,
                      [this, request] { return Print(*request); });
  }

 private:
  RpcStats* Method(const char* method, RpcMetrics::Kind kind) const {
    return context_.metrics->Method(absl::StrCat("ModelService/", method), kind);
  }

  absl::StatusOr<v1::ListModelsResponse> List(const v1::ListModelsRequest& request) const;
  absl::StatusOr<std::unique_ptr<MessageSource<v1::FileChunk>>> OpenDownload(
      const v1::DownloadModelRequest& request) const;
  absl::StatusOr<google::protobuf::Empty> Delete(const v1::DeleteModelRequest& request) const;
  absl::StatusOr<v1::PrintTreeResponse> Print(const v1::PrintTreeRequest& request) const;
  TableCallLimits Limits() const {
    const int64_t max_bytes = context_.info.limits().max_predict_bytes();
    return {max_bytes, kFullTables * max_bytes};
  }
  absl::StatusOr<PredictSource> PreparePrediction(const v1::PredictTableHeader& header,
                                                  const std::string& input) const;
  absl::StatusOr<ExplainSource> PrepareExplanation(v1::ExplainHeader header,
                                                   const std::string& input,
                                                   const CancelFlag& cancelled) const;
  // A data set of the model's project; a violation of `field` for another.
  static DatasetName DatasetOf(std::string_view field, const std::string& name,
                               const ModelName& model, Violations& violations);
  // The table of the data set, or else that of the bytes.
  absl::StatusOr<std::shared_ptr<const Table>> OpenTable(const ModelName& model,
                                                         const std::string& dataset_name,
                                                         const DatasetName& dataset,
                                                         const v1::TableReadOptions& options,
                                                         const std::string& input) const;
  absl::StatusOr<std::shared_ptr<const Table>> ParseInput(const ModelName& model,
                                                          v1::TableReadOptions options,
                                                          const std::string& input) const;

  const ServiceContext context_;
  RpcStats* const get_;
  RpcStats* const list_;
  RpcStats* const download_;
  RpcStats* const delete_;
  RpcStats* const predict_;
  RpcStats* const explain_;
  RpcStats* const print_tree_;
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

absl::StatusOr<v1::PrintTreeResponse> ModelService::Print(
    const v1::PrintTreeRequest& request) const {
  Violations violations;
  const ModelName name = ParseName<ModelName>("name", request.name(), violations);
  CheckFieldRules(request, "", violations);
  if (!violations.empty()) return violations.ToStatus();
  TY_ASSIGN_OR_RETURN(const ModelStore::HeldModel model, context_.models->Open(name));
  const auto path_of = [&model](const std::string& file) -> absl::StatusOr<std::filesystem::path> {
    for (int i = 0; i < model.model.files_size(); ++i) {
      if (model.model.files(i).path() == file) return model.paths[static_cast<size_t>(i)];
    }
    return absl::NotFoundError(absl::StrCat("the model has no file ", file));
  };
  if (!path_of(kTreeModelFile).ok()) {
    return WithReason(absl::FailedPreconditionError(
                          absl::StrCat("model '", name.model, "' is not made of trees")),
                      "MODEL_HAS_NO_TREES");
  }
  const absl::StatusOr<StoredTree> stored = ReadStoredTree(path_of, request.tree());
  if (absl::IsOutOfRange(stored.status())) {
    violations.Add("tree", std::string(stored.status().message()));
    return violations.ToStatus();
  }
  TY_RETURN_IF_ERROR(stored.status());
  v1::PrintTreeResponse response;
  TY_ASSIGN_OR_RETURN(*response.mutable_text(),
                      trainyard::PrintTree(*stored, static_cast<size_t>(request.tree()),
                                           request.format(), kMaxTreeBytes));
  response.set_tree_count(stored->model.tree_count());
  response.set_node_count(stored->tree.node_count());
  return response;
}

DatasetName ModelService::DatasetOf(std::string_view field, const std::string& name,
                                    const ModelName& model, Violations& violations) {
  if (name.empty()) return {};
  DatasetName dataset = ParseName<DatasetName>(field, name, violations);
  if (violations.empty() && dataset.project != model.project) {
    violations.Add(
        field, absl::StrCat("'", name, "' is not of the model's project '", model.project, "'"));
  }
  return dataset;
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

absl::StatusOr<std::shared_ptr<const Table>> ModelService::OpenTable(
    const ModelName& model, const std::string& dataset_name, const DatasetName& dataset,
    const v1::TableReadOptions& options, const std::string& input) const {
  if (!dataset_name.empty()) return context_.datasets->OpenTable(dataset);
  return ParseInput(model, options, input);
}

absl::StatusOr<PredictSource> ModelService::PreparePrediction(const v1::PredictTableHeader& header,
                                                              const std::string& input) const {
  Violations violations;
  const ModelName model = ParseName<ModelName>("header.name", header.name(), violations);
  const DatasetName dataset = DatasetOf("header.dataset", header.dataset(), model, violations);
  CheckFieldRules(header.table(), "header.table", violations);
  if (!violations.empty()) return violations.ToStatus();
  TY_ASSIGN_OR_RETURN(std::shared_ptr<const Predictor> predictor,
                      context_.models->LoadPredictor(model));
  TY_ASSIGN_OR_RETURN(std::shared_ptr<const Table> table,
                      OpenTable(model, header.dataset(), dataset, header.table(), input));
  return std::make_unique<PredictionLines>(
      TablePrediction(std::move(predictor), std::move(table), context_.predict_threads));
}

absl::StatusOr<ExplainSource> ModelService::PrepareExplanation(v1::ExplainHeader header,
                                                               const std::string& input,
                                                               const CancelFlag& cancelled) const {
  if (header.explanation_case() == v1::ExplainHeader::EXPLANATION_NOT_SET) header.mutable_shap();
  FillDefaults(header);
  Violations violations;
  const ModelName model = ParseName<ModelName>("header.name", header.name(), violations);
  const DatasetName dataset = DatasetOf("header.dataset", header.dataset(), model, violations);
  const std::string& background_name = header.shap().background_dataset();
  const DatasetName background =
      DatasetOf("header.shap.background_dataset", background_name, model, violations);
  CheckFieldRules(header, "header", violations);
  if (!violations.empty()) return violations.ToStatus();
  absl::StatusOr<std::shared_ptr<const Predictor>> loaded = context_.models->LoadPredictor(model);
  if (absl::IsUnimplemented(loaded.status())) return NotExplainableError(model);
  TY_ASSIGN_OR_RETURN(std::shared_ptr<const Predictor> predictor, std::move(loaded));
  ExplanationRequest request;
  TY_ASSIGN_OR_RETURN(request.table,
                      OpenTable(model, header.dataset(), dataset, header.table(), input));
  request.background = request.table;
  if (!background_name.empty()) {
    TY_ASSIGN_OR_RETURN(request.background, context_.datasets->OpenTable(background));
  }
  request.header = std::move(header);
  request.threads = context_.predict_threads;
  request.check = [cancelled] { return *cancelled ? CallCancelledError() : absl::OkStatus(); };
  absl::StatusOr<std::unique_ptr<Explanation>> explanation = predictor->Explain(std::move(request));
  if (absl::IsUnimplemented(explanation.status())) return NotExplainableError(model);
  TY_RETURN_IF_ERROR(explanation.status());
  return std::make_unique<ExplanationMessages>(std::move(predictor), *std::move(explanation));
}

}  // namespace

std::unique_ptr<grpc::Service> MakeModelService(const ServiceContext& context) {
  return std::make_unique<ModelService>(context);
}

}  // namespace trainyard
