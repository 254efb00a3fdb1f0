#include "server/storage/integrity.h"

#include <string_view>

#include "absl/strings/str_cat.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "server/storage/event_rows.h"
#include "trainyard/v1/dataset.pb.h"
#include "trainyard/v1/job.pb.h"
#include "trainyard/v1/model.pb.h"

namespace trainyard {
namespace {

// Answers rows of one text.
absl::Status AppendTexts(Database& database, std::string_view sql, std::string_view prefix,
                         std::vector<std::string>& texts) {
  TY_ASSIGN_OR_RETURN(Statement statement, database.PrepareOnce(sql));
  while (true) {
    TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
    if (!found) return absl::OkStatus();
    if (statement.Text(0) == "ok") continue;
    texts.push_back(absl::StrCat(AbslView(prefix), AbslView(statement.Text(0))));
  }
}

// `sql` answers a name and the bytes that must parse as a Message.
template <typename Message>
absl::Status AppendUnreadable(Database& database, std::string_view sql,
                              std::vector<std::string>& problems) {
  TY_ASSIGN_OR_RETURN(Statement statement, database.PrepareOnce(sql));
  while (true) {
    TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
    if (!found) return absl::OkStatus();
    Message message;
    const std::string_view bytes = statement.Blob(1);
    if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      problems.push_back(absl::StrCat(AbslView(statement.Text(0)), ": its record cannot be read"));
    }
  }
}

absl::Status AppendUnreadableRecords(Database& database, std::vector<std::string>& problems) {
  TY_RETURN_IF_ERROR(AppendUnreadable<v1::Job>(
      database, "SELECT 'projects/' || project || '/jobs/' || id, status FROM jobs", problems));
  for (const std::string_view table : {"job_definitions", "job_histories", "job_reports"}) {
    TY_RETURN_IF_ERROR(AppendUnreadable<v1::Job>(
        database,
        absl::StrCat("SELECT 'projects/' || project || '/jobs/' || id, bytes FROM jobs JOIN ",
                     AbslView(table), " USING (job)"),
        problems));
  }
  TY_RETURN_IF_ERROR(AppendUnreadable<v1::Dataset>(
      database, "SELECT 'projects/' || project || '/datasets/' || id, bytes FROM datasets",
      problems));
  TY_RETURN_IF_ERROR(AppendUnreadable<v1::DatasetVersion>(
      database,
      "SELECT 'projects/' || project || '/datasets/' || id || '/versions/' || version, "
      "dataset_versions.bytes FROM datasets JOIN dataset_versions USING (dataset)",
      problems));
  TY_RETURN_IF_ERROR(AppendTexts(
      database,
      "SELECT 'projects/' || project || '/datasets/' || id || ': has not all of its ' || "
      "version_count || ' versions' FROM datasets WHERE version_count IS NOT (SELECT count(*) "
      "FROM dataset_versions WHERE dataset_versions.dataset = datasets.dataset)",
      "", problems));
  TY_RETURN_IF_ERROR(AppendTexts(
      database,
      "SELECT 'projects/' || project || '/jobs/' || id || ': has no definition' FROM jobs WHERE "
      "job NOT IN (SELECT job FROM job_definitions)",
      "", problems));
  return AppendUnreadable<v1::Model>(
      database, "SELECT 'projects/' || project || '/models/' || id, bytes || details FROM models",
      problems);
}

absl::Status AppendDamagedModelFiles(Database& database, std::vector<std::string>& problems) {
  TY_ASSIGN_OR_RETURN(
      Statement statement,
      database.PrepareOnce("SELECT 'projects/' || project || '/models/' || id, path, sha256, "
                           "content FROM model_files JOIN models USING (model) WHERE content IS "
                           "NOT NULL ORDER BY 1, 2"));
  while (true) {
    TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
    if (!found) return absl::OkStatus();
    const std::string hash = Sha256Hex(statement.Blob(3));
    if (hash == statement.Text(2)) continue;
    problems.push_back(absl::StrCat(AbslView(statement.Text(0)), ": its file '",
                                    AbslView(statement.Text(1)),
                                    "' is damaged: its bytes have the SHA-256 ", hash));
  }
}

absl::Status AppendAllProblems(Database& database, std::vector<std::string>& problems) {
  TY_RETURN_IF_ERROR(AppendTexts(database,
                                 "SELECT integrity_check FROM pragma_integrity_check(100)",
                                 "catalogue: ", problems));
  TY_RETURN_IF_ERROR(AppendTexts(
      database,
      "SELECT \"table\" || ', row ' || ifnull(rowid, '?') || ': refers to a row of ' || parent || "
      "' that does not exist' FROM pragma_foreign_key_check",
      "catalogue: ", problems));
  TY_RETURN_IF_ERROR(AppendUnreadableRecords(database, problems));
  TY_RETURN_IF_ERROR(AppendDamagedModelFiles(database, problems));
  TY_ASSIGN_OR_RETURN(std::vector<std::string> events, FindEventProblems(database));
  for (std::string& problem : events) problems.push_back(std::move(problem));
  return absl::OkStatus();
}

}  // namespace

absl::Status QuickCheck(Database& database) {
  for (const std::string_view table :
       {"sqlite_schema", "store", "attempts", "datasets", "dataset_versions", "models"}) {
    TY_ASSIGN_OR_RETURN(Statement statement, database.PrepareOnce(absl::StrCat(
                                                 "PRAGMA quick_check(", AbslView(table), ")")));
    TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
    if (found && statement.Text(0) != "ok") {
      return absl::DataLossError(
          absl::StrCat("the catalogue is damaged: ", AbslView(statement.Text(0))));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FindIntegrityProblems(Database& database) {
  std::vector<std::string> problems;
  const absl::Status checked = AppendAllProblems(database, problems);
  // A file may be too damaged to be read to its end; that is a finding, not a failure to check.
  if (absl::IsDataLoss(checked)) {
    problems.push_back(std::string(checked.message()));
  } else if (!checked.ok()) {
    return checked;
  }
  return problems;
}

}  // namespace trainyard
