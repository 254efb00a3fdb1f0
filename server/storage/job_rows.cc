#include "server/storage/job_rows.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "google/protobuf/util/time_util.h"
#include "proto/schema/field_rules.h"
#include "server/storage/event_rows.h"
#include "server/storage/schema.h"

namespace trainyard {
namespace {

using ::google::protobuf::util::TimeUtil;

// Event segments and metric points removed together with a job; the rest is purged later so that
// one huge job does not hold up the writer.
constexpr int kPurgedAtOnce = 1000;

// A job in the parts that are stored apart; their concatenation is the job.
struct JobParts {
  std::string definition;
  std::string status;
  std::string history;
  std::string report;
};

JobParts Split(const v1::Job& job) {
  JobParts parts;
  v1::Job status = job;
  status.clear_queue_position();
  v1::Job history;
  history.mutable_attempts()->Swap(status.mutable_attempts());
  history.SerializeToString(&parts.history);
  if (status.has_report()) {
    v1::Job report;
    report.mutable_report()->Swap(status.mutable_report());
    status.clear_report();
    report.SerializeToString(&parts.report);
  }
  v1::Job definition;
  definition.mutable_name()->swap(*status.mutable_name());
  definition.mutable_display_name()->swap(*status.mutable_display_name());
  definition.mutable_algorithm()->swap(*status.mutable_algorithm());
  definition.mutable_labels()->swap(*status.mutable_labels());
  if (status.has_spec()) {
    definition.mutable_spec()->Swap(status.mutable_spec());
    status.clear_spec();
  }
  definition.SerializeToString(&parts.definition);
  status.SerializeToString(&parts.status);
  return parts;
}

// Stores `bytes` in a part table of a job, writing only when they differ; empty bytes are not kept.
absl::Status PutPart(Database& database, std::string_view put_sql, std::string_view delete_sql,
                     int64_t row, const std::string& bytes) {
  TY_ASSIGN_OR_RETURN(Statement statement, database.Prepare(bytes.empty() ? delete_sql : put_sql));
  statement.Bind(row);
  if (!bytes.empty()) statement.BindBlob(bytes);
  return statement.Run();
}

absl::Status PutParts(Database& database, int64_t row, const JobParts& parts) {
  TY_RETURN_IF_ERROR(PutPart(
      database,
      "INSERT INTO job_definitions VALUES (?, ?) ON CONFLICT DO UPDATE SET bytes = excluded.bytes "
      "WHERE bytes IS NOT excluded.bytes",
      "DELETE FROM job_definitions WHERE job = ?", row, parts.definition));
  TY_RETURN_IF_ERROR(PutPart(
      database,
      "INSERT INTO job_histories VALUES (?, ?) ON CONFLICT DO UPDATE SET bytes = excluded.bytes "
      "WHERE bytes IS NOT excluded.bytes",
      "DELETE FROM job_histories WHERE job = ?", row, parts.history));
  return PutPart(
      database,
      "INSERT INTO job_reports VALUES (?, ?) ON CONFLICT DO UPDATE SET bytes = excluded.bytes "
      "WHERE bytes IS NOT excluded.bytes",
      "DELETE FROM job_reports WHERE job = ?", row, parts.report);
}

absl::Status PutLabels(Database& database, int64_t row, const v1::Job& job) {
  TY_ASSIGN_OR_RETURN(Statement remove, database.Prepare("DELETE FROM job_labels WHERE job = ?"));
  TY_RETURN_IF_ERROR(remove.Bind(row).Run());
  TY_ASSIGN_OR_RETURN(Statement insert,
                      database.Prepare("INSERT INTO job_labels VALUES (?, ?, ?)"));
  for (const auto& [key, value] : job.labels()) {
    TY_RETURN_IF_ERROR(
        insert.Bind(row).Bind(std::string_view(key)).Bind(std::string_view(value)).Run());
  }
  return absl::OkStatus();
}

absl::Status PutDatasets(Database& database, int64_t row, const v1::Job& job) {
  std::set<std::string> datasets;
  v1::TrainingSpec spec = job.spec();
  VisitResourceNames(spec, "dataset", [&](const std::string&, std::string& value) {
    absl::StatusOr<DatasetName> name = DatasetName::Parse(value);
    if (!name.ok()) return;
    name->version = 0;
    datasets.insert(name->ToString());
  });
  TY_ASSIGN_OR_RETURN(Statement insert, database.Prepare("INSERT INTO job_datasets VALUES (?, ?)"));
  for (const std::string& dataset : datasets) {
    TY_RETURN_IF_ERROR(insert.Bind(row).Bind(std::string_view(dataset)).Run());
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> NextJobRow(Database& database) {
  // Rows whose events are still being removed must not be given out again.
  TY_ASSIGN_OR_RETURN(Statement statement,
                      database.Prepare("SELECT max(ifnull((SELECT max(job) FROM jobs), 0), "
                                       "ifnull((SELECT max(job) FROM purges), 0)) + 1"));
  TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
  if (!found || statement.Int(0) > kMaxJobRow) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the catalogue has had more than ", kMaxJobRow, " jobs"));
  }
  return statement.Int(0);
}

}  // namespace

std::string SelectJobs(std::string_view columns) {
  return absl::StrCat("SELECT jobs.job, ", NewestSequenceSql("jobs.job"),
                      ", definition.bytes, status, history.bytes, ", AbslView(columns),
                      " FROM jobs LEFT JOIN job_definitions definition USING (job) "
                      "LEFT JOIN job_histories history USING (job) ");
}

absl::StatusOr<v1::Job> JobAt(const Statement& statement, std::string& bytes) {
  // Not assigned but appended, so that the buffer is used again for the next row.
  for (const int column : {2, 3, 4}) bytes.append(statement.Blob(column));
  v1::Job job;
  if (!job.ParseFromString(bytes)) {
    return absl::DataLossError(
        absl::StrCat("catalogue: job row ", statement.Int(0), " cannot be read"));
  }
  // Events are appended without touching the job's row.
  const int64_t newest = statement.Int(1);
  if (newest > job.newest_sequence()) job.set_newest_sequence(newest);
  return job;
}

absl::Status NotFound(std::string_view kind, std::string_view name) {
  return absl::NotFoundError(
      absl::StrCat(AbslView(kind), " '", AbslView(name), "' does not exist"));
}

absl::StatusOr<int64_t> FindJobRow(Database& database, const JobName& name) {
  TY_ASSIGN_OR_RETURN(Statement statement,
                      database.Prepare("SELECT job FROM jobs WHERE project = ? AND id = ?"));
  statement.Bind(std::string_view(name.project)).Bind(std::string_view(name.job));
  TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
  if (!found) return NotFound("job", name.ToString());
  return statement.Int(0);
}

absl::Status InsertJobRow(Database& database, const v1::Job& job) {
  TY_ASSIGN_OR_RETURN(const JobName name, JobName::Parse(job.name()));
  TY_ASSIGN_OR_RETURN(const int64_t row, NextJobRow(database));
  const JobParts parts = Split(job);
  TY_ASSIGN_OR_RETURN(
      Statement insert,
      database.Prepare(
          "INSERT INTO jobs (job, project, id, state, algorithm, priority, create_time, "
          "update_time, display_name, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  insert.Bind(row)
      .Bind(std::string_view(name.project))
      .Bind(std::string_view(name.job))
      .Bind(int64_t{job.state()})
      .Bind(std::string_view(job.algorithm()))
      .Bind(int64_t{job.priority()})
      .Bind(TimeUtil::TimestampToNanoseconds(job.create_time()))
      .Bind(TimeUtil::TimestampToNanoseconds(job.update_time()))
      .Bind(std::string_view(job.display_name()))
      .BindBlob(parts.status);
  const absl::Status inserted = insert.Run();
  if (absl::IsAlreadyExists(inserted)) {
    return absl::AlreadyExistsError(absl::StrCat("job '", job.name(), "' exists already"));
  }
  TY_RETURN_IF_ERROR(inserted);
  TY_RETURN_IF_ERROR(PutParts(database, row, parts));
  if (!job.labels().empty()) TY_RETURN_IF_ERROR(PutLabels(database, row, job));
  return PutDatasets(database, row, job);
}

absl::Status UpdateJobRow(Database& database, const v1::Job& job) {
  TY_ASSIGN_OR_RETURN(const JobName name, JobName::Parse(job.name()));
  TY_ASSIGN_OR_RETURN(const int64_t row, FindJobRow(database, name));
  const JobParts parts = Split(job);
  TY_ASSIGN_OR_RETURN(
      Statement update,
      // The creation time never changes; setting it would write its index anew.
      database.Prepare("UPDATE jobs SET state = ?, algorithm = ?, priority = ?, update_time = ?, "
                       "display_name = ?, status = ? WHERE job = ?"));
  update.Bind(int64_t{job.state()})
      .Bind(std::string_view(job.algorithm()))
      .Bind(int64_t{job.priority()})
      .Bind(TimeUtil::TimestampToNanoseconds(job.update_time()))
      .Bind(std::string_view(job.display_name()))
      .BindBlob(parts.status)
      .Bind(row);
  TY_RETURN_IF_ERROR(update.Run());
  TY_RETURN_IF_ERROR(PutParts(database, row, parts));
  return PutLabels(database, row, job);
}

absl::Status DeleteJobRow(Database& database, const JobName& name) {
  TY_ASSIGN_OR_RETURN(const int64_t row, FindJobRow(database, name));
  TY_ASSIGN_OR_RETURN(Statement purge, database.Prepare("INSERT INTO purges VALUES (?)"));
  TY_RETURN_IF_ERROR(purge.Bind(row).Run());
  TY_ASSIGN_OR_RETURN(Statement remove, database.Prepare("DELETE FROM jobs WHERE job = ?"));
  TY_RETURN_IF_ERROR(remove.Bind(row).Run());
  return PurgeSomeRows(database, kPurgedAtOnce).status();
}

absl::StatusOr<v1::Job> ReadJob(Database& database, const JobName& name) {
  static const std::string* const kSql =
      new std::string(SelectJobs("report.bytes") +
                      "LEFT JOIN job_reports report USING (job) WHERE project = ? AND id = ?");
  TY_ASSIGN_OR_RETURN(Statement statement, database.Prepare(*kSql));
  statement.Bind(std::string_view(name.project)).Bind(std::string_view(name.job));
  TY_ASSIGN_OR_RETURN(const bool found, statement.Step());
  if (!found) return NotFound("job", name.ToString());
  std::string bytes(statement.Blob(5));
  return JobAt(statement, bytes);
}

absl::Status VisitUnfinishedJobs(
    Database& database,
    const std::function<void(v1::Job job, std::vector<AttemptRecord> attempts)>& visit) {
  struct OpenAttempt {
    int64_t row;
    AttemptRecord record;
  };
  std::vector<OpenAttempt> open;  // ordered by row, then attempt
  TY_ASSIGN_OR_RETURN(
      Statement attempts,
      database.PrepareOnce("SELECT job, attempt, token_sha256, session_key_sha256, "
                           "worker_sequence, executor, process FROM jobs JOIN attempts USING (job) "
                           "WHERE state IN (2, 3, 4) AND ended = 0 ORDER BY job, attempt"));
  while (true) {
    TY_ASSIGN_OR_RETURN(const bool found, attempts.Step());
    if (!found) break;
    AttemptRecord record;
    record.name.attempt = static_cast<int32_t>(attempts.Int(1));
    record.token_sha256 = attempts.Text(2);
    record.session_key_sha256 = attempts.Text(3);
    record.worker_sequence = attempts.Int(4);
    record.executor = attempts.Text(5);
    record.process = attempts.Text(6);
    open.push_back({attempts.Int(0), std::move(record)});
  }

  TY_ASSIGN_OR_RETURN(
      Statement jobs,
      database.PrepareOnce(SelectJobs("project, id") +
                           "WHERE state IN (1, 2, 3, 4) ORDER BY create_time, jobs.job"));
  static_assert(v1::Job::STATE_QUEUED == 1 && v1::Job::STATE_STARTING == 2 &&
                v1::Job::STATE_CANCELLING == 4 && v1::Job::STATE_SUCCEEDED == 5);
  std::string bytes;
  while (true) {
    TY_ASSIGN_OR_RETURN(const bool found, jobs.Step());
    if (!found) return absl::OkStatus();
    const int64_t row = jobs.Int(0);
    bytes.clear();
    TY_ASSIGN_OR_RETURN(v1::Job job, JobAt(jobs, bytes));
    std::vector<AttemptRecord> of_job;
    for (auto it = std::lower_bound(open.begin(), open.end(), row,
                                    [](const OpenAttempt&a, int64_t r) { return a.row < r; });
         it != open.end() && it->row == row; ++it) {
      it->record.name.job = {std::string(jobs.Text(5)), std::string(jobs.Text(6))};
      of_job.push_back(std::move(it->record));
    }
    visit(std::move(job), std::move(of_job));
  }
}

}  // namespace trainyard
