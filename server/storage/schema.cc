#include "server/storage/schema.h"

#include <iterator>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace trainyard {
namespace {

// Migration i brings version i to i + 1. A migration that was released never changes; new ones are
// added at the end.
//
// A stored job is the concatenation of partial serialised v1::Job messages, which lie apart so that
// frequent changes stay small: `jobs.status` (changes often), `job_definitions` (what the user
// asked for), `job_histories` (attempts) and `job_reports`. The other columns of `jobs` repeat what
// is searched. Times are nanoseconds since 1970. Events, series and points have no foreign key,
// since those of a deleted job are removed bit by bit (`purges`).
constexpr std::string_view kMigrations[] = {
    // 0 -> 1: jobs.
    R"sql(
CREATE TABLE store (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO store VALUES ('page_token_key', randomblob(32));

CREATE TABLE jobs (
  job INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  id TEXT NOT NULL,
  state INTEGER NOT NULL,
  algorithm TEXT NOT NULL,
  priority INTEGER NOT NULL,
  create_time INTEGER NOT NULL,
  update_time INTEGER NOT NULL,
  display_name TEXT NOT NULL,
  request_id TEXT,
  request_sha256 TEXT,
  status BLOB NOT NULL,
  UNIQUE (project, id)
) STRICT;
CREATE INDEX jobs_by_create_time ON jobs (project, create_time);
CREATE INDEX jobs_by_state ON jobs (state, project, create_time);
CREATE UNIQUE INDEX jobs_by_request ON jobs (project, request_id) WHERE request_id IS NOT NULL;

CREATE TABLE job_definitions (
  job INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
  bytes BLOB NOT NULL
) STRICT;
CREATE TABLE job_histories (
  job INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
  bytes BLOB NOT NULL
) STRICT;
CREATE TABLE job_reports (
  job INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
  bytes BLOB NOT NULL
) STRICT;
CREATE TABLE job_labels (
  job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (job, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE job_datasets (
  job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
  dataset TEXT NOT NULL,
  PRIMARY KEY (job, dataset)
) STRICT, WITHOUT ROWID;
CREATE TABLE attempts (
  job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
  attempt INTEGER NOT NULL,
  token_sha256 TEXT NOT NULL,
  session_key_sha256 TEXT NOT NULL,
  worker_sequence INTEGER NOT NULL,
  executor TEXT NOT NULL,
  process TEXT NOT NULL,
  ended INTEGER NOT NULL,
  PRIMARY KEY (job, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_not_ended ON attempts (job) WHERE ended = 0;
)sql",
    // 1 -> 2: what jobs report while they run.
    R"sql(
CREATE TABLE event_segments (
  key INTEGER PRIMARY KEY,
  count INTEGER NOT NULL,
  events BLOB NOT NULL
) STRICT;
CREATE TABLE metric_series (
  series INTEGER PRIMARY KEY,
  job INTEGER NOT NULL,
  name TEXT NOT NULL,
  UNIQUE (job, name)
) STRICT;
CREATE TABLE metric_points (
  series INTEGER NOT NULL,
  step INTEGER NOT NULL,
  value REAL,
  time INTEGER NOT NULL,
  PRIMARY KEY (series, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE purges (job INTEGER PRIMARY KEY) STRICT;
)sql",
    // 2 -> 3: data sets, models and other things whose bytes are blobs.
    R"sql(
CREATE TABLE datasets (
  dataset INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  id TEXT NOT NULL,
  version_count INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  UNIQUE (project, id)
) STRICT;
CREATE TABLE dataset_versions (
  dataset INTEGER NOT NULL REFERENCES datasets ON DELETE CASCADE,
  version INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  UNIQUE (dataset, version)
) STRICT;
CREATE TABLE models (
  model INTEGER PRIMARY KEY,
  project TEXT NOT NULL,
  id TEXT NOT NULL,
  create_time INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  details BLOB NOT NULL,
  UNIQUE (project, id)
) STRICT;
CREATE INDEX models_by_create_time ON models (project, create_time);
CREATE TABLE model_files (
  model INTEGER NOT NULL REFERENCES models ON DELETE CASCADE,
  path TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  PRIMARY KEY (model, path)
) STRICT, WITHOUT ROWID;
CREATE TABLE checkpoints (
  job INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
  step INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  size_bytes INTEGER NOT NULL
) STRICT;
)sql",
    // 3 -> 4: small files of models; NULL: the file is a blob. Attempts that have not ended are found
    // by their jobs, so that each write of an attempt is one page less.
    R"sql(
ALTER TABLE model_files ADD COLUMN content BLOB;
DROP INDEX attempts_not_ended;
)sql",
};

absl::Status RunMigration(Database& database, int from) {
  TY_RETURN_IF_ERROR(database.Execute("BEGIN IMMEDIATE"));
  absl::Status status = database.Execute(kMigrations[from]);
  if (status.ok()) {
    status = database.Execute(absl::StrCat("PRAGMA application_id = ", kCatalogueApplicationId,
                                           "; PRAGMA user_version = ", from + 1, "; COMMIT"));
  }
  if (!status.ok() && database.in_transaction()) database.Execute("ROLLBACK").IgnoreError();
  return AddContext(status, absl::StrCat("migrating the schema from version ", from));
}

}  // namespace

int NewestSchemaVersion() { return static_cast<int>(std::size(kMigrations)); }

absl::StatusOr<int> ReadSchemaVersion(Database& database) {
  TY_ASSIGN_OR_RETURN(const int64_t application,
                      database.QueryInt("SELECT application_id FROM pragma_application_id"));
  TY_ASSIGN_OR_RETURN(const int64_t tables,
                      database.QueryInt("SELECT count(*) FROM sqlite_schema"));
  TY_ASSIGN_OR_RETURN(const int64_t found,
                      database.QueryInt("SELECT user_version FROM pragma_user_version"));
  const bool is_new = tables == 0 && application == 0 && found == 0;
  if (!is_new && application != kCatalogueApplicationId) {
    return absl::DataLossError("the file is a database, but no catalogue of Trainyard");
  }
  if (found > NewestSchemaVersion()) {
    return absl::FailedPreconditionError(absl::StrCat("the catalogue has schema version ", found,
                                                      ", this build knows ", NewestSchemaVersion(),
                                                      " at most: start a newer build"));
  }
  if (found < 0 || (!is_new && found == 0)) {
    return absl::DataLossError(absl::StrCat("the catalogue has the schema version ", found));
  }
  return static_cast<int>(found);
}

absl::Status MigrateSchema(Database& database, int version) {
  TY_ASSIGN_OR_RETURN(const int found, ReadSchemaVersion(database));
  for (int from = found; from < version; ++from) {
    TY_RETURN_IF_ERROR(RunMigration(database, from));
  }
  return absl::OkStatus();
}

}  // namespace trainyard
