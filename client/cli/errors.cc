#include "client/cli/errors.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/cli/json.h"
#include "client/cli/text.h"
#include "client/cpp/files.h"
#include "proto/schema/violations.h"

namespace trainyard::cli {
namespace {

// The flag that sets the field of a violation, for fields of an algorithm's spec.
std::string FlagOf(const std::string& field) {
  const std::vector<std::string> parts = absl::StrSplit(field, absl::MaxSplits('.', 3));
  if (parts.size() < 4 || parts[0] != "job" || parts[1] != "spec") return "";
  return absl::StrCat("--", absl::StrReplaceAll(parts[3], {{"_", "-"}}));
}

}  // namespace

absl::Status UsageError(std::string_view message) {
  return WithReason(absl::InvalidArgumentError(absl::string_view(message.data(), message.size())),
                    kUsageReason);
}

absl::Status AsUsageError(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  return UsageError(absl::StrCat(std::string(context), ": ", status.message()));
}

ExitCode ExitCodeOf(const absl::Status& status) {
  if (status.ok()) return kSuccess;
  const std::string reason = ReasonOf(status);
  if (reason == kUsageReason || reason == kLocalFileReason) return kWrongUsage;
  if (reason == kInterruptedReason) return kInterrupted;
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) return kConnectionLost;
  return kRejected;
}

ExitCode ExitCodeOf(v1::Job::State state) {
  switch (state) {
    case v1::Job::STATE_FAILED:
      return kJobFailed;
    case v1::Job::STATE_CANCELLED:
      return kJobCancelled;
    default:
      return kSuccess;
  }
}

absl::Status ErrorOf(const v1::Job& job) {
  const bool has_code = job.error().code() != 0;
  absl::Status status(
      has_code ? static_cast<absl::StatusCode>(job.error().code()) : absl::StatusCode::kUnknown,
      job.error().message().empty() ? absl::StrCat(job.name(), " failed") : job.error().message());
  for (const auto& detail : job.error().details()) {
    status.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  }
  if (ReasonOf(status).empty()) {
    status = WithReason(std::move(status), v1::Attempt::EndCause_Name(job.end_cause()));
  }
  return status;
}

std::string ErrorToJson(const absl::Status& status) {
  std::string json =
      absl::StrCat("{\"error\":{\"code\":", JsonQuote(absl::StatusCodeToString(status.code())),
                   ",\"message\":", JsonQuote(std::string(status.message())),
                   ",\"reason\":", JsonQuote(ReasonOf(status)), ",\"violations\":[");
  const char* separator = "";
  for (const FieldViolation& violation : ViolationsOf(status)) {
    absl::StrAppend(&json, separator, "{\"field\":", JsonQuote(violation.field),
                    ",\"description\":", JsonQuote(violation.description), "}");
    separator = ",";
  }
  return absl::StrCat(json, "]}}\n");
}

std::string ErrorToText(const absl::Status& status, const Terminal& terminal) {
  const std::vector<FieldViolation> violations = ViolationsOf(status);
  const std::string title = terminal.Paint("error:", Colour::kRed);
  if (violations.empty()) {
    std::string text = absl::StrCat(title, " ");
    for (const absl::string_view line : absl::StrSplit(status.message(), '\n')) {
      absl::StrAppend(&text, Printable(std::string_view(line.data(), line.size())), "\n");
    }
    return text;
  }
  std::string text = absl::StrCat(title, " the server rejected the request\n");
  for (const FieldViolation& violation : violations) {
    const std::string flag = FlagOf(violation.field);
    absl::StrAppend(&text, "  ", terminal.Paint(Printable(violation.field), Colour::kBold),
                    flag.empty() ? "" : absl::StrCat(" (", Printable(flag), ")"), ": ",
                    Printable(violation.description), "\n");
  }
  return text;
}

}  // namespace trainyard::cli
