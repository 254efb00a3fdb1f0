#include "server/scheduler/worker_events.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "server/execution/small_models.h"

namespace trainyard {
namespace {

using v1::Attempt;

constexpr size_t kMaxMetricNameBytes = 100;
constexpr size_t kMaxLogBytes = 16 << 10;
constexpr size_t kMaxPathBytes = 255;

// `[a-z][a-z0-9_/]*`.
bool IsMetricName(const std::string& name) {
  const auto follows = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '/';
  };
  return !name.empty() && name.size() <= kMaxMetricNameBytes && name[0] >= 'a' && name[0] <= 'z' &&
         std::all_of(name.begin(), name.end(), follows);
}

// Cuts at the last whole character within the bound.
void CutLogLine(std::string& text) {
  if (text.size() <= kMaxLogBytes) return;
  size_t end = kMaxLogBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  text.resize(end);
}

absl::Status CheckSmallFiles(const v1::Finished& finished) {
  if (finished.small_files().empty()) return absl::OkStatus();
  if (finished.end_cause() != Attempt::END_CAUSE_SUCCEEDED) {
    return absl::InvalidArgumentError("files of a model with an end that is no success");
  }
  int64_t bytes = 0;
  std::set<std::string_view> paths;
  for (const v1::SmallModelFile& file : finished.small_files()) {
    TY_RETURN_IF_ERROR(CheckModelPath(file.path()));
    if (!paths.insert(file.path()).second) {
      return absl::InvalidArgumentError(absl::StrCat("the file ", file.path(), " twice"));
    }
    bytes += static_cast<int64_t>(file.data().size());
  }
  if (bytes <= kMaxSmallFileBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("small files of together ", bytes, " bytes; at most ", kMaxSmallFileBytes));
}

}  // namespace

absl::Status CheckWorkerEvent(v1::JobEvent& event) {
  event.clear_sequence();
  event.clear_attempt();
  switch (event.event_case()) {
    case v1::JobEvent::kProgress:
      return absl::OkStatus();
    case v1::JobEvent::kMetrics:
      for (const v1::MetricPoint& point : event.metrics().points()) {
        if (!IsMetricName(point.name())) {
          return absl::InvalidArgumentError(absl::StrCat(
              "a metric named \"", point.name().substr(0, kMaxMetricNameBytes),
              "\", which must be [a-z][a-z0-9_/]* of at most ", kMaxMetricNameBytes, " bytes"));
        }
      }
      return absl::OkStatus();
    case v1::JobEvent::kLog:
      CutLogLine(*event.mutable_log()->mutable_text());
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("an event of kind ", static_cast<int>(event.event_case()),
                       "; workers send progress, metrics and log lines"));
  }
}

absl::Status CheckFinished(const v1::Finished& finished) {
  TY_RETURN_IF_ERROR(CheckSmallFiles(finished));
  switch (finished.end_cause()) {
    case Attempt::END_CAUSE_SUCCEEDED:
    case Attempt::END_CAUSE_USER_ERROR:
    case Attempt::END_CAUSE_DIVERGED:
    case Attempt::END_CAUSE_OUT_OF_MEMORY:
    case Attempt::END_CAUSE_CANCELLED:
    case Attempt::END_CAUSE_WORKER_LOST:
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError(absl::StrCat("an end with cause ",
                                                     static_cast<int>(finished.end_cause()),
                                                     ", which a worker cannot report"));
  }
}

absl::Status CheckModelPath(std::string_view path) {
  const absl::string_view text(path.data(), path.size());
  bool valid = !text.empty() && text.size() <= kMaxPathBytes &&
               text.find('\\') == absl::string_view::npos &&
               text.find('\0') == absl::string_view::npos;
  for (absl::string_view part : absl::StrSplit(text, '/')) {
    valid = valid && !part.empty() && part != "." && part != "..";
  }
  if (valid) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("path \"", text.substr(0, kMaxPathBytes),
                   "\" is not a relative path of at most 255 bytes without . and .."));
}

}  // namespace trainyard
