#include "server/scheduler/queue.h"

#include <map>
#include <queue>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace trainyard {
namespace {

using testing::ElementsAre;

const absl::Time kStart = absl::FromUnixSeconds(1'600'000'000);

QueuedJob Job(const std::string& name, const std::string& project, int priority, absl::Time created,
              Slots slots = {1, 0, 0}) {
  return {name, project, priority, created, absl::InfinitePast(), slots};
}

std::unique_ptr<SchedulingQueue> MakeQueue(Slots capacity) {
  SchedulingQueue::Options options;
  options.capacity = capacity;
  return SchedulingQueue::Create(options);
}

std::string Pick(SchedulingQueue& queue, absl::Time now) {
  const auto picked = queue.PickNext(now);
  return picked.has_value() ? picked->name : "";
}

TEST(QueueTest, HigherPriorityThenOlderFirst) {
  auto queue = MakeQueue({1, 0, 0});
  queue->Add(Job("old", "p", 0, kStart));
  queue->Add(Job("older", "p", 0, kStart - absl::Seconds(1)));
  queue->Add(Job("urgent", "p", 5, kStart + absl::Seconds(1)));
  const absl::Time now = kStart + absl::Seconds(2);
  EXPECT_THAT(queue->Front(10, now), ElementsAre("urgent", "older", "old"));
  EXPECT_EQ(queue->Position("old", now), 2);
  EXPECT_EQ(queue->Position("urgent", now), 0);
  EXPECT_EQ(queue->Position("absent", now), -1);
  EXPECT_EQ(Pick(*queue, now), "urgent");
  EXPECT_EQ(Pick(*queue, now), "");
  queue->Release("urgent", now);
  EXPECT_EQ(Pick(*queue, now), "older");
}

TEST(QueueTest, EqualTimesKeepTheOrderOfAdding) {
  auto queue = MakeQueue({8, 0, 0});
  for (const char* name : {"c", "a", "b"}) queue->Add(Job(name, "p", 0, kStart));
  EXPECT_THAT(queue->Front(3, kStart), ElementsAre("c", "a", "b"));
}

TEST(QueueTest, WaitingRaisesThePriority) {
  auto queue = MakeQueue({1, 0, 0});  // one step per 5 minutes
  queue->Add(Job("waits", "p", 0, kStart));
  const absl::Time later = kStart + absl::Minutes(11);
  queue->Add(Job("one", "p", 1, later));
  queue->Add(Job("three", "p", 3, later));
  EXPECT_THAT(queue->Front(3, later), ElementsAre("three", "waits", "one"));
}

TEST(QueueTest, NeverStartsWhatCannotFit) {
  auto queue = MakeQueue({4, 1, 1000});
  EXPECT_TRUE(queue->CouldEverFit({4, 1, 1000}));
  EXPECT_FALSE(queue->CouldEverFit({5, 0, 0}));
  EXPECT_FALSE(queue->CouldEverFit({1, 2, 0}));
  EXPECT_FALSE(queue->CouldEverFit({1, 0, 1001}));
  queue->Add(Job("memory", "p", 0, kStart, {1, 0, 800}));
  queue->Add(Job("too much", "p", 0, kStart + absl::Seconds(1), {1, 0, 300}));
  queue->Add(Job("gpu", "p", 0, kStart + absl::Seconds(2), {1, 1, 100}));
  queue->Add(Job("gpu too", "p", 0, kStart + absl::Seconds(3), {1, 1, 0}));
  const absl::Time now = kStart + absl::Seconds(4);
  EXPECT_EQ(Pick(*queue, now), "memory");
  EXPECT_EQ(Pick(*queue, now), "gpu");
  EXPECT_EQ(Pick(*queue, now), "");
  EXPECT_EQ(queue->in_use(), (Slots{2, 1, 900}));
  queue->Release("memory", now);
  EXPECT_EQ(Pick(*queue, now), "too much");
}

TEST(QueueTest, BackOffHoldsAJobBack) {
  auto queue = MakeQueue({1, 0, 0});
  QueuedJob job = Job("a", "p", 0, kStart);
  job.not_before = kStart + absl::Seconds(7);
  queue->Add(job);
  EXPECT_EQ(Pick(*queue, kStart), "");
  EXPECT_EQ(queue->NextChange(kStart), kStart + absl::Seconds(7));
  EXPECT_EQ(queue->OldestCreateTime(), kStart);
  EXPECT_EQ(queue->queued_count(), 1);
  EXPECT_EQ(Pick(*queue, kStart + absl::Seconds(7)), "a");
  EXPECT_EQ(queue->NextChange(kStart), absl::InfiniteFuture());
  EXPECT_EQ(queue->OldestCreateTime(), std::nullopt);
}

TEST(QueueTest, RemovesFromOrderAndBackOff) {
  auto queue = MakeQueue({1, 0, 0});
  queue->Add(Job("a", "p", 0, kStart));
  QueuedJob later = Job("b", "p", 0, kStart);
  later.not_before = kStart + absl::Seconds(1);
  queue->Add(later);
  EXPECT_TRUE(queue->Remove("a"));
  EXPECT_TRUE(queue->Remove("b"));
  EXPECT_FALSE(queue->Remove("b"));
  EXPECT_EQ(Pick(*queue, kStart + absl::Seconds(2)), "");
  EXPECT_EQ(queue->queued_count(), 0);
}

TEST(QueueTest, LessUsedProjectGoesFirst) {
  auto queue = MakeQueue({1, 0, 0});
  absl::Time now = kStart;
  queue->Add(Job("a1", "a", 0, now));
  queue->Add(Job("a2", "a", 0, now));
  queue->Add(Job("b1", "b", 0, now + absl::Seconds(1)));
  EXPECT_EQ(Pick(*queue, now), "a1");
  now += absl::Seconds(10);
  queue->Release("a1", now);
  EXPECT_EQ(Pick(*queue, now), "b1") << "project a has used the machine";
  now += absl::Seconds(100);
  queue->Release("b1", now);
  queue->Add(Job("b2", "b", 0, kStart));
  EXPECT_EQ(Pick(*queue, now), "a2") << "now project b has used more";
}

TEST(QueueTest, RunningJobsCountAsUsage) {
  auto queue = MakeQueue({2, 0, 0});
  queue->Add(Job("a1", "a", 0, kStart));
  queue->Add(Job("a2", "a", 0, kStart));
  queue->Add(Job("b1", "b", 0, kStart + absl::Seconds(1)));
  EXPECT_EQ(Pick(*queue, kStart + absl::Seconds(1)), "a1");
  EXPECT_EQ(Pick(*queue, kStart + absl::Seconds(1)), "b1") << "b runs nothing yet";
}

TEST(QueueTest, UsageIsForgottenByHalfLives) {
  auto queue = MakeQueue({1, 0, 0});  // half-life one hour
  absl::Time now = kStart;
  const auto run = [&](const std::string& name, const std::string& project,
                       absl::Duration duration) {
    queue->AddRunning(Job(name, project, 0, now), now);
    now += duration;
    queue->Release(name, now);
  };
  run("x", "a", absl::Seconds(1000));
  now += absl::Hours(4);  // 1000 s weigh 62.5 s now
  run("y", "b", absl::Seconds(100));
  queue->Add(Job("b1", "b", 0, now - absl::Seconds(1)));
  queue->Add(Job("a1", "a", 0, now));
  EXPECT_EQ(Pick(*queue, now), "a1");
}

TEST(QueueTest, LargeJobGetsAReservation) {
  auto queue = MakeQueue({4, 0, 0});
  absl::Time now = kStart;
  queue->AddRunning(Job("s0", "p", 0, now), now);
  queue->Add(Job("large", "p", 0, now, {4, 0, 0}));
  int small = 0;
  bool started = false;
  // Small jobs of 20 s without end: without a reservation one of them always runs.
  std::map<std::string, absl::Time> running = {{"s0", now + absl::Seconds(20)}};
  for (; now < kStart + absl::Seconds(200) && !started; now += absl::Seconds(5)) {
    std::erase_if(running, [&](const auto& entry) {
      if (entry.second > now) return false;
      queue->Release(entry.first, now);
      return true;
    });
    queue->Add(Job(absl::StrCat("small", ++small), "p", 0, now));
    while (const auto picked = queue->PickNext(now)) {
      if (picked->name == "large") started = true;
      running[picked->name] = now + absl::Seconds(20);
    }
  }
  EXPECT_TRUE(started);
  // 30 s past its turn no small job starts any more; those that run end within 20 s.
  EXPECT_LE(now, kStart + absl::Seconds(65));
}

TEST(QueueTest, ReservationLeavesWhatItDoesNotNeed) {
  auto queue = MakeQueue({8, 0, 0});
  absl::Time now = kStart;
  queue->AddRunning(Job("long", "p", 0, now, {6, 0, 0}), now);
  queue->Add(Job("large", "p", 0, now, {5, 0, 0}));
  EXPECT_EQ(Pick(*queue, now), "");  // its turn
  now += absl::Seconds(31);
  queue->Add(Job("two", "p", 0, now, {2, 0, 0}));
  queue->Add(Job("two more", "p", 0, now, {2, 0, 0}));
  EXPECT_EQ(Pick(*queue, now), "two") << "5 + 2 fit on 8 together";
  queue->Release("two", now);
  EXPECT_EQ(Pick(*queue, now), "two more");
  queue->Add(Job("one", "p", 0, now));
  queue->Add(Job("another", "p", 0, now));
  EXPECT_EQ(Pick(*queue, now), "") << "6 of 8 run, 2 run beside";
  queue->Release("long", now);
  EXPECT_EQ(Pick(*queue, now), "large");
  EXPECT_EQ(Pick(*queue, now), "one");
}

TEST(QueueTest, HigherPriorityPassesAReservation) {
  auto queue = MakeQueue({2, 0, 0});
  absl::Time now = kStart;
  queue->AddRunning(Job("long", "p", 0, now), now);
  queue->Add(Job("large", "p", 0, now, {2, 0, 0}));
  EXPECT_EQ(Pick(*queue, now), "");
  now += absl::Seconds(40);
  queue->Add(Job("equal", "p", 0, now));
  EXPECT_EQ(Pick(*queue, now), "");
  EXPECT_LE(queue->NextChange(now), now + absl::Minutes(5));
  queue->Add(Job("urgent", "p", 1, now));
  EXPECT_EQ(Pick(*queue, now), "urgent");
}

TEST(QueueTest, TwoProjectsWithUnequalDemandGetEqualShares) {
  auto queue = MakeQueue({4, 0, 0});
  absl::Time now = kStart;
  // Project a wants ten times what b wants; both want more than half of the machine.
  for (int i = 0; i < 20'000; ++i) {
    queue->Add(Job(absl::StrCat("a", i), "a", 0, kStart + absl::Milliseconds(i)));
    if (i % 10 == 0) {
      queue->Add(Job(absl::StrCat("b", i), "b", 0, kStart + absl::Milliseconds(20'000 + i)));
    }
  }
  std::map<std::string, double> used;
  using End = std::pair<absl::Time, std::string>;
  std::priority_queue<End, std::vector<End>, std::greater<>> ends;
  int number = 0;
  while (now < kStart + absl::Minutes(4)) {
    while (const auto picked = queue->PickNext(now)) {
      const double seconds = picked->project == "a" ? 1 : 0.7 + 0.1 * (number++ % 7);
      used[picked->project] += seconds;
      ends.push({now + absl::Seconds(seconds), picked->name});
    }
    now = ends.top().first;
    queue->Release(ends.top().second, now);
    ends.pop();
  }
  EXPECT_NEAR(used["a"] / (used["a"] + used["b"]), 0.5, 0.02);
}

TEST(QueueTest, AThousandOneSecondJobsOnTwoSlots) {
  auto queue = MakeQueue({2, 0, 0});
  for (int i = 0; i < 1000; ++i) {
    queue->Add(Job(absl::StrCat("j", i), absl::StrCat("p", i % 3), i % 5, kStart));
  }
  absl::Time now = kStart;
  int rounds = 0;
  while (queue->queued_count() > 0) {
    std::vector<std::string> running;
    while (const auto picked = queue->PickNext(now)) running.push_back(picked->name);
    ASSERT_EQ(running.size(), 2u);
    now += absl::Seconds(1);
    for (const std::string& name : running) queue->Release(name, now);
    ++rounds;
  }
  EXPECT_EQ(rounds, 500);
}

TEST(QueueTest, CountsByProject) {
  auto queue = MakeQueue({1, 0, 0});
  queue->Add(Job("a1", "a", 0, kStart));
  queue->Add(Job("a2", "a", 0, kStart + absl::Seconds(1)));
  queue->Add(Job("b1", "b", 0, kStart + absl::Seconds(2)));
  EXPECT_EQ(Pick(*queue, kStart), "a1");
  EXPECT_EQ(queue->CountsOf("a").queued, 1);
  EXPECT_EQ(queue->CountsOf("a").running, 1);
  EXPECT_EQ(queue->CountsOf("").queued, 2);
  EXPECT_EQ(queue->CountsOf("c").queued, 0);
  EXPECT_THAT(queue->Front(5, kStart, "a"), ElementsAre("a2"));
  EXPECT_EQ(queue->OldestCreateTime("b"), kStart + absl::Seconds(2));
}

}  // namespace
}  // namespace trainyard
