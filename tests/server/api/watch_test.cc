// WatchJob over a real connection: replay, live events, heartbeats, ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/server/api/worker_player.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr char kJob[] = "projects/default/jobs/busy";
constexpr char kAttempt[] = "projects/default/jobs/busy/attempts/1";

// One reader of WatchJob.
class Watcher {
 public:
  Watcher(TestServer& server, int64_t from_sequence, const std::string& job = kJob)
      : stub_(server.jobs()) {
    v1::WatchJobRequest request;
    request.set_name(job);
    request.set_from_sequence(from_sequence);
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    reader_ = stub_->WatchJob(&context_, request);
  }
  // The next message; nullopt at the end.
  std::optional<v1::WatchJobResponse> Next() {
    v1::WatchJobResponse response;
    if (!reader_->Read(&response)) return std::nullopt;
    return response;
  }
  // Collects events up to this sequence number, checking that none is missing.
  void ReadUpTo(int64_t sequence) {
    while (newest_ < sequence) {
      const auto response = Next();
      ASSERT_TRUE(response.has_value());
      for (const v1::JobEvent& event : response->events()) {
        EXPECT_TRUE(newest_ == 0 || event.sequence() == newest_ + 1) << event.sequence();
        newest_ = event.sequence();
      }
    }
  }
  grpc::Status Finish() {
    while (Next().has_value()) {
    }
    return reader_->Finish();
  }
  void Cancel() { context_.TryCancel(); }
  int64_t newest() const { return newest_; }

 private:
  std::unique_ptr<v1::JobService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::WatchJobResponse>> reader_;
  int64_t newest_ = 0;
};

class WatchTest : public ::testing::Test {
 protected:
  explicit WatchTest(const TestServer::Options& options = {}) : server_(options) {
    v1::Job job;
    EXPECT_TRUE(
        Call(*server_.jobs(), &v1::JobService::Stub::CreateJob, DiagnosticRequest("busy"), job)
            .ok());
  }
  // Connects the job's worker.
  void StartWorker() {
    worker_.emplace(server_);
    worker_->Hello(kAttempt, server_.executor().WaitForLaunch(kAttempt).token);
    worker_->Read();
  }
  void SendMetrics(int64_t first, int count) {
    std::vector<v1::JobEvent> events;
    for (int i = 0; i < count; ++i) events.push_back(MetricEvent("loss", first + i, 1));
    worker_->SendEvents(first, events);
  }
  void EndJob() {
    v1::WorkerMessage message;
    message.mutable_finished()->set_end_cause(v1::Attempt::END_CAUSE_USER_ERROR);
    message.mutable_finished()->mutable_error()->set_code(3);
    message.mutable_finished()->set_last_sequence(sent_);
    worker_->Send(message);
    worker_->ReadUntil(v1::ServerMessage::kFinishedAck);
    server_.executor().Exit(kAttempt, 1);
  }
  int64_t Newest() { return server_.manager().Get(*JobName::Parse(kJob))->newest_sequence(); }

  TestServer server_;
  std::optional<WorkerPlayer> worker_;
  int64_t sent_ = 0;
};

TEST_F(WatchTest, ReplaysThenFollowsToTheEnd) {
  StartWorker();
  SendMetrics(1, 50);
  Watcher from_start(server_, 0);
  from_start.ReadUpTo(50);
  Watcher from_middle(server_, 30);
  const auto first = from_middle.Next();
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->events(0).sequence(), 30);
  SendMetrics(51, 5);
  sent_ = 55;
  EndJob();
  EXPECT_TRUE(from_start.Finish().ok());
  EXPECT_TRUE(from_middle.Finish().ok());
  Watcher late(server_, 1);
  late.ReadUpTo(55);
  EXPECT_TRUE(late.Finish().ok());
}

TEST_F(WatchTest, ManyReadersSeeTheSameEvents) {
  StartWorker();
  std::vector<std::unique_ptr<Watcher>> watchers;
  for (int i = 0; i < 100; ++i) watchers.push_back(std::make_unique<Watcher>(server_, 1));
  for (int64_t first = 1; first <= 200; first += 20) SendMetrics(first, 20);
  const int64_t newest = Newest();
  EXPECT_GE(newest, 200);
  for (const auto& watcher : watchers) watcher->ReadUpTo(newest);
}

TEST_F(WatchTest, RefusesWhatItCannotServe) {
  EXPECT_EQ(Watcher(server_, 1, "projects/default/jobs/nothing").Finish().error_code(),
            grpc::StatusCode::NOT_FOUND);
  const grpc::Status later = Watcher(server_, 1000).Finish();
  EXPECT_EQ(later.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(ErrorInfoOf(later).reason(), "SEQUENCE_OUT_OF_RANGE");
  EXPECT_THAT(later.error_message(), MatchesRegex("from_sequence 1000 of job projects/default/"
                                                  "jobs/[a-z]+ is beyond the newest event \\+ 1, "
                                                  "[0-9]+"));
  EXPECT_EQ(FieldsOf(Watcher(server_, -1).Finish()), std::vector<std::string>{"from_sequence"});
  EXPECT_EQ(FieldsOf(Watcher(server_, 1, "nonsense").Finish()), std::vector<std::string>{"name"});
}

TEST_F(WatchTest, CancelledWatchersGoWhileOthersStay) {
  StartWorker();
  Watcher stays(server_, 1);
  for (int i = 0; i < 20; ++i) {
    Watcher goes(server_, 1);
    if (i % 2 == 0) goes.Next();
    goes.Cancel();
    EXPECT_EQ(goes.Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  SendMetrics(1, 3);
  stays.ReadUpTo(Newest());
}

TEST_F(WatchTest, ShutdownEndsWatchesWithUnavailable) {
  StartWorker();
  Watcher watcher(server_, 1);
  watcher.Next();
  std::thread shutdown([&] { server_.manager().Shutdown(); });
  const grpc::Status status = watcher.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  shutdown.join();
}

class HeartbeatTest : public WatchTest {
 protected:
  static TestServer::Options Impatient() {
    TestServer::Options options;
    options.heartbeat_interval = absl::Milliseconds(20);
    return options;
  }
  HeartbeatTest() : WatchTest(Impatient()) {}
};

TEST_F(HeartbeatTest, SilenceIsBrokenByHeartbeatsWithTheNewestSequence) {
  StartWorker();
  SendMetrics(1, 3);
  const int64_t newest = Newest();
  Watcher watcher(server_, 1);
  watcher.ReadUpTo(newest);
  for (int i = 0; i < 3; ++i) {
    const auto heartbeat = watcher.Next();
    ASSERT_TRUE(heartbeat.has_value());
    EXPECT_EQ(heartbeat->events_size(), 0);
    EXPECT_EQ(heartbeat->newest_sequence(), newest);
  }
  SendMetrics(4, 1);
  watcher.ReadUpTo(newest + 1);
}

}  // namespace
}  // namespace trainyard
