// Watching: packing, the memory window, slow and late readers.
#include "server/scheduler/job_event_log.h"

#include <atomic>
#include <thread>

#include "core/base/mutex.h"
#include "core/base/notification.h"
#include "google/rpc/error_details.pb.h"
#include "proto/schema/violations.h"
#include "tests/server/scheduler/testing/manager_fixture.h"
#include "trainyard/v1/job_service.pb.h"

namespace trainyard {
namespace {

using v1::Job;

constexpr int64_t kBig = 1 << 20;

v1::WatchJobResponse Parse(const EventBatch& batch) {
  v1::WatchJobResponse response;
  EXPECT_NE(batch.response, nullptr);
  if (batch.response != nullptr) {
    EXPECT_TRUE(response.ParseFromString(*batch.response));
  }
  return response;
}

// Reads until nothing is there now; checks that sequences are dense from `next` on. Returns how
// many events came, and sets `last`.
int Drain(EventReader& reader, int64_t& next, bool* last = nullptr, int64_t max_bytes = kBig) {
  int count = 0;
  while (true) {
    const absl::StatusOr<EventBatch> batch = reader.Next(max_bytes);
    EXPECT_TRUE(batch.ok()) << batch.status();
    if (!batch.ok()) return count;
    if (last != nullptr) *last = batch->last;
    if (batch->response == nullptr) return count;
    const v1::WatchJobResponse response = Parse(*batch);
    EXPECT_GT(response.events_size(), 0);
    for (const v1::JobEvent& event : response.events()) {
      EXPECT_EQ(event.sequence(), next++);
      ++count;
    }
    EXPECT_GE(response.newest_sequence(), next - 1);
    if (batch->last) return count;
  }
}

class EventLogTest : public testing::Test {
 protected:
  void Open(EventLogs::Options options = {}) {
    logs_ = std::make_shared<EventLogs>(options, &catalogue_, [this](std::function<void()> f) {
      MutexLock lock(&mutex_);
      notifications_.push_back(std::move(f));
    });
    log_ = logs_->Open(Name("a"), 0, false);
  }
  // Stores and publishes `count` log lines of `bytes` bytes.
  absl::Duration Publish(int count, int bytes, absl::Duration now, bool end = false) {
    std::vector<v1::JobEvent> events;
    for (int i = 0; i < count; ++i) {
      v1::JobEvent event;
      event.set_sequence(++newest_);
      event.mutable_log()->set_text(std::string(static_cast<size_t>(bytes), 'x'));
      events.push_back(event);
    }
    if (end) {
      v1::JobEvent event;
      event.set_sequence(++newest_);
      event.mutable_state_change()->set_to(Job::STATE_SUCCEEDED);
      events.push_back(event);
    }
    catalogue_.Write(
        [events](CatalogueTransaction& transaction) {
          return transaction.AppendEvents(Name("a"), events);
        },
        [](const absl::Status& status) { EXPECT_TRUE(status.ok()) << status; });
    catalogue_.Commit();
    const absl::Duration flush_time = log_->Publish(events, now);
    Notify();
    return flush_time;
  }
  void Notify() {
    std::vector<std::function<void()>> notifications;
    {
      MutexLock lock(&mutex_);
      notifications.swap(notifications_);
    }
    for (const auto& function : notifications) function();
  }

