// Client::WatchJob: every event exactly once, whatever happens to the connection.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "core/base/mutex.h"
#include "tests/client/cpp/fake_server.h"

namespace trainyard {
namespace {

using testing::WatchCut;

constexpr char kJob[] = "projects/default/jobs/j";

ClientOptions Quick() {
  ClientOptions options;
  options.retry.initial_backoff = absl::Milliseconds(1);
  options.retry.max_backoff = absl::Milliseconds(20);
  options.watch_silence = absl::Milliseconds(100);
  return options;
}

class WatchTest : public ::testing::Test {
 protected:
  void SetUp() override { Connect(Quick()); }
  void Connect(const ClientOptions& options) {
    auto client = Client::Connect(server_.address(), options);
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }

  absl::StatusOr<v1::Job::State> Watch(int64_t from = 1) {
    WatchOptions options;
    options.from_sequence = from;
    options.stop = stop_.get_token();
    options.on_event = [this](const v1::JobEvent& event) {
      seen_.push_back(event.sequence());
      if (on_event_) on_event_(event);
      return absl::OkStatus();
    };
    options.on_reconnect = [this](const absl::Status&, absl::Duration) { ++reconnects_; };
    return client_->WatchJob(kJob, options);
  }

  void ExpectEachOnce(int64_t from, int64_t to) {
    ASSERT_EQ(static_cast<int64_t>(seen_.size()), to - from + 1);
    for (size_t i = 0; i < seen_.size(); ++i) EXPECT_EQ(seen_[i], from + static_cast<int64_t>(i));
  }

  testing::FakeServer server_;
  std::unique_ptr<Client> client_;
  std::stop_source stop_;
  std::vector<int64_t> seen_;
  std::function<void(const v1::JobEvent&)> on_event_;
  int reconnects_ = 0;
};

TEST_F(WatchTest, EndsWithTheTerminalEvent) {
  testing::AddJob(server_.state(), "j", v1::Job::STATE_CANCELLED, 10);
  const auto end = Watch();
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(*end, v1::Job::STATE_CANCELLED);
  ExpectEachOnce(1, 13);
  EXPECT_EQ(reconnects_, 0);
}

TEST_F(WatchTest, BeginsWhereItIsTold) {
  testing::AddJob(server_.state(), "j", v1::Job::STATE_SUCCEEDED, 10);
  ASSERT_TRUE(Watch(7).ok());
  ExpectEachOnce(7, 13);
}

TEST_F(WatchTest, EndsWhenTheJobEndedBeforeTheFirstEventWanted) {
  testing::AddJob(server_.state(), "j", v1::Job::STATE_FAILED, 10);
  const auto end = Watch(14);
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(*end, v1::Job::STATE_FAILED);
  EXPECT_TRUE(seen_.empty());
}

TEST_F(WatchTest, DeliversEachEventOnceThroughRandomCuts) {
  constexpr int kSteps = 200;
  testing::AddJob(server_.state(), "j", v1::Job::STATE_SUCCEEDED, kSteps);
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    {
      const MutexLock lock(&server_.state().mutex);
      server_.state().events_per_batch = 1 + static_cast<int>(random() % 7);
      server_.state().watch_cuts.clear();
      for (int i = 0; i < 12; ++i) {
        constexpr WatchCut::Kind kKinds[] = {WatchCut::kUnavailable, WatchCut::kOk,
                                             WatchCut::kCancelled, WatchCut::kRepeat,
                                             WatchCut::kGap};
        server_.state().watch_cuts.push_back(
            {static_cast<int>(random() % 20), kKinds[random() % 5]});
      }
    }
    seen_.clear();
    const auto end = Watch();
    ASSERT_TRUE(end.ok()) << end.status() << " seed " << seed;
    EXPECT_EQ(*end, v1::Job::STATE_SUCCEEDED);
    ExpectEachOnce(1, kSteps + 3);
  }
}

TEST_F(WatchTest, LeavesAServerThatFallsSilent) {
  testing::AddJob(server_.state(), "j", v1::Job::STATE_SUCCEEDED, 20);
  server_.state().watch_cuts = {{5, WatchCut::kSilence}};
  ASSERT_TRUE(Watch().ok());
  ExpectEachOnce(1, 23);
  EXPECT_EQ(reconnects_, 1);
  EXPECT_EQ(server_.state().watch_starts, (std::vector<int64_t>{1, 6}));
}

TEST_F(WatchTest, SurvivesARestartOfTheServer) {
  testing::AddJob(server_.state(), "j", v1::Job::STATE_SUCCEEDED, 20);
  server_.state().watch_cuts = {{8, WatchCut::kSilence}};
  ClientOptions options = Quick();
  options.watch_silence = absl::Seconds(30);
  Connect(options);
  std::thread restart([this] {
    server_.AwaitCalls("WatchJob", 1);
    server_.Stop();
    server_.Start();
  });
  const auto end = Watch();
  restart.join();
  ASSERT_TRUE(end.ok()) << end.status();
  ExpectEachOnce(1, 23);
  EXPECT_GE(reconnects_, 1);
}

TEST_F(WatchTest, GivesUpOnAServerThatStaysAway) {
  testing::AddJob(server_.state(), "j", v1::Job::STATE_SUCCEEDED, 20);
  ClientOptions options = Quick();
  options.watch_give_up = absl::Milliseconds(50);
  Connect(options);
  server_.Stop();
  EXPECT_TRUE(absl::IsUnavailable(Watch().status()));
}

TEST_F(WatchTest, StopsWhileItWaitsForTheServer) {
  ClientOptions options = Quick();
  options.retry.initial_backoff = options.retry.max_backoff = absl::Hours(1);
  Connect(options);
  server_.Stop();
  std::jthread stopper([this] {
    absl::SleepFor(absl::Milliseconds(20));
    stop_.request_stop();
  });
  EXPECT_TRUE(absl::IsCancelled(Watch().status()));
}

TEST_F(WatchTest, StopsWhenAsked) {
  testing::AddJob(server_.state(), "j", v1::Job::STATE_RUNNING, 4);
  ClientOptions options = Quick();
  options.watch_silence = absl::Seconds(30);
  Connect(options);
  on_event_ = [this](const v1::JobEvent& event) {
    if (event.sequence() == 6) stop_.request_stop();
  };
  EXPECT_TRUE(absl::IsCancelled(Watch().status()));
  ExpectEachOnce(1, 6);
}

TEST_F(WatchTest, PassesOnRefusalsAndErrorsOfTheReader) {
  EXPECT_TRUE(absl::IsNotFound(Watch().status()));
  testing::AddJob(server_.state(), "j", v1::Job::STATE_SUCCEEDED, 4);
  server_.state().failures["WatchJob"] = {absl::OutOfRangeError("too late")};
  EXPECT_TRUE(absl::IsOutOfRange(Watch().status()));
  WatchOptions options;
  options.on_event = [](const v1::JobEvent&) { return absl::ResourceExhaustedError("full"); };
  EXPECT_TRUE(absl::IsResourceExhausted(client_->WatchJob(kJob, options).status()));
}

}  // namespace
}  // namespace trainyard
