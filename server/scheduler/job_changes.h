// How events and state changes alter a job. No locks, no input or output.
#pragma once

#include <string_view>

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "server/scheduler/queue.h"
#include "trainyard/v1/job.pb.h"

namespace trainyard {

// At most so many metrics are kept in Job.latest_metrics; the first ones seen stay.
inline constexpr int kMaxLatestMetrics = 100;

google::protobuf::Timestamp ToProto(absl::Time time);
google::protobuf::Duration ToProto(absl::Duration duration);
absl::Time FromProto(const google::protobuf::Timestamp& time);
absl::Duration FromProto(const google::protobuf::Duration& duration);

// Takes over what an event with a sequence number says: newest sequence, progress, metrics.
void ApplyEvent(const v1::JobEvent& event, v1::Job& job);

// Fills in the output-only fields of a new job, which goes to STATE_QUEUED. Returns its first
// event.
v1::JobEvent BeginJob(v1::Job& job, absl::Time now);

// Sets the etag that stands for the newest event, a change of state.
void SetEtag(v1::Job& job);

Slots SlotsOf(const v1::Job& job);

}  // namespace trainyard
