// Reference: what must hold whatever the scheduling (no lost wake-up, mutual exclusion, time-outs);
// a lost wake-up shows as a test that does not end.
#include "core/base/mutex.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "core/base/clock.h"
#include "core/base/notification.h"

namespace trainyard {
namespace {

TEST(MutexTest, OneHolderAtATime) {
  constexpr int kThreads = 8;
  constexpr int kRounds = 20'000;
  Mutex mutex;
  int64_t count = 0;  // a plain integer: increments would get lost
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kRounds; ++i) {
        MutexLock lock(&mutex);
        ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, kThreads * kRounds);
}

TEST(MutexTest, AConditionThatHoldsDoesNotWait) {
  Mutex mutex;
  MutexLock lock(&mutex);
  int evaluations = 0;
  mutex.Await([&] { return ++evaluations > 0; });
  EXPECT_EQ(evaluations, 1);
  EXPECT_TRUE(mutex.AwaitWithTimeout([] { return true; }, absl::ZeroDuration()));
}

TEST(MutexTest, WaitsEndWithTheirTime) {
  Mutex mutex;
  MutexLock lock(&mutex);
  const absl::Duration start = Clock::Real().Monotonic();
  EXPECT_FALSE(mutex.AwaitWithTimeout([] { return false; }, absl::Milliseconds(30)));
  EXPECT_GE(Clock::Real().Monotonic() - start, absl::Milliseconds(30));
  EXPECT_FALSE(mutex.AwaitWithTimeout([] { return false; }, absl::Seconds(-1)));
  EXPECT_FALSE(mutex.AwaitWithTimeout([] { return false; }, -absl::InfiniteDuration()));
}

TEST(MutexTest, EndlessTimesDoNotOverflow) {
  for (const absl::Duration timeout : {absl::InfiniteDuration(), absl::Hours(24 * 365 * 1000)}) {
    Mutex mutex;
    bool ready = false;
    std::thread setter([&] {
      MutexLock lock(&mutex);
      ready = true;
    });
    {
      MutexLock lock(&mutex);
      EXPECT_TRUE(mutex.AwaitWithTimeout([&] { return ready; }, timeout));
    }
    setter.join();
  }
}

// Each thread waits for its turn; every release has to wake just the next one.
TEST(MutexTest, ThreadsTakeTurns) {
  constexpr int kThreads = 6;
  constexpr int kTurns = 300;
  Mutex mutex;
  int turn = 0;
  std::vector<int> order;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kTurns; ++i) {
        MutexLock lock(&mutex);
        mutex.Await([&] { return turn % kThreads == t; });
        order.push_back(t);
        ++turn;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(order.size(), static_cast<size_t>(kThreads * kTurns));
  for (size_t i = 0; i < order.size(); ++i) ASSERT_EQ(order[i], static_cast<int>(i % kThreads));
}

// A condition that becomes true for all must reach all, though a release wakes only one.
TEST(MutexTest, AllWhoseConditionHoldsAreWoken) {
  constexpr int kThreads = 16;
  Mutex mutex;
  bool open = false;
  int waiting = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      MutexLock lock(&mutex);
      ++waiting;
      mutex.Await([&] { return open; });
    });
  }
  {
    MutexLock lock(&mutex);
    mutex.Await([&] { return waiting == kThreads; });
    open = true;
  }
  for (std::thread& thread : threads) thread.join();
}

// What a thread changes before it begins to wait must wake others too.
TEST(MutexTest, WaitingReleasesWhatWasChanged) {
  Mutex mutex;
  CondVar never;
  int stage = 0;
  std::thread other([&] {
    MutexLock lock(&mutex);
    mutex.Await([&] { return stage == 1; });
    stage = 2;
    mutex.Await([&] { return stage == 3; });
    stage = 4;
  });
  {
    MutexLock lock(&mutex);
    stage = 1;
    mutex.Await([&] { return stage == 2; });
    stage = 3;
    while (stage != 4) never.WaitWithTimeout(&mutex, absl::Milliseconds(1));
  }
  other.join();
}

