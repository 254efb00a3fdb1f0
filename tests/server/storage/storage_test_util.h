// Things that the tests of the storage have in common.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "proto/schema/resource_names.h"
#include "proto/schema/violations.h"
#include "server/storage/catalogue.h"
#include "trainyard/v1/job.pb.h"

namespace trainyard {

inline JobName Name(std::string_view id, std::string_view project = "p") {
  return JobName{std::string(project), std::string(id)};
}

// A queued job that was created `seconds` after 1970.
inline v1::Job MakeJob(std::string_view id, int64_t seconds = 1000,
                       std::string_view project = "p") {
  v1::Job job;
  job.set_name(Name(id, project).ToString());
  job.set_state(v1::Job::STATE_QUEUED);
  job.set_algorithm("diagnostic");
  job.mutable_spec()->mutable_diagnostic()->set_steps(3);
  job.mutable_create_time()->set_seconds(seconds);
  job.mutable_update_time()->set_seconds(seconds);
  job.set_etag("e1");
  return job;
}

inline v1::JobEvent MakeLog(int64_t sequence, std::string_view text = "a line") {
  v1::JobEvent event;
  event.set_sequence(sequence);
  event.mutable_time()->set_seconds(sequence);
  event.mutable_log()->set_text(std::string(text));
  return event;
}

inline v1::JobEvent MakeMetric(int64_t sequence, std::string_view name, int64_t step,
                               double value) {
  v1::JobEvent event;
  event.set_sequence(sequence);
  event.mutable_time()->set_seconds(sequence);
  v1::MetricPoint& point = *event.mutable_metrics()->add_points();
  point.set_name(std::string(name));
  point.set_step(step);
  point.set_value(value);
  point.mutable_time()->set_seconds(100 +
                                    std::min(step, std::numeric_limits<int64_t>::max() - 100));
  return event;
}

inline absl::Status Insert(Catalogue& catalogue, const v1::Job& job) {
  return catalogue.WriteAndWait(
      [&](CatalogueTransaction& transaction) { return transaction.InsertJob(job); });
}

inline absl::Status Append(Catalogue& catalogue, const JobName& job,
                           const std::vector<v1::JobEvent>& events) {
  return catalogue.WriteAndWait(
      [&](CatalogueTransaction& transaction) { return transaction.AppendEvents(job, events); });
}

template <typename Messages>
std::vector<std::string> NamesOf(const Messages& messages) {
  std::vector<std::string> names;
  for (const auto& message : messages) {
    const std::string& name = message.name();
    names.push_back(name.substr(name.rfind('/') + 1));
  }
  return names;
}

MATCHER(IsOk, "") {
  *result_listener << arg;
  return arg.ok();
}
MATCHER_P2(FailsWith, code, text, "") {
  *result_listener << arg;
  return arg.code() == code && std::string(arg.message()).find(text) != std::string::npos;
}
// Has exactly one violation, of that field, whose description contains the text.
MATCHER_P2(Violates, field, text, "") {
  *result_listener << arg;
  const std::vector<FieldViolation> violations = ViolationsOf(arg);
  return arg.code() == absl::StatusCode::kInvalidArgument && violations.size() == 1 &&
         violations[0].field == field && violations[0].description.find(text) != std::string::npos;
}
MATCHER_P(EqualsProto, expected, "") {
  google::protobuf::util::MessageDifferencer differencer;
  std::string difference;
  differencer.ReportDifferencesToString(&difference);
  const bool equal = differencer.Compare(expected, arg);
  *result_listener << difference;
  return equal;
}

}  // namespace trainyard
