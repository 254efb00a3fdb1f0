#include "server/scheduler/attempt_end.h"

#include <signal.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "proto/schema/violations.h"

namespace trainyard {
namespace {

using v1::Attempt;

constexpr size_t kMaxStderrBytes = 8 << 10;

bool IsForgiven(const Attempt& attempt) { return ReasonOf(attempt.error()) == kServerRestarted; }

int CountForgiven(const v1::Job& job) {
  return static_cast<int>(std::count_if(job.attempts().begin(), job.attempts().end(), IsForgiven));
}

// Replaces what is not UTF-8, so that the text can lie in a message.
std::string AsUtf8(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    size_t length = lead < 0x80 ? 1 : lead >= 0xF0 && lead < 0xF5 ? 4 : lead >= 0xE0 ? 3 : 2;
    bool valid = lead < 0x80 || (lead >= 0xC2 && lead < 0xF5);
    for (size_t k = 1; valid && k < length; ++k) {
      valid = i + k < text.size() && (static_cast<unsigned char>(text[i + k]) & 0xC0) == 0x80;
    }
    if (valid && length == 3) {
      const auto second = static_cast<unsigned char>(text[i + 1]);
      valid = !(lead == 0xE0 && second < 0xA0) && !(lead == 0xED && second > 0x9F);
    } else if (valid && length == 4) {
      const auto second = static_cast<unsigned char>(text[i + 1]);
      valid = !(lead == 0xF0 && second < 0x90) && !(lead == 0xF4 && second > 0x8F);
    }
    if (!valid) length = 1;
    if (valid) {
      clean.append(text.substr(i, length));
    } else {
      clean.push_back('?');
    }
    i += length;
  }
  return clean;
}

absl::StatusCode CodeOf(Attempt::EndCause cause) {
  switch (cause) {
    case Attempt::END_CAUSE_USER_ERROR:
      return absl::StatusCode::kInvalidArgument;
    case Attempt::END_CAUSE_DIVERGED:
      return absl::StatusCode::kOutOfRange;
    case Attempt::END_CAUSE_OUT_OF_MEMORY:
      return absl::StatusCode::kResourceExhausted;
    case Attempt::END_CAUSE_TIME_LIMIT:
      return absl::StatusCode::kDeadlineExceeded;
    case Attempt::END_CAUSE_CANCELLED:
      return absl::StatusCode::kCancelled;
    case Attempt::END_CAUSE_WORKER_LOST:
    case Attempt::END_CAUSE_PREEMPTED:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

bool AllowsRetry(Attempt::EndCause cause) {
  return cause == Attempt::END_CAUSE_WORKER_LOST || cause == Attempt::END_CAUSE_PREEMPTED ||
         cause == Attempt::END_CAUSE_SERVER_FAULT;
}

bool HasAttemptsLeft(const v1::Job& job) {
  const int forgiven = std::min(CountForgiven(job), kMaxForgivenAttempts);
  const int limit = job.has_max_attempts() ? job.max_attempts() : 3;
  return job.attempts_size() - forgiven < limit;
}

absl::Duration RetryBackoff(const v1::Job& job, absl::Duration first, absl::Duration longest) {
  if (job.attempts_size() == 0 || IsForgiven(*job.attempts().rbegin())) {
    return absl::ZeroDuration();
  }
  absl::Duration pause = first;
  for (int i = job.attempts_size() - CountForgiven(job); i > 1 && pause < longest; --i) pause *= 2;
  return std::min(pause, longest);
}

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  google::rpc::Status result;
  result.set_code(static_cast<int>(status.code()));
  result.set_message(AsUtf8({status.message().data(), status.message().size()}));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    auto* detail = result.add_details();
    detail->set_type_url(std::string(url));
    detail->set_value(std::string(payload));
  });
  return result;
}

std::string ReasonOf(const google::rpc::Status& status) {
  for (const auto& detail : status.details()) {
    google::rpc::ErrorInfo info;
    if (detail.Is<google::rpc::ErrorInfo>() && detail.UnpackTo(&info)) return info.reason();
  }
  return "";
}

absl::Status EndError(Attempt::EndCause cause, std::string_view message) {
  return absl::Status(CodeOf(cause), absl::string_view(message.data(), message.size()));
}

std::string SignalName(int signal) {
  const char* name = sigabbrev_np(signal);
  return name != nullptr ? absl::StrCat("SIG", name) : absl::StrCat("SIG", signal);
}

std::string DescribeExit(const WorkerExit& exit, const v1::Progress& progress) {
  std::string text;
  if (exit.out_of_memory) {
    text = "worker was killed for going over its memory limit";
  } else if (exit.signal != 0) {
    text = absl::StrCat("worker died of signal ", exit.signal, " (", SignalName(exit.signal), ")");
  } else if (exit.exit_code.has_value()) {
    text = absl::StrCat("worker exited with code ", *exit.exit_code, " before it had finished");
  } else {
    text = "worker ended in an unknown way";
  }
  if (!progress.phase().empty()) absl::StrAppend(&text, " in phase \"", progress.phase(), "\"");
  if (progress.step() > 0 || progress.step_count() > 0) {
    absl::StrAppend(&text, " at step ", progress.step());
    if (progress.step_count() > 0) absl::StrAppend(&text, " of ", progress.step_count());
  }
  return text;
}

void RecordExit(const WorkerExit& exit, Attempt& attempt) {
  if (exit.exit_code.has_value()) attempt.set_exit_code(*exit.exit_code);
  attempt.set_exit_signal(exit.signal);
  if (exit.peak_memory_bytes > 0) attempt.set_peak_memory_bytes(exit.peak_memory_bytes);
  if (attempt.end_cause() == Attempt::END_CAUSE_SUCCEEDED) return;
  std::string_view tail = exit.stderr_tail;
  if (tail.size() > kMaxStderrBytes) tail.remove_prefix(tail.size() - kMaxStderrBytes);
  attempt.set_stderr_tail(AsUtf8(tail));
}

}  // namespace trainyard
