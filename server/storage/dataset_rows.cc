#include "server/storage/dataset_rows.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/storage/job_rows.h"

namespace trainyard {
namespace {

// The data set of a row that holds its bytes and, in the column after, those of its newest version.
absl::StatusOr<v1::Dataset> DatasetAt(const Statement& statement, int column) {
  v1::Dataset dataset;
  const std::string_view bytes = statement.Blob(column);
  const std::string_view version = statement.Blob(column + 1);
  if (!dataset.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      !dataset.mutable_latest_version()->ParseFromArray(version.data(),
                                                        static_cast<int>(version.size()))) {
    return absl::DataLossError("catalogue: a data set cannot be read");
  }
  return dataset;
}

std::string PlainName(const DatasetName& name) {
  return DatasetName{name.project, name.dataset, 0}.ToString();
}

// Row id and number of versions; zeros when there is none.
struct DatasetRow {
  int64_t row = 0;
  int64_t version_count = 0;
};
absl::StatusOr<DatasetRow> FindDatasetRow(Database& database, const DatasetName& name) {
  TY_ASSIGN_OR_RETURN(
      Statement statement,
      database.Prepare("SELECT dataset, version_count FROM datasets WHERE project = ? AND id = ?"));
  statement.Bind(std::string_view(name.project)).Bind(std::string_view(name.dataset));
  TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
  if (!found) return DatasetRow{};
  return DatasetRow{statement.Int(0), statement.Int(1)};
}

absl::Status PutDatasetRow(Database& database, const DatasetName& name,
                           const v1::Dataset& dataset) {
  v1::Dataset without_version = dataset;
  without_version.clear_latest_version();
  const std::string bytes = without_version.SerializeAsString();
  TY_ASSIGN_OR_RETURN(
      Statement statement,
      database.Prepare("INSERT INTO datasets (project, id, version_count, bytes) VALUES "
                       "(?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                       "version_count = excluded.version_count, bytes = excluded.bytes"));
  return statement.Bind(std::string_view(name.project))
      .Bind(std::string_view(name.dataset))
      .Bind(dataset.version_count())
      .BindBlob(bytes)
      .Run();
}

}  // namespace

absl::Status WriteDatasetVersion(Database& database, const v1::Dataset& dataset) {
  TY_ASSIGN_OR_RETURN(const DatasetName name, DatasetName::Parse(dataset.name()));
  TY_ASSIGN_OR_RETURN(const DatasetRow before, FindDatasetRow(database, name));
  if (dataset.version_count() != before.version_count + 1) {
    return absl::AbortedError(absl::StrCat("version ", dataset.version_count(), " of '",
                                           dataset.name(), "' cannot be stored: the newest is ",
                                           before.version_count));
  }
  TY_RETURN_IF_ERROR(PutDatasetRow(database, name, dataset));
  TY_ASSIGN_OR_RETURN(const DatasetRow after, FindDatasetRow(database, name));
  const v1::DatasetVersion& version = dataset.latest_version();
  const std::string bytes = version.SerializeAsString();
  TY_ASSIGN_OR_RETURN(Statement statement,
                      database.Prepare("INSERT INTO dataset_versions VALUES (?, ?, ?, ?, ?)"));
  return statement.Bind(after.row)
      .Bind(dataset.version_count())
      .Bind(std::string_view(version.sha256()))
      .Bind(version.size_bytes())
      .BindBlob(bytes)
      .Run();
}

absl::StatusOr<v1::Dataset> ReadDataset(Database& database, const DatasetName& name) {
  TY_ASSIGN_OR_RETURN(
      Statement statement,
      database.Prepare("SELECT datasets.bytes, dataset_versions.bytes FROM datasets "
                       "JOIN dataset_versions ON dataset_versions.dataset = datasets.dataset AND "
                       "version = version_count WHERE project = ? AND id = ?"));
  statement.Bind(std::string_view(name.project)).Bind(std::string_view(name.dataset));
  TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
  if (!found) return NotFound("data set", PlainName(name));
  return DatasetAt(statement, 0);
}

absl::StatusOr<v1::DatasetVersion> ReadDatasetVersion(Database& database, const DatasetName& name) {
  TY_ASSIGN_OR_RETURN(
      Statement statement,
      database.Prepare("SELECT dataset_versions.bytes FROM datasets "
                       "JOIN dataset_versions ON dataset_versions.dataset = datasets.dataset AND "
                       "version = iif(?1 = 0, version_count, ?1) WHERE project = ?2 AND id = ?3"));
  statement.Bind(name.version)
      .Bind(std::string_view(name.project))
      .Bind(std::string_view(name.dataset));
  TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
  if (!found) return NotFound("data set", name.ToString());
  v1::DatasetVersion version;
  const std::string_view bytes = statement.Blob(0);
  if (!version.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError(
        absl::StrCat("catalogue: data set '", name.ToString(), "' cannot be read"));
  }
  return version;
}

absl::StatusOr<std::vector<v1::Dataset>> ListDatasetRows(Database& database,
                                                         std::string_view project,
                                                         std::string_view after_id, int limit) {
  TY_ASSIGN_OR_RETURN(
      Statement statement,
      database.Prepare("SELECT datasets.bytes, dataset_versions.bytes FROM datasets "
                       "JOIN dataset_versions ON dataset_versions.dataset = datasets.dataset AND "
                       "version = version_count WHERE project = ? AND id > ? ORDER BY id LIMIT ?"));
  statement.Bind(project).Bind(after_id).Bind(int64_t{limit});
  std::vector<v1::Dataset> datasets;
  while (true) {
    TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
    if (!found) return datasets;
    TY_ASSIGN_OR_RETURN(v1::Dataset dataset, DatasetAt(statement, 0));
    datasets.push_back(std::move(dataset));
  }
}

absl::Status DeleteDatasetRows(Database& database, const DatasetName& name) {
  TY_ASSIGN_OR_RETURN(const DatasetRow dataset, FindDatasetRow(database, name));
  if (dataset.row == 0) return NotFound("data set", PlainName(name));
  TY_ASSIGN_OR_RETURN(
      Statement user,
      database.Prepare("SELECT jobs.project, jobs.id FROM jobs JOIN job_datasets USING (job) "
                       "WHERE state IN (1, 2, 3, 4) AND dataset = ? LIMIT 1"));
  const std::string plain = PlainName(name);
  TY_ASSIGN_OR_RETURN(const bool used, user.Bind(std::string_view(plain)).Step());
  if (used) {
    const JobName job{std::string(user.Text(0)), std::string(user.Text(1))};
    return absl::FailedPreconditionError(absl::StrCat("data set '", plain, "' is used by '",
                                                      job.ToString(), "', which has not ended"));
  }
  TY_ASSIGN_OR_RETURN(Statement remove, database.Prepare("DELETE FROM datasets WHERE dataset = ?"));
  return remove.Bind(dataset.row).Run();
}

absl::StatusOr<std::vector<Catalogue::BlobReference>> ReadBlobReferences(Database& database) {
  TY_ASSIGN_OR_RETURN(
      Statement statement,
      database.PrepareOnce(
          "SELECT sha256, size_bytes, min(referrer) FROM ("
          "SELECT sha256, size_bytes, 'projects/' || project || '/datasets/' || id || "
          "'/versions/' || version AS referrer FROM dataset_versions JOIN datasets USING (dataset) "
          "UNION ALL SELECT sha256, size_bytes, 'projects/' || project || '/models/' || id "
          "FROM model_files JOIN models USING (model) WHERE content IS NULL "
          "UNION ALL SELECT sha256, size_bytes, 'projects/' || project || '/jobs/' || id "
          "FROM checkpoints JOIN jobs USING (job)) GROUP BY sha256 ORDER BY sha256"));
  std::vector<Catalogue::BlobReference> references;
  while (true) {
    TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
    if (!found) return references;
    references.push_back(
        {std::string(statement.Text(0)), statement.Int(1), std::string(statement.Text(2))});
  }
}

}  // namespace trainyard
