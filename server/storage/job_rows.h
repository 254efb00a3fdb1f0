// Jobs and what belongs to them as rows of the catalogue; used by the writer and by readers.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/schema/resource_names.h"
#include "proto/schema/violations.h"
#include "server/storage/catalogue.h"
#include "server/storage/page_token.h"
#include "server/storage/sqlite.h"
#include "trainyard/v1/job.pb.h"

namespace trainyard {

// NOT_FOUND, naming kind and name of what does not exist.
absl::Status NotFound(std::string_view kind, std::string_view name);

// Row id of a job, or NOT_FOUND.
absl::StatusOr<int64_t> FindJobRow(Database& database, const JobName& name);

absl::Status InsertJobRow(Database& database, const v1::Job& job);
absl::Status UpdateJobRow(Database& database, const v1::Job& job);
// Removes the job and begins to remove its events and metrics; what remains of them is left to
// PurgeSomeRows.
absl::Status DeleteJobRow(Database& database, const JobName& name);
// Beginning of a query for jobs, up to its joins: its columns are those that JobAt reads, 0 to 4,
// of which 0 is the row id, and then `columns`.
std::string SelectJobs(std::string_view columns);
// The job of the current row of such a query. Its parts are appended to `bytes`, which holds other
// parts (a report), if any.
absl::StatusOr<v1::Job> JobAt(const Statement& statement, std::string& bytes);
// The job with its report.
absl::StatusOr<v1::Job> ReadJob(Database& database, const JobName& name);
absl::Status VisitUnfinishedJobs(
    Database& database,
    const std::function<void(v1::Job job, std::vector<AttemptRecord> attempts)>& visit);
// A page of jobs, see Catalogue::ListJobs.
absl::StatusOr<JobPage> ListJobRows(Database& database, const PageTokens& tokens,
                                    const JobQuery& query);

absl::StatusOr<std::optional<RequestRecord>> ReadRequest(Database& database,
                                                         std::string_view project,
                                                         std::string_view request_id);
absl::Status WriteRequest(Database& database, std::string_view project, std::string_view request_id,
                          const RequestRecord& record);

absl::Status WriteAttempt(Database& database, const AttemptRecord& attempt);

absl::Status WriteCheckpoint(Database& database, const JobName& job, int64_t step,
                             std::string_view blob_sha256, int64_t size_bytes);
absl::StatusOr<std::optional<std::string>> ReadCheckpoint(Database& database, const JobName& job);

// Removes at most `limit` rows of events and metrics of deleted jobs. False when none are left.
absl::StatusOr<bool> PurgeSomeRows(Database& database, int limit);

// Pages end early when they would become larger than a message may be.
inline constexpr int64_t kMaxPageBytes = int64_t{3} << 20;

// The number of items of a page: 0 means `standard`, more than `most` means `most`;
// INVALID_ARGUMENT violation of `page_size` when negative.
void CheckPageSize(int32_t given, int32_t standard, int32_t most, int32_t& size,
                   Violations& violations);
// Adds what is wrong according to `status`.
void AddViolations(const absl::Status& status, Violations& violations);

}  // namespace trainyard
