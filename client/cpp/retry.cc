#include "client/cpp/retry.h"

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"
#include "proto/schema/violations.h"

namespace trainyard {
namespace {

std::function<double()> SystemUniform() {
  auto engine = std::make_shared<std::minstd_rand>(std::random_device()());
  return [engine] { return std::uniform_real_distribution<double>(0, 1)(*engine); };
}

}  // namespace

Backoff::Backoff(const RetryOptions& options, std::function<double()> uniform)
    : options_(options),
      uniform_(uniform ? std::move(uniform) : SystemUniform()),
      bound_(options.initial_backoff) {}

absl::Duration Backoff::Next(absl::Duration at_least) {
  const absl::Duration wait = bound_ * (0.5 + 0.5 * uniform_());
  bound_ = std::min(bound_ * std::max(1.0, options_.multiplier), options_.max_backoff);
  return std::max(wait, at_least);
}

absl::Duration RequestedDelay(const absl::Status& status) {
  const auto payload =
      status.GetPayload(absl::string_view(kRetryInfoPayload.data(), kRetryInfoPayload.size()));
  google::rpc::RetryInfo info;
  if (!payload.has_value() || !info.ParseFromString(std::string(*payload))) {
    return absl::ZeroDuration();
  }
  return absl::Seconds(info.retry_delay().seconds()) +
         absl::Nanoseconds(info.retry_delay().nanos());
}

absl::Status RetryUnavailable(const RetryOptions& options, absl::Time deadline,
                              const std::function<void(absl::Duration)>& sleep,
                              const std::function<absl::Status()>& attempt) {
  Backoff backoff(options);
  for (int count = 1;; ++count) {
    absl::Status status = attempt();
    if (!absl::IsUnavailable(status) || count >= options.max_attempts) return status;
    const absl::Duration wait = backoff.Next(RequestedDelay(status));
    if (absl::Now() + wait >= deadline) return status;
    sleep(wait);
  }
}

}  // namespace trainyard
