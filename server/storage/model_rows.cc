#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "google/protobuf/util/time_util.h"
#include "proto/schema/violations.h"
#include "server/storage/dataset_rows.h"
#include "server/storage/job_rows.h"

namespace trainyard {
namespace {

absl::Status InsertFiles(Database& database, int64_t row, const v1::Model& model,
                         const ModelContents& contents) {
  TY_ASSIGN_OR_RETURN(Statement insert,
                      database.Prepare("INSERT INTO model_files VALUES (?, ?, ?, ?, ?)"));
  for (const v1::ModelFile& file : model.files()) {
    insert.Bind(row)
        .Bind(std::string_view(file.path()))
        .Bind(std::string_view(file.sha256()))
        .Bind(file.size_bytes());
    const auto content = contents.find(file.path());
    if (content == contents.end()) {
      insert.BindNull();
    } else {
      insert.BindBlob(content->second);
    }
    const absl::Status inserted = insert.Run();
    if (absl::IsAlreadyExists(inserted)) {
      return absl::InvalidArgumentError(
          absl::StrCat("model '", model.name(), "' has two files '", file.path(), "'"));
    }
    TY_RETURN_IF_ERROR(inserted);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status InsertModelRow(Database& database, const v1::Model& model,
                            const ModelContents& contents) {
  TY_ASSIGN_OR_RETURN(const ModelName name, ModelName::Parse(model.name()));
  // A stored model is the concatenation of both parts; listings read the first alone.
  v1::Model main = model;
  v1::Model details;
  if (main.has_manifest()) details.mutable_manifest()->Swap(main.mutable_manifest());
  if (main.has_report()) details.mutable_report()->Swap(main.mutable_report());
  main.clear_manifest();
  main.clear_report();
  const std::string main_bytes = main.SerializeAsString();
  const std::string details_bytes = details.SerializeAsString();
  TY_ASSIGN_OR_RETURN(
      Statement insert,
      database.Prepare("INSERT INTO models (project, id, create_time, bytes, details) VALUES "
                       "(?, ?, ?, ?, ?)"));
  insert.Bind(std::string_view(name.project))
      .Bind(std::string_view(name.model))
      .Bind(google::protobuf::util::TimeUtil::TimestampToNanoseconds(model.create_time()))
      .BindBlob(main_bytes)
      .BindBlob(details_bytes);
  const absl::Status inserted = insert.Run();
  if (absl::IsAlreadyExists(inserted)) {
    return absl::AlreadyExistsError(absl::StrCat("model '", model.name(), "' exists already"));
  }
  TY_RETURN_IF_ERROR(inserted);
  return InsertFiles(database, database.last_insert_row(), model, contents);
}

absl::StatusOr<ModelContents> ReadModelContents(Database& database, const ModelName& name) {
  TY_ASSIGN_OR_RETURN(
      Statement statement,
      database.Prepare("SELECT path, content FROM models JOIN model_files USING (model) WHERE "
                       "project = ? AND id = ? AND content IS NOT NULL"));
  statement.Bind(std::string_view(name.project)).Bind(std::string_view(name.model));
  ModelContents contents;
  while (true) {
    TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
    if (!found) return contents;
    contents.emplace(statement.Text(0), statement.Blob(1));
  }
}

absl::StatusOr<v1::Model> ReadModel(Database& database, const ModelName& name) {
  TY_ASSIGN_OR_RETURN(
      Statement statement,
      database.Prepare("SELECT bytes, details FROM models WHERE project = ? AND id = ?"));
  statement.Bind(std::string_view(name.project)).Bind(std::string_view(name.model));
  TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
  if (!found) return NotFound("model", name.ToString());
  std::string bytes(statement.Blob(0));
  bytes.append(statement.Blob(1));
  v1::Model model;
  if (!model.ParseFromString(bytes)) {
    return absl::DataLossError(
        absl::StrCat("catalogue: model '", name.ToString(), "' cannot be read"));
  }
  return model;
}

absl::StatusOr<Catalogue::ModelPage> ListModelRows(Database& database, const PageTokens& tokens,
                                                   std::string_view project,
                                                   std::string_view page_token, int page_size) {
  Violations violations;
  int32_t size = 0;
  CheckPageSize(page_size, 50, 1000, size, violations);
  const std::string key = PageQuery({"models", project});
  std::optional<PagePosition> after;
  if (!page_token.empty()) {
    absl::StatusOr<PagePosition> position = tokens.Read(key, page_token);
    AddViolations(position.status(), violations);
    if (position.ok()) after = *std::move(position);
  }
  if (!violations.empty()) return violations.ToStatus();

  TY_ASSIGN_OR_RETURN(
      Statement statement,
      database.Prepare(after.has_value()
                           ? "SELECT create_time, model, bytes FROM models WHERE project = ? AND "
                             "(create_time, model) < (?, ?) ORDER BY create_time DESC, model DESC"
                           : "SELECT create_time, model, bytes FROM models WHERE project = ? "
                             "ORDER BY create_time DESC, model DESC"));
  statement.Bind(project);
  if (after.has_value()) statement.Bind(after->number).Bind(after->row);
  Catalogue::ModelPage page;
  PagePosition last;
  int64_t page_bytes = 0;
  while (true) {
    TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
    if (!found) return page;
    const std::string_view bytes = statement.Blob(2);
    page_bytes += static_cast<int64_t>(bytes.size());
    if (static_cast<int32_t>(page.models.size()) >= size ||
        (!page.models.empty() && page_bytes > kMaxPageBytes)) {
      page.next_page_token = tokens.Make(key, last);
      return page;
    }
    if (!page.models.emplace_back().ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return absl::DataLossError("catalogue: a model cannot be read");
    }
    last = {statement.Int(0), statement.Int(1), ""};
  }
}

absl::Status DeleteModelRow(Database& database, const ModelName& name) {
  TY_ASSIGN_OR_RETURN(Statement statement,
                      database.Prepare("DELETE FROM models WHERE project = ? AND id = ?"));
  statement.Bind(std::string_view(name.project)).Bind(std::string_view(name.model));
  TY_RETURN_IF_ERROR(statement.Run());
  if (database.changes() == 0) return NotFound("model", name.ToString());
  return absl::OkStatus();
}

}  // namespace trainyard