  FakeCatalogue catalogue_;
  std::shared_ptr<EventLogs> logs_;
  std::shared_ptr<JobEventLog> log_;
  int64_t newest_ = 0;
  Mutex mutex_;
  std::vector<std::function<void()>> notifications_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(EventLogTest, FirstEventIsShownAtOnceLaterOnesArePacked) {
  Open();
  auto reader = log_->NewReader(1);
  int64_t next = 1;
  EXPECT_EQ(Publish(1, 10, absl::Seconds(1)), absl::InfiniteDuration());
  EXPECT_EQ(Drain(*reader, next), 1);
  EXPECT_EQ(Publish(1, 10, absl::Milliseconds(1010)), absl::Milliseconds(1050));
  EXPECT_EQ(Publish(1, 10, absl::Milliseconds(1020)), absl::Milliseconds(1050));
  EXPECT_EQ(Drain(*reader, next), 0);
  log_->Flush(absl::Milliseconds(1050));
  const EventBatch batch = *reader->Next(kBig);
  EXPECT_EQ(Parse(batch).events_size(), 2) << "in one message";
  EXPECT_EQ(Publish(1, 10, absl::Milliseconds(1100)), absl::InfiniteDuration());
}

TEST_F(EventLogTest, FullBatchAndStateChangeDoNotWait) {
  Open();
  auto reader = log_->NewReader(1);
  int64_t next = 1;
  Publish(1, 10, absl::Seconds(1));
  Drain(*reader, next);
  Publish(70, 1000, absl::Seconds(1));  // more than 64 KiB
  EXPECT_GE(Drain(*reader, next), 60);
  bool last = false;
  Publish(0, 0, absl::Seconds(1), true);
  EXPECT_GT(Drain(*reader, next, &last), 0);
  EXPECT_TRUE(last);
}

TEST_F(EventLogTest, ReadersShareTheBytes) {
  Open();
  auto one = log_->NewReader(1);
  auto two = log_->NewReader(1);
  Publish(5, 10, absl::Seconds(1));
  EXPECT_EQ(one->Next(kBig)->response.get(), two->Next(kBig)->response.get());
}

TEST_F(EventLogTest, ReaderMayBeginInTheMiddleAndTakeLittle) {
  Open();
  Publish(10, 100, absl::Seconds(1));
  auto reader = log_->NewReader(4);
  int64_t next = 4;
  EXPECT_EQ(Parse(*reader->Next(250)).events_size(), 2);
  next = 6;
  EXPECT_EQ(Parse(*reader->Next(1)).events_size(), 1) << "at least one";
  next = 7;
  EXPECT_EQ(Drain(*reader, next), 4);
}

TEST_F(EventLogTest, StoppedReaderCostsNoMemoryAndLosesNothing) {
  Open();
  auto stopped = log_->NewReader(1);
  auto lively = log_->NewReader(1);
  int64_t lively_next = 1;
  for (int i = 0; i < 100; ++i) {
    Publish(50, 1000, absl::Seconds(i));
    Drain(*lively, lively_next);
  }
  Publish(0, 0, absl::Seconds(200), true);
  EXPECT_LE(log_->memory_bytes(), (1 << 20) + (128 << 10)) << "of 5 MB published";
  int64_t next = 1;
  bool last = false;
  EXPECT_EQ(Drain(*stopped, next, &last), 5001);
  EXPECT_TRUE(last);
  EXPECT_EQ(Drain(*lively, lively_next, &last), 1);
  EXPECT_TRUE(last);
}

TEST_F(EventLogTest, ManyLogsShareOneBound) {
  EventLogs::Options options;
  options.total_bytes = 300 << 10;
  Open(options);
  Publish(200, 1000, absl::Seconds(1));
  auto other = logs_->Open(Name("b"), 0, false);
  std::vector<v1::JobEvent> events(200);
  for (int i = 0; i < 200; ++i) {
    events[i].set_sequence(i + 1);
    events[i].mutable_log()->set_text(std::string(1000, 'y'));
  }
  other->Publish(events, absl::Seconds(2));
  EXPECT_LE(logs_->memory_bytes(), 300 << 10);
  EXPECT_EQ(log_->memory_bytes(), 0) << "the one that was idle longest gave way";
  int64_t next = 1;
  auto reader = log_->NewReader(1);
  EXPECT_EQ(Drain(*reader, next), 200) << "from the catalogue";
}

TEST_F(EventLogTest, NotifiesOnceWhenReady) {
  Open();
  auto reader = log_->NewReader(1);
  int calls = 0;
  reader->NotifyWhenReady([&] { ++calls; });
  EXPECT_EQ(calls, 0);
  Publish(1, 10, absl::Seconds(1));
  EXPECT_EQ(calls, 1);
  Publish(1, 10, absl::Seconds(2));
  EXPECT_EQ(calls, 1);
  reader->NotifyWhenReady([&] { ++calls; });
  EXPECT_EQ(calls, 2) << "something is there";
}

TEST_F(EventLogTest, NewNotificationReplacesTheOldAndDestructionCancels) {
  Open();
  auto reader = log_->NewReader(1);
  int first = 0;
  int second = 0;
  reader->NotifyWhenReady([&] { ++first; });
  reader->NotifyWhenReady([&] { ++second; });
  Publish(1, 10, absl::Seconds(1));
  EXPECT_EQ(first, 0);
  EXPECT_EQ(second, 1);
  int64_t next = 1;
  Drain(*reader, next);
  reader->NotifyWhenReady([&] { ++first; });
  reader = nullptr;
  Publish(1, 10, absl::Seconds(2));
  EXPECT_EQ(first, 0);
}

TEST_F(EventLogTest, ReaderMayDieInItsOwnCallback) {
  Open();
  auto reader = log_->NewReader(1);
  reader->NotifyWhenReady([&] { reader = nullptr; });
  Publish(1, 10, absl::Seconds(1));
  EXPECT_EQ(reader, nullptr);
}

TEST_F(EventLogTest, DestructorWaitsForARunningCallback) {
  Open();
  auto reader = log_->NewReader(1);
  Notification entered;
  Notification leave;
  std::atomic<bool> left = false;
  reader->NotifyWhenReady([&] {
    entered.Notify();
    leave.WaitForNotification();
    left = true;
  });
  std::thread publisher([&] { Publish(1, 10, absl::Seconds(1)); });
  entered.WaitForNotification();
  std::thread releaser([&] { leave.Notify(); });
  reader = nullptr;
  EXPECT_TRUE(left);
  publisher.join();
  releaser.join();
}

TEST_F(EventLogTest, ReadersAndPublisherInThreads) {
  Open();
  constexpr int kReaders = 8;
  constexpr int kEvents = 20'000;
  std::vector<std::thread> threads;
  for (int i = 0; i < kReaders; ++i) {
    threads.emplace_back([&] {
      auto reader = log_->NewReader(1);
      int64_t next = 1;
      bool last = false;
      while (!last) {
        Notification ready;
        reader->NotifyWhenReady([&] { ready.Notify(); });
        ready.WaitForNotification();
        Drain(*reader, next, &last);
      }
      EXPECT_EQ(next, kEvents + 2);
    });
  }
  for (int i = 0; i < kEvents / 100; ++i) Publish(100, 20, absl::Milliseconds(60 * i));
  Publish(0, 0, absl::Hours(1), true);
  for (std::thread& thread : threads) thread.join();
}

class WatchTest : public ManagerTest {};

TEST_F(WatchTest, FollowsAJobFromBeginningToEnd) {
  Start();
  ASSERT_TRUE(Create(NewJob("a")).ok());
  auto reader = *manager_->Watch(Name("a"), 0);
  int64_t next = 1;
  bool last = false;
  EXPECT_EQ(Drain(*reader, next, &last), 2);
  int calls = 0;
  reader->NotifyWhenReady([&] { ++calls; });
  Worker worker = Connect("a");
  EXPECT_EQ(calls, 1);
  ASSERT_TRUE(SendMetrics(worker, 100).ok());
  Advance(absl::Milliseconds(60));
  Drain(*reader, next, &last);
  EXPECT_FALSE(last);
  Succeed(worker);
  Drain(*reader, next, &last);
  EXPECT_TRUE(last);
  EXPECT_EQ(next, Get("a").newest_sequence() + 1);
}

TEST_F(WatchTest, LateReaderOfAnEndedJob) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(SendMetrics(worker, 100).ok());
  Succeed(worker);
  EXPECT_EQ(manager_->event_log_bytes(), 0) << "ended jobs are read from the store";
  const int64_t newest = Get("a").newest_sequence();
  auto reader = *manager_->Watch(Name("a"), 1);
  int64_t next = 1;
  bool last = false;
  EXPECT_EQ(Drain(*reader, next, &last, 500), newest);
  EXPECT_TRUE(last);
  auto after_the_end = *manager_->Watch(Name("a"), newest + 1);
  const EventBatch nothing = *after_the_end->Next(kBig);
  EXPECT_EQ(nothing.response, nullptr);
  EXPECT_TRUE(nothing.last);
  bool ready = false;
  after_the_end->NotifyWhenReady([&] { ready = true; });
  EXPECT_TRUE(ready);
}

TEST_F(WatchTest, BeyondTheNewestIsOutOfRange) {
  Start();
  ASSERT_TRUE(Create(NewJob("a", 4)).ok());
  ASSERT_TRUE(Create(NewJob("b", 4)).ok());
  EXPECT_TRUE(manager_->Watch(Name("b"), 2).ok());
  const absl::Status status = manager_->Watch(Name("b"), 3).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(info.ParseFromString(
      std::string(*status.GetPayload({kErrorInfoPayload.data(), kErrorInfoPayload.size()}))));
  EXPECT_EQ(info.metadata().at("newest_sequence"), "1");
  EXPECT_EQ(manager_->Watch(Name("c"), 1).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(WatchTest, QueuedJobsWatcherSeesTheCancellation) {
  Start();
  ASSERT_TRUE(Create(NewJob("a", 4)).ok());
  ASSERT_TRUE(Create(NewJob("b", 4)).ok());
  auto reader = *manager_->Watch(Name("b"), 1);
  int64_t next = 1;
  bool last = false;
  EXPECT_EQ(Drain(*reader, next, &last), 1);
  ASSERT_TRUE(Cancel("b").ok());
  EXPECT_EQ(Drain(*reader, next, &last), 1);
  EXPECT_TRUE(last);
}

TEST_F(WatchTest, ShutdownEndsReadersWithUnavailable) {
  Start();
  ASSERT_TRUE(Create(NewJob("a")).ok());
  auto reader = *manager_->Watch(Name("a"), 3);
  bool ready = false;
  reader->NotifyWhenReady([&] { ready = true; });
  manager_->Shutdown();
  EXPECT_TRUE(ready);
  EXPECT_EQ(reader->Next(kBig).status().code(), absl::StatusCode::kUnavailable);
  Crash();
  EXPECT_EQ(reader->Next(kBig).status().code(), absl::StatusCode::kUnavailable)
      << "a reader may outlive the manager";
}

TEST_F(WatchTest, DeletionEndsReadersWithNotFound) {
  Start();
  Succeed(RunJob("a"));
  auto reader = *manager_->Watch(Name("a"), 1);
  ASSERT_TRUE(Delete("a").ok());
  EXPECT_EQ(reader->Next(kBig).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(WatchTest, HundredReadersSeeTheSame) {
  Start();
  Worker worker = RunJob("a");
  std::vector<std::unique_ptr<EventReader>> readers;
  for (int i = 0; i < 100; ++i) readers.push_back(*manager_->Watch(Name("a"), 1));
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(SendMetrics(worker, 20).ok());
    Advance(absl::Milliseconds(20));
  }
  Succeed(worker);
  for (auto& reader : readers) {
    int64_t next = 1;
    bool last = false;
    EXPECT_EQ(Drain(*reader, next, &last), 1005);
    EXPECT_TRUE(last);
  }
}

TEST_F(WatchTest, WatcherFollowsAcrossARestart) {
  Start();
  Worker worker = RunJob("a");
  auto reader = *manager_->Watch(Name("a"), 1);
  int64_t next = 1;
  ASSERT_TRUE(SendMetrics(worker, 10).ok());
  Advance(absl::Milliseconds(60));
  Drain(*reader, next);
  Restart();
  EXPECT_EQ(reader->Next(kBig).status().code(), absl::StatusCode::kUnavailable);
  reader = *manager_->Watch(Name("a"), next);
  ASSERT_TRUE(Hello(worker, "").ok());
  Run();
  ASSERT_TRUE(SendMetrics(worker, 10).ok());
  Succeed(worker);
  bool last = false;
  EXPECT_EQ(Drain(*reader, next, &last), 12);
  EXPECT_TRUE(last);
}

}  // namespace
}  // namespace trainyard
