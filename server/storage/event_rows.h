// Events and metric points of jobs as rows of the catalogue.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/storage/catalogue.h"
#include "server/storage/page_token.h"
#include "server/storage/sqlite.h"
#include "trainyard/v1/job.pb.h"

namespace trainyard {

// Events lie in segments: one row holds several events of one job in order, as the field `events`
// of a serialised v1::WatchJobResponse. `job_row` is what FindJobRow answers.

// SQL for the sequence number of the newest event of the job in that column; NULL when it has none.
std::string NewestSequenceSql(std::string_view job_column);

// Sequence number of the job's newest event; 0 when it has none.
absl::StatusOr<int64_t> NewestSequence(Database& database, int64_t job_row);

// See CatalogueTransaction::AppendEvents.
absl::Status AppendEventRows(Database& database, int64_t job_row,
                             std::span<const v1::JobEvent> events);

// See Catalogue::ReadEvents.
absl::StatusOr<std::vector<v1::JobEvent>> ReadEventRows(Database& database, int64_t job_row,
                                                        int64_t from_sequence, int max_events,
                                                        int64_t max_bytes);

// Problems with the events of all jobs: gaps, segments that cannot be read.
absl::StatusOr<std::vector<std::string>> FindEventProblems(Database& database);

// Adds or replaces points of a job's metrics history. Of points of the same metric and step the one
// written last stays: an attempt that goes on from a checkpoint repeats steps.
absl::Status WriteMetricPoints(Database& database, int64_t job_row,
                               std::span<const v1::JobEvent> events);

// See Catalogue::ListMetrics.
absl::StatusOr<MetricPage> ListMetricRows(Database& database, const PageTokens& tokens,
                                          const MetricQuery& query);

}  // namespace trainyard
