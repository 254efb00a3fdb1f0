#include "server/storage/catalogue.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/notification.h"
#include "core/base/status.h"
#include "server/storage/catalogue_transaction.h"
#include "server/storage/dataset_rows.h"
#include "server/storage/event_rows.h"
#include "server/storage/group_writer.h"
#include "server/storage/integrity.h"
#include "server/storage/job_rows.h"
#include "server/storage/reader_pool.h"
#include "server/storage/schema.h"

namespace trainyard {
namespace {

constexpr int kReaders = 8;
constexpr int kPurgedPerTransaction = 2000;

class SqliteCatalogue final : public Catalogue {
 public:
  SqliteCatalogue(const Options& options, std::unique_ptr<Database> database,
                  std::string page_token_key)
      : tokens_(std::move(page_token_key)),
        readers_(options.file, kReaders),
        writer_(MakeWriter(options, std::move(database))) {}

  void Write(Work work, Done done) override { writer_->Write(std::move(work), std::move(done)); }

  absl::StatusOr<v1::Job> GetJob(const JobName& name) override {
    TY_ASSIGN_OR_RETURN(const ReaderPool::Lease reader, readers_.Acquire());
    return ReadJob(*reader, name);
  }

  absl::StatusOr<JobPage> ListJobs(const JobQuery& query) override {
    TY_ASSIGN_OR_RETURN(const ReaderPool::Lease reader, readers_.Acquire());
    return ListJobRows(*reader, tokens_, query);
  }

  absl::Status ForEachUnfinishedJob(
      const std::function<void(v1::Job job, std::vector<AttemptRecord> attempts)>& visit) override {
    TY_ASSIGN_OR_RETURN(const ReaderPool::Lease reader, readers_.Acquire());
    return VisitUnfinishedJobs(*reader, visit);
  }

  absl::StatusOr<std::vector<v1::JobEvent>> ReadEvents(const JobName& job, int64_t from_sequence,
                                                       int max_events, int64_t max_bytes) override {
    TY_ASSIGN_OR_RETURN(const ReaderPool::Lease reader, readers_.Acquire());
    TY_ASSIGN_OR_RETURN(const int64_t row, FindJobRow(*reader, job));
    return ReadEventRows(*reader, row, from_sequence, max_events, max_bytes);
  }

  absl::StatusOr<MetricPage> ListMetrics(const MetricQuery& query) override {
    TY_ASSIGN_OR_RETURN(const ReaderPool::Lease reader, readers_.Acquire());
    return ListMetricRows(*reader, tokens_, query);
  }

  absl::StatusOr<std::optional<std::string>> CheckpointOf(const JobName& job) override {
    TY_ASSIGN_OR_RETURN(const ReaderPool::Lease reader, readers_.Acquire());
    return ReadCheckpoint(*reader, job);
  }

  absl::StatusOr<v1::Dataset> GetDataset(const DatasetName& name) override {
    TY_ASSIGN_OR_RETURN(const ReaderPool::Lease reader, readers_.Acquire());
    return ReadDataset(*reader, name);
  }

  absl::StatusOr<v1::DatasetVersion> GetDatasetVersion(const DatasetName& name) override {
    TY_ASSIGN_OR_RETURN(const ReaderPool::Lease reader, readers_.Acquire());
    return ReadDatasetVersion(*reader, name);
  }

  absl::StatusOr<std::vector<v1::Dataset>> ListDatasets(std::string_view project,
                                                        std::string_view after_id,
                                                        int limit) override {
    TY_ASSIGN_OR_RETURN(const ReaderPool::Lease reader, readers_.Acquire());
    return ListDatasetRows(*reader, project, after_id, limit);
  }

  absl::StatusOr<v1::Model> GetModel(const ModelName& name) override {
    TY_ASSIGN_OR_RETURN(const ReaderPool::Lease reader, readers_.Acquire());
    return ReadModel(*reader, name);
  }

