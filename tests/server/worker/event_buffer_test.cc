#include "server/worker/event_buffer.h"

#include <gtest/gtest.h>

#include <thread>

#include "core/base/notification.h"
#include "core/base/testing/fake_clock.h"

namespace trainyard {
namespace {

class EventBufferTest : public ::testing::Test {
 protected:
  static v1::JobEvent LogEvent(const std::string& text) {
    v1::JobEvent event;
    event.mutable_log()->set_text(text);
    return event;
  }
  // What Take gives; fails when that are no events.
  static v1::WorkerEvents TakeEvents(EventBuffer& buffer) {
    const auto message = buffer.Take();
    EXPECT_TRUE(message.has_value() && message->has_events());
    return message.value_or(v1::WorkerMessage()).events();
  }

  FakeClock clock_;
  EventBuffer::Options options_{.max_bytes = 1000, .clock = &clock_};
};

TEST_F(EventBufferTest, FirstEventGoesAtOnceLaterOnesAreGathered) {
  EventBuffer buffer(options_);
  EXPECT_FALSE(buffer.Take().has_value());
  buffer.AddMetrics(1, {{"loss", 4.0}});
  EXPECT_EQ(TakeEvents(buffer).events_size(), 1);
  buffer.AddMetrics(2, {{"loss", 3.0}, {"rate", 0.1}});
  clock_.Advance(absl::Milliseconds(49));
  buffer.AddMetrics(3, {{"loss", 2.0}});
  EXPECT_FALSE(buffer.Take().has_value());
  clock_.Advance(absl::Milliseconds(1));
  const v1::WorkerEvents events = TakeEvents(buffer);
  EXPECT_EQ(events.first_sequence(), 2);
  ASSERT_EQ(events.events_size(), 1);
  const auto& points = events.events(0).metrics().points();
  ASSERT_EQ(points.size(), 3);
  EXPECT_EQ(points[0].step(), 2);
  EXPECT_EQ(points[1].name(), "rate");
  EXPECT_EQ(points[2].value(), 2.0);
  EXPECT_EQ(points[2].time().seconds(), 1'600'000'000);
  EXPECT_EQ(points[2].time().nanos(), 49'000'000);
  EXPECT_FALSE(buffer.Take().has_value());
}

TEST_F(EventBufferTest, ManyMetricsDoNotWaitForTheDelay) {
  options_.metric_bytes = 500;
  options_.max_bytes = 1 << 20;
  EventBuffer buffer(options_);
  buffer.AddMetrics(0, {{"loss", 4.0}});
  TakeEvents(buffer);
  for (int i = 1; i < 30; ++i) buffer.AddMetrics(i, {{"loss", 4.0}});
  EXPECT_TRUE(buffer.Take().has_value());
}

TEST_F(EventBufferTest, OnlyTheNewestProgressIsKept) {
  EventBuffer buffer(options_);
  v1::Progress progress;
  for (int i = 1; i <= 5; ++i) {
    progress.set_step(i);
    buffer.SetProgress(progress);
  }
  const v1::WorkerEvents events = TakeEvents(buffer);
  ASSERT_EQ(events.events_size(), 1);
  EXPECT_EQ(events.events(0).progress().step(), 5);
}

TEST_F(EventBufferTest, KeepsTheOrderOfMetricsAndLines) {
  EventBuffer buffer(options_);
  buffer.AddMetrics(1, {{"a", 1}});
  buffer.Add(LogEvent("between"));
  buffer.AddMetrics(2, {{"a", 2}});
  const v1::WorkerEvents events = TakeEvents(buffer);
  ASSERT_EQ(events.events_size(), 3);
  EXPECT_EQ(events.first_sequence(), 1);
  EXPECT_EQ(events.events(0).metrics().points(0).step(), 1);
  EXPECT_EQ(events.events(1).log().text(), "between");
  EXPECT_EQ(events.events(2).metrics().points(0).step(), 2);
}

TEST_F(EventBufferTest, MessagesAreBounded) {
  options_.batch_bytes = 200;
  options_.max_bytes = 1 << 20;
  EventBuffer buffer(options_);
  for (int i = 0; i < 10; ++i) buffer.Add(LogEvent(std::string(50, 'x')));
  buffer.Finish(v1::Finished());
  int64_t next = 1;
  while (next <= 10) {
    const v1::WorkerEvents events = TakeEvents(buffer);
    EXPECT_EQ(events.first_sequence(), next);
    EXPECT_LE(events.ByteSizeLong(), 250u);
    next += events.events_size();
  }
  EXPECT_TRUE(buffer.Take()->has_finished());
}

TEST_F(EventBufferTest, FinishedComesLastAndOnce) {
  EventBuffer buffer(options_);
  buffer.AddMetrics(1, {{"a", 1}});
  v1::Finished finished;
  finished.set_end_cause(v1::Attempt::END_CAUSE_SUCCEEDED);
  buffer.Finish(finished);
  buffer.AddMetrics(2, {{"a", 2}});
  buffer.Add(LogEvent("too late"));
  EXPECT_EQ(TakeEvents(buffer).events_size(), 1);
  const auto message = buffer.Take();
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->finished().last_sequence(), 1);
  EXPECT_FALSE(buffer.Take().has_value());
}

TEST_F(EventBufferTest, SendsAgainWhatWasNotAcknowledged) {
  EventBuffer buffer(options_);
  for (int i = 1; i <= 4; ++i) buffer.Add(LogEvent(std::to_string(i)));
  buffer.Finish(v1::Finished());
  EXPECT_EQ(TakeEvents(buffer).events_size(), 4);
  EXPECT_TRUE(buffer.Take()->has_finished());
  buffer.Acknowledge(1);
  buffer.Pause();
  EXPECT_FALSE(buffer.Take().has_value()) << "sent without a connection";
  // The acknowledgement of 3 was lost with the connection; the server tells of it now.
  buffer.Rewind(3);
  const v1::WorkerEvents events = TakeEvents(buffer);
  EXPECT_EQ(events.first_sequence(), 4);
  ASSERT_EQ(events.events_size(), 1);
  EXPECT_EQ(events.events(0).log().text(), "4");
  EXPECT_EQ(buffer.Take()->finished().last_sequence(), 4);
}

TEST_F(EventBufferTest, AddingWaitsWhileTooMuchIsUnacknowledged) {
  EventBuffer buffer(options_);
  Notification full;
  Notification added;
  std::thread training([&] {
    for (int i = 0; i < 3; ++i) buffer.Add(LogEvent(std::string(400, 'x')));
    full.Notify();
    buffer.AddMetrics(1, {{"late", 1}});
    added.Notify();
  });
  full.WaitForNotification();
  EXPECT_EQ(TakeEvents(buffer).events_size(), 3);
  EXPECT_FALSE(added.HasBeenNotified()) << "sent is not yet stored";
  buffer.SetProgress(v1::Progress());  // never waits
  buffer.Acknowledge(3);
  EXPECT_TRUE(added.WaitForNotificationWithTimeout(absl::Seconds(20)));
  training.join();
}

TEST_F(EventBufferTest, CancellationEndsTheWait) {
  EventBuffer buffer(options_);
  Notification added;
  std::thread training([&] {
    for (int i = 0; i < 10; ++i) buffer.Add(LogEvent(std::string(400, 'x')));
    added.Notify();
  });
  buffer.StopWaiting();
  EXPECT_TRUE(added.WaitForNotificationWithTimeout(absl::Seconds(20)));
  training.join();
}

TEST_F(EventBufferTest, InterruptEndsAWaitAlsoOneThatBeginsLater) {
  EventBuffer buffer(EventBuffer::Options{});
  buffer.Interrupt();
  buffer.Wait(absl::Hours(1));
  std::thread waiting([&] { buffer.Wait(absl::Hours(1)); });
  buffer.AddMetrics(1, {{"a", 1}});
  waiting.join();
}

}  // namespace
}  // namespace trainyard
