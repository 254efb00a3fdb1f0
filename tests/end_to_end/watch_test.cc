// Watchers over restarts of the server.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/end_to_end/harness.h"

namespace trainyard::e2e {
namespace {

std::vector<v1::JobEvent> ParseEvents(const std::string& lines) {
  std::vector<v1::JobEvent> events;
  for (const absl::string_view line : absl::StrSplit(lines, '\n', absl::SkipEmpty())) {
    EXPECT_TRUE(
        google::protobuf::util::JsonStringToMessage(std::string(line), &events.emplace_back()).ok())
        << line;
  }
  return events;
}

TEST(WatchTest, TwoClientsFollowAcrossRestartsWithoutGapOrRepetition) {
  Service service;
  const std::string id = service.SubmitDiagnostic({"steps=200", "step_seconds=0.02"});
  const auto first = service.StartCommand("first", {"--json", "jobs", "watch", id});
  const auto second = service.StartCommand("second", {"--json", "jobs", "watch", id});
  service.WaitForState(id, {v1::Job::STATE_RUNNING});
  for (int i = 0; i < 2; ++i) {
    absl::SleepFor(absl::Milliseconds(400));
    service.Kill();
    absl::SleepFor(absl::Milliseconds(300));
    service.Start();
  }
  EXPECT_EQ(first->Wait(absl::Seconds(60)), 0);
  EXPECT_EQ(second->Wait(absl::Seconds(60)), 0);
  const v1::Job job = service.WaitForEnd(id);
  EXPECT_EQ(job.state(), v1::Job::STATE_SUCCEEDED);
  const std::string seen_by_first = ReadText(service.folder() / "first.out");
  CheckHistory(job, ParseEvents(seen_by_first));
  EXPECT_EQ(seen_by_first, ReadText(service.folder() / "second.out"));
}

TEST(WatchTest, EndedJobIsReplayedWhole) {
  Service service;
  const std::string id = service.SubmitDiagnostic({"steps=50"}, {"--wait"});
  const auto events = service.Events(id);
  CheckHistory(service.GetJob(id), events);
  int points = 0;
  for (const v1::JobEvent& event : events) points += event.metrics().points_size();
  EXPECT_GE(points, 50);
}

TEST(WatchTest, StartsFromAnySequence) {
  Service service;
  const std::string id = service.SubmitDiagnostic({"steps=5"}, {"--wait"});
  const auto all = service.Events(id);
  const CommandResult tail = service.Run({"--json", "jobs", "watch", id, "--from", "3"});
  const auto events = ParseEvents(tail.out);
  ASSERT_EQ(events.size() + 2, all.size());
  EXPECT_EQ(events[0].sequence(), 3);
}

TEST(WatchTest, WaitingClientSurvivesARestart) {
  Service service;
  const auto waiting = service.StartCommand(
      "waiting", {"--json", "train", "diagnostic", "--set", "steps=100", "--set",
                  "step_seconds=0.02", "--job-id", "waited", "--wait"});
  service.WaitForState("waited", {v1::Job::STATE_RUNNING});
  service.Kill();
  absl::SleepFor(absl::Milliseconds(300));
  service.Start();
  EXPECT_EQ(waiting->Wait(absl::Seconds(60)), 0) << ReadText(service.folder() / "waiting.err");
  v1::Job job;
  EXPECT_TRUE(
      google::protobuf::util::JsonStringToMessage(ReadText(service.folder() / "waiting.out"), &job)
          .ok());
  EXPECT_EQ(job.state(), v1::Job::STATE_SUCCEEDED);
}

}  // namespace
}  // namespace trainyard::e2e
