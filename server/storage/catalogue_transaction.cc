#include "server/storage/catalogue_transaction.h"

#include "core/base/status.h"
#include "server/storage/dataset_rows.h"
#include "server/storage/event_rows.h"
#include "server/storage/job_rows.h"

namespace trainyard {
namespace {

class SqliteTransaction final : public CatalogueTransaction {
 public:
  explicit SqliteTransaction(Database& database) : database_(database) {}

  absl::Status InsertJob(const v1::Job& job) override { return InsertJobRow(database_, job); }
  absl::Status UpdateJob(const v1::Job& job) override { return UpdateJobRow(database_, job); }
  absl::Status DeleteJob(const JobName& name) override { return DeleteJobRow(database_, name); }
  absl::StatusOr<v1::Job> GetJob(const JobName& name) override { return ReadJob(database_, name); }

  absl::Status AppendEvents(const JobName& job, std::span<const v1::JobEvent> events) override {
    TY_ASSIGN_OR_RETURN(const int64_t row, FindJobRow(database_, job));
    return AddContext(AppendEventRows(database_, row, events), job.ToString());
  }

  absl::Status PutAttempt(const AttemptRecord& attempt) override {
    return WriteAttempt(database_, attempt);
  }

  absl::StatusOr<std::optional<RequestRecord>> FindRequest(std::string_view project,
                                                           std::string_view request_id) override {
    return ReadRequest(database_, project, request_id);
  }
  absl::Status PutRequest(std::string_view project, std::string_view request_id,
                          const RequestRecord& record) override {
    return WriteRequest(database_, project, request_id, record);
  }

  absl::Status PutCheckpoint(const JobName& job, int64_t step, std::string_view blob_sha256,
                             int64_t size_bytes) override {
    return WriteCheckpoint(database_, job, step, blob_sha256, size_bytes);
  }

  absl::Status PutDatasetVersion(const v1::Dataset& dataset) override {
    return WriteDatasetVersion(database_, dataset);
  }
  absl::StatusOr<v1::Dataset> GetDataset(const DatasetName& name) override {
    return ReadDataset(database_, name);
  }
  absl::Status DeleteDataset(const DatasetName& name) override {
    return DeleteDatasetRows(database_, name);
  }

  absl::Status InsertModel(const v1::Model& model, const ModelContents& contents) override {
    return InsertModelRow(database_, model, contents);
  }
  absl::Status DeleteModel(const ModelName& name) override {
    return DeleteModelRow(database_, name);
  }

 private:
  Database& database_;
};

}  // namespace

std::unique_ptr<CatalogueTransaction> MakeTransaction(Database& database) {
  return std::make_unique<SqliteTransaction>(database);
}

}  // namespace trainyard
