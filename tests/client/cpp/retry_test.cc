#include "client/cpp/retry.h"

#include <gtest/gtest.h>

#include <vector>

#include "proto/schema/violations.h"

namespace trainyard {
namespace {

RetryOptions Options() {
  RetryOptions options;
  options.max_attempts = 4;
  options.initial_backoff = absl::Milliseconds(100);
  options.max_backoff = absl::Milliseconds(300);
  return options;
}

TEST(BackoffTest, DoublesUpToTheBoundBetweenHalfAndWhole) {
  Backoff longest(Options(), [] { return 1.0; });
  Backoff shortest(Options(), [] { return 0.0; });
  for (const int expected : {100, 200, 300, 300}) {
    EXPECT_EQ(longest.Next(), absl::Milliseconds(expected));
    EXPECT_EQ(shortest.Next(), absl::Milliseconds(expected) / 2);
  }
  longest.Reset();
  EXPECT_EQ(longest.Next(), absl::Milliseconds(100));
  EXPECT_EQ(longest.Next(absl::Seconds(7)), absl::Seconds(7));
}

TEST(BackoffTest, IsRandomByDefault) {
  Backoff a(Options());
  Backoff b(Options());
  bool differs = false;
  for (int i = 0; i < 20; ++i) differs = differs || a.Next() != b.Next();
  EXPECT_TRUE(differs);
}

struct Outcome {
  absl::Status status;
  int attempts = 0;
  std::vector<absl::Duration> waits;
};

Outcome Try(const std::vector<absl::Status>& answers, absl::Time deadline) {
  Outcome outcome;
  outcome.status = RetryUnavailable(
      Options(), deadline, [&](absl::Duration wait) { outcome.waits.push_back(wait); },
      [&] { return answers[static_cast<size_t>(outcome.attempts++)]; });
  return outcome;
}

TEST(RetryTest, RepeatsUnavailableUntilItWorks) {
  const Outcome outcome =
      Try({absl::UnavailableError(""), absl::UnavailableError(""), absl::OkStatus()},
          absl::InfiniteFuture());
  EXPECT_TRUE(outcome.status.ok());
  EXPECT_EQ(outcome.attempts, 3);
  EXPECT_EQ(outcome.waits.size(), 2u);
}

TEST(RetryTest, RepeatsNothingElse) {
  for (const absl::Status& status :
       {absl::InternalError(""), absl::DeadlineExceededError(""), absl::AbortedError(""),
        absl::ResourceExhaustedError(""), absl::UnknownError("")}) {
    EXPECT_EQ(Try({status, absl::OkStatus()}, absl::InfiniteFuture()).attempts, 1);
  }
}

TEST(RetryTest, GivesUpAfterTheLastAttempt) {
  const std::vector<absl::Status> answers(10, absl::UnavailableError("down"));
  const Outcome outcome = Try(answers, absl::InfiniteFuture());
  EXPECT_EQ(outcome.attempts, 4);
  EXPECT_TRUE(absl::IsUnavailable(outcome.status));
}

TEST(RetryTest, DoesNotWaitPastTheDeadlineAndHonoursTheServersWish) {
  const absl::Status busy = WithRetryDelay(absl::UnavailableError("busy"), 60);
  EXPECT_EQ(RequestedDelay(busy), absl::Seconds(60));
  EXPECT_EQ(Try({busy, absl::OkStatus()}, absl::Now() + absl::Seconds(10)).attempts, 1);
  const Outcome patient = Try({busy, absl::OkStatus()}, absl::InfiniteFuture());
  EXPECT_EQ(patient.attempts, 2);
  EXPECT_GE(patient.waits[0], absl::Seconds(60));
}

}  // namespace
}  // namespace trainyard
