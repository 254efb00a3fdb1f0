// What the server alone knows of jobs: requests, attempts, checkpoints, and rows still to be
// removed.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "server/storage/job_rows.h"
#include "server/storage/schema.h"

namespace trainyard {
namespace {

// Deletes rows of one deleted job with `sql`, which takes its row id and a limit. Answers how many
// of `limit` are left.
absl::StatusOr<int> DeleteSome(Database& database, std::string_view sql, int64_t first,
                               int64_t second, int limit) {
  if (limit <= 0) return 0;
  TY_ASSIGN_OR_RETURN(Statement statement, database.Prepare(sql));
  TY_RETURN_IF_ERROR(statement.Bind(first).Bind(second).Bind(int64_t{limit}).Run());
  return limit - static_cast<int>(database.changes());
}

absl::StatusOr<int> PurgeJob(Database& database, int64_t job, int limit) {
  TY_ASSIGN_OR_RETURN(
      limit, DeleteSome(database,
                        "DELETE FROM event_segments WHERE key IN (SELECT key FROM event_segments "
                        "WHERE key BETWEEN ? AND ? LIMIT ?)",
                        job << kSequenceBits, job << kSequenceBits | kMaxSequence, limit));
  while (limit > 0) {
    TY_ASSIGN_OR_RETURN(Statement next,
                        database.Prepare("SELECT series FROM metric_series WHERE job = ? LIMIT 1"));
    TY_ASSIGN_OR_RETURN(const bool found, next.Bind(job).Step());
    if (!found) break;
    const int64_t series = next.Int(0);
    TY_ASSIGN_OR_RETURN(
        limit, DeleteSome(database,
                          "DELETE FROM metric_points WHERE series = ?1 AND step IN (SELECT step "
                          "FROM metric_points WHERE series = ?2 LIMIT ?3)",
                          series, series, limit));
    if (limit <= 0) break;
    TY_ASSIGN_OR_RETURN(Statement remove,
                        database.Prepare("DELETE FROM metric_series WHERE series = ?"));
    TY_RETURN_IF_ERROR(remove.Bind(series).Run());
    --limit;
  }
  if (limit <= 0) return 0;
  TY_ASSIGN_OR_RETURN(Statement done, database.Prepare("DELETE FROM purges WHERE job = ?"));
  TY_RETURN_IF_ERROR(done.Bind(job).Run());
  return limit - 1;
}

}  // namespace

absl::StatusOr<bool> PurgeSomeRows(Database& database, int limit) {
  while (true) {
    TY_ASSIGN_OR_RETURN(Statement next, database.Prepare("SELECT job FROM purges LIMIT 1"));
    TY_ASSIGN_OR_RETURN(const bool found, next.Step());
    if (!found) return false;
    if (limit <= 0) return true;
    const int64_t job = next.Int(0);
    next.Reset();
    TY_ASSIGN_OR_RETURN(limit, PurgeJob(database, job, limit));
  }
}

absl::StatusOr<std::optional<RequestRecord>> ReadRequest(Database& database,
                                                         std::string_view project,
                                                         std::string_view request_id) {
  TY_ASSIGN_OR_RETURN(Statement statement,
                      database.Prepare("SELECT id, request_sha256 FROM jobs WHERE project = ? AND "
                                       "request_id = ?"));
  TY_ASSIGN_OR_RETURN(const bool found, statement.Bind(project).Bind(request_id).Step());
  if (!found) return std::nullopt;
  return RequestRecord{{std::string(project), std::string(statement.Text(0))},
                       std::string(statement.Text(1))};
}

absl::Status WriteRequest(Database& database, std::string_view project, std::string_view request_id,
                          const RequestRecord& record) {
  if (record.job.project != project) {
    return absl::InvalidArgumentError(absl::StrCat("the request of project '", AbslView(project),
                                                   "' cannot have made '", record.job.ToString(),
                                                   "'"));
  }
  TY_ASSIGN_OR_RETURN(const int64_t row, FindJobRow(database, record.job));
  TY_ASSIGN_OR_RETURN(
      Statement statement,
      database.Prepare("UPDATE jobs SET request_id = ?, request_sha256 = ? WHERE job = ?"));
  absl::Status written =
      statement.Bind(request_id).Bind(std::string_view(record.content_sha256)).Bind(row).Run();
  if (absl::IsAlreadyExists(written)) {
    return absl::AlreadyExistsError(
        absl::StrCat("request id '", AbslView(request_id), "' was used for another job"));
  }
  return written;
}

absl::Status WriteAttempt(Database& database, const AttemptRecord& attempt) {
  TY_ASSIGN_OR_RETURN(const int64_t row, FindJobRow(database, attempt.name.job));
  TY_ASSIGN_OR_RETURN(
      Statement statement,
      database.Prepare("INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
                       "ON CONFLICT DO UPDATE SET token_sha256 = excluded.token_sha256, "
                       "session_key_sha256 = excluded.session_key_sha256, "
                       "worker_sequence = excluded.worker_sequence, "
                       "executor = excluded.executor, process = excluded.process, "
                       "ended = excluded.ended"));
  return statement.Bind(row)
      .Bind(int64_t{attempt.name.attempt})
      .Bind(std::string_view(attempt.token_sha256))
      .Bind(std::string_view(attempt.session_key_sha256))
      .Bind(attempt.worker_sequence)
      .Bind(std::string_view(attempt.executor))
      .Bind(std::string_view(attempt.process))
      .Bind(int64_t{attempt.ended})
      .Run();
}

absl::Status WriteCheckpoint(Database& database, const JobName& job, int64_t step,
                             std::string_view blob_sha256, int64_t size_bytes) {
  TY_ASSIGN_OR_RETURN(const int64_t row, FindJobRow(database, job));
  TY_ASSIGN_OR_RETURN(Statement statement,
                      database.Prepare("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)"));
  return statement.Bind(row).Bind(step).Bind(blob_sha256).Bind(size_bytes).Run();
}

absl::StatusOr<std::optional<std::string>> ReadCheckpoint(Database& database, const JobName& job) {
  TY_ASSIGN_OR_RETURN(const int64_t row, FindJobRow(database, job));
  TY_ASSIGN_OR_RETURN(Statement statement,
                      database.Prepare("SELECT sha256 FROM checkpoints WHERE job = ?"));
  TY_ASSIGN_OR_RETURN(const bool found, statement.Bind(row).Step());
  if (!found) return std::nullopt;
  return std::string(statement.Text(0));
}

}  // namespace trainyard
