// Feeds arbitrary text to the reader of spec files, JSON and protobuf text format. The first byte
// chooses the algorithm; the rest is the file.
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/field_comparator.h>
#include <google/protobuf/util/message_differencer.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "client/cli/json.h"
#include "client/cli/spec_file.h"
#include "proto/schema/field_rules.h"
#include "proto/schema/violations.h"

namespace trainyard::cli {
namespace {

void Check(bool condition) {
  if (!condition) std::abort();
}

bool SameJob(const v1::Job& a, const v1::Job& b) {
  google::protobuf::util::MessageDifferencer differencer;
  google::protobuf::util::DefaultFieldComparator comparator;
  comparator.set_treat_nan_as_equal(true);
  differencer.set_field_comparator(&comparator);
  return differencer.Compare(a, b);
}

// What was read is printed, and the print reads as the same job. A job in which nothing is set
// prints as the empty text, which reads as a spec with nothing set.
void CheckRoundTrip(const v1::Job& job, std::string_view algorithm) {
  std::string text;
  Check(google::protobuf::TextFormat::PrintToString(job, &text));
  v1::Job again;
  const absl::Status from_text = MergeSpecText(text, algorithm, again);
  Check(from_text.ok() && (text.empty() || SameJob(job, again)));
  again.Clear();
  const absl::Status from_json = MergeSpecText(ToJson(job), algorithm, again);
  Check(from_json.ok() && SameJob(job, again));
}

// What the server does with a spec before any algorithm sees it.
void Resolve(v1::Job job) {
  FillDefaults(job);
  const std::string once = job.SerializeAsString();
  FillDefaults(job);
  Check(job.SerializeAsString() == once);
  Violations violations;
  CheckFieldRules(job, "job", violations);
}

void Run(uint8_t choice, std::string_view text) {
  const std::string_view algorithm = (choice & 1) != 0 ? "hierarchical_shrinkage" : "diagnostic";
  v1::Job job;
  const absl::Status status = MergeSpecText(text, algorithm, job);
  if (!status.ok()) {
    Check(status.code() == absl::StatusCode::kInvalidArgument && !status.message().empty());
    return;
  }
  CheckRoundTrip(job, algorithm);
  Resolve(std::move(job));
}

}  // namespace
}  // namespace trainyard::cli

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);  // it would tell of every document that does not parse
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  trainyard::cli::Run(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