// Producers and consumers of a short queue, some with time-outs that often pass: a consumer that
// was woken may find the queue empty again, or be late.
TEST(MutexTest, NothingIsLostBetweenProducersAndConsumers) {
  constexpr int kPairs = 4;
  constexpr int kItems = 4000;
  constexpr size_t kRoom = 2;
  Mutex mutex;
  std::deque<int> queue;
  std::atomic<int64_t> sum = 0;
  std::vector<std::thread> threads;
  for (int pair = 0; pair < kPairs; ++pair) {
    threads.emplace_back([&] {
      for (int i = 1; i <= kItems; ++i) {
        MutexLock lock(&mutex);
        mutex.Await([&] { return queue.size() < kRoom; });
        queue.push_back(i);
      }
    });
    threads.emplace_back([&, impatient = pair % 2 == 0] {
      const auto filled = [&] { return !queue.empty(); };
      for (int taken = 0; taken < kItems;) {
        MutexLock lock(&mutex);
        if (impatient) {
          if (!mutex.AwaitWithTimeout(filled, absl::Microseconds(50))) continue;
        } else {
          mutex.Await(filled);
        }
        sum += queue.front();
        queue.pop_front();
        ++taken;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(sum, int64_t{kPairs} * kItems * (kItems + 1) / 2);
}

TEST(CondVarTest, ASignalReachesEveryWaiter) {
  constexpr int kThreads = 4;
  Mutex mutex;
  CondVar changed;
  int waiting = 0;
  bool done = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      MutexLock lock(&mutex);
      ++waiting;
      while (!done) changed.WaitWithTimeout(&mutex, absl::InfiniteDuration());
    });
  }
  {
    MutexLock lock(&mutex);
    mutex.Await([&] { return waiting == kThreads; });
    done = true;
    changed.SignalAll();
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(CondVarTest, WaitsEndWithTheirTime) {
  Mutex mutex;
  CondVar changed;
  MutexLock lock(&mutex);
  const absl::Duration end = Clock::Real().Monotonic() + absl::Milliseconds(20);
  while (Clock::Real().Monotonic() < end) changed.WaitWithTimeout(&mutex, absl::Milliseconds(5));
  changed.WaitWithTimeout(&mutex, -absl::InfiniteDuration());
}

TEST(NotificationTest, ShowsWhatWasDoneBefore) {
  for (int round = 0; round < 200; ++round) {
    auto notification = std::make_unique<Notification>();
    EXPECT_FALSE(notification->HasBeenNotified());
    int value = 0;
    std::thread notifier([&value, notification = notification.get()] {
      value = 42;
      notification->Notify();
    });
    notification->WaitForNotification();
    EXPECT_EQ(value, 42);
    EXPECT_TRUE(notification->HasBeenNotified());
    notification.reset();  // the notifier may not have returned yet
    notifier.join();
  }
}

TEST(NotificationTest, WaitsEndWithTheirTime) {
  Notification notification;
  EXPECT_FALSE(notification.WaitForNotificationWithTimeout(absl::Milliseconds(5)));
  notification.Notify();
  EXPECT_TRUE(notification.WaitForNotificationWithTimeout(absl::ZeroDuration()));
}

TEST(BlockingCounterTest, WaitsForAll) {
  for (int round = 0; round < 100; ++round) {
    constexpr int kThreads = 4;
    int values[kThreads] = {};
    auto counter = std::make_unique<BlockingCounter>(kThreads);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([t, &values, counter = counter.get()] {
        values[t] = t + 1;
        counter->DecrementCount();
      });
    }
    counter->Wait();
    counter.reset();
    for (int t = 0; t < kThreads; ++t) EXPECT_EQ(values[t], t + 1);
    for (std::thread& thread : threads) thread.join();
  }
  BlockingCounter nothing(0);
  nothing.Wait();
}

}  // namespace
}  // namespace trainyard
