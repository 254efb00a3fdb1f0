#include "server/scheduler/job_changes.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/scheduler/job_state.h"

namespace trainyard {

google::protobuf::Timestamp ToProto(absl::Time time) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  google::protobuf::Timestamp result;
  result.set_seconds(seconds);
  result.set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
  return result;
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration result;
  absl::Duration rest;
  result.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  result.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  return result;
}

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

void ApplyEvent(const v1::JobEvent& event, v1::Job& job) {
  job.set_newest_sequence(event.sequence());
  *job.mutable_update_time() = event.time();
  if (event.has_progress()) *job.mutable_progress() = event.progress();
  auto& metrics = *job.mutable_latest_metrics();
  for (const v1::MetricPoint& point : event.metrics().points()) {
    auto found = metrics.find(point.name());
    if (found != metrics.end()) {
      found->second = point.value();
    } else if (static_cast<int>(metrics.size()) < kMaxLatestMetrics) {
      metrics[point.name()] = point.value();
    }
  }
}

void SetEtag(v1::Job& job) {
  // The creation time tells jobs apart that had the same name one after another.
  job.set_etag(absl::StrCat(absl::Hex(absl::ToUnixMicros(FromProto(job.create_time()))), "-",
                            job.newest_sequence()));
}

v1::JobEvent BeginJob(v1::Job& job, absl::Time now) {
  job.clear_start_time();
  job.clear_end_time();
  job.clear_attempts();
  job.clear_error();
  job.clear_end_cause();
  job.clear_progress();
  job.clear_latest_metrics();
  job.clear_report();
  job.clear_model();
  job.clear_queue_position();
  *job.mutable_create_time() = ToProto(now);
  job.set_state(v1::Job::STATE_QUEUED);
  v1::JobEvent event;
  event.set_sequence(1);
  *event.mutable_time() = job.create_time();
  event.mutable_state_change()->set_to(v1::Job::STATE_QUEUED);
  event.mutable_state_change()->set_reason("accepted");
  ApplyEvent(event, job);
  SetEtag(job);
  if (job.algorithm().empty()) {
    const auto* oneof = v1::TrainingSpec::descriptor()->FindOneofByName("spec");
    const auto* field =
        v1::TrainingSpec::GetReflection()->GetOneofFieldDescriptor(job.spec(), oneof);
    if (field != nullptr) job.set_algorithm(field->name());
  }
  return event;
}

Slots SlotsOf(const v1::Job& job) {
  return {job.resources().cpu_threads(), job.resources().gpus(), job.resources().memory_bytes()};
}

}  // namespace trainyard