  absl::StatusOr<ModelContents> GetModelContents(const ModelName& name) override {
    TY_ASSIGN_OR_RETURN(const ReaderPool::Lease reader, readers_.Acquire());
    return ReadModelContents(*reader, name);
  }

  absl::StatusOr<ModelPage> ListModels(std::string_view project, std::string_view page_token,
                                       int page_size) override {
    TY_ASSIGN_OR_RETURN(const ReaderPool::Lease reader, readers_.Acquire());
    return ListModelRows(*reader, tokens_, project, page_token, page_size);
  }

  absl::StatusOr<std::vector<BlobReference>> BlobReferences() override {
    TY_ASSIGN_OR_RETURN(const ReaderPool::Lease reader, readers_.Acquire());
    return ReadBlobReferences(*reader);
  }

  absl::StatusOr<std::vector<std::string>> IntegrityProblems() override {
    TY_ASSIGN_OR_RETURN(const ReaderPool::Lease reader, readers_.Acquire());
    return FindIntegrityProblems(*reader);
  }

 private:
  static std::unique_ptr<GroupWriter> MakeWriter(const Options& options,
                                                 std::unique_ptr<Database> database) {
    std::unique_ptr<CatalogueTransaction> transaction = MakeTransaction(*database);
    return std::make_unique<GroupWriter>(
        std::move(database), std::move(transaction), options.max_group_size,
        [](Database& writer) { return PurgeSomeRows(writer, kPurgedPerTransaction); });
  }

  const PageTokens tokens_;
  // The writer goes first, while readers still keep the file open: the last connection to close
  // moves the log into the file.
  ReaderPool readers_;
  std::unique_ptr<GroupWriter> writer_;
};

absl::Status Prepare(Database& database, const Catalogue::Options& options) {
  // The schema is looked at before anything is changed in a file that may not be ours.
  TY_RETURN_IF_ERROR(ReadSchemaVersion(database).status());
  TY_RETURN_IF_ERROR(
      database.Execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
                       "PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; "
                       "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; "
                       "PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 4000; "
                       "PRAGMA journal_size_limit = 67108864"));
  TY_RETURN_IF_ERROR(MigrateSchema(database));
  TY_RETURN_IF_ERROR(QuickCheck(database));
  if (options.max_pages <= 0) return absl::OkStatus();
  return database.Execute(absl::StrCat("PRAGMA max_page_count = ", options.max_pages));
}

absl::StatusOr<std::string> ReadPageTokenKey(Database& database) {
  TY_ASSIGN_OR_RETURN(Statement statement,
                      database.PrepareOnce("SELECT value FROM store WHERE key = 'page_token_key'"));
  TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
  if (!found) return absl::DataLossError("the catalogue has no page token key");
  return std::string(statement.Blob(0));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Catalogue>> Catalogue::Open(const Options& options) {
  const auto open = [&]() -> absl::StatusOr<std::unique_ptr<Catalogue>> {
    TY_ASSIGN_OR_RETURN(std::unique_ptr<Database> database,
                        Database::Open(options.file, Database::Mode::kReadWriteCreate));
    TY_RETURN_IF_ERROR(Prepare(*database, options));
    TY_ASSIGN_OR_RETURN(std::string key, ReadPageTokenKey(*database));
    return std::make_unique<SqliteCatalogue>(options, std::move(database), std::move(key));
  };
  absl::StatusOr<std::unique_ptr<Catalogue>> catalogue = open();
  if (catalogue.ok()) return catalogue;
  return AddContext(catalogue.status(), absl::StrCat("opening '", options.file.string(), "'"));
}

absl::Status Catalogue::WriteAndWait(Work work) {
  Notification finished;
  absl::Status result;
  Write(std::move(work), [&](absl::Status status) {
    result = std::move(status);
    finished.Notify();
  });
  finished.WaitForNotification();
  return result;
}

}  // namespace trainyard
