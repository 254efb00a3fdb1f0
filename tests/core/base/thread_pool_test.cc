#include "core/base/thread_pool.h"

#include <atomic>
#include <new>

#include "gtest/gtest.h"

namespace trainyard {
namespace {

TEST(ThreadPoolTest, RunsEveryTaskOnceInEveryLoop) {
  for (const int threads : {1, 2, 7}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int loop = 0; loop < 300; ++loop) {
      const int64_t count = loop % 11;
      std::vector<std::atomic<int>> calls(static_cast<size_t>(count));
      pool.Run(count, [&](int64_t i, int thread) {
        EXPECT_LT(thread, threads);
        ++calls[static_cast<size_t>(i)];
      });
      for (const std::atomic<int>& call : calls) EXPECT_EQ(call, 1);
    }
  }
}

TEST(ThreadPoolTest, ThreadNumbersAreNotShared) {
  ThreadPool pool(4);
  std::vector<std::atomic<int>> inside(4);
  pool.Run(1000, [&](int64_t, int thread) {
    EXPECT_EQ(++inside[static_cast<size_t>(thread)], 1);
    --inside[static_cast<size_t>(thread)];
  });
}

TEST(ThreadPoolTest, TakesNonsenseForOneThread) {
  ThreadPool pool(-3);
  EXPECT_EQ(pool.threads(), 1);
}

TEST(ThreadPoolTest, ThrowsInTheCallerWhatATaskThrows) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    for (int64_t culprit = 0; culprit < 50; ++culprit) {
      EXPECT_THROW(pool.Run(50,
                            [&](int64_t i, int) {
                              if (i >= culprit) throw std::bad_alloc();
                            }),
                   std::bad_alloc);
      std::atomic<int> calls = 0;
      pool.Run(50, [&](int64_t, int) { ++calls; });
      EXPECT_EQ(calls, 50);
    }
  }
}

}  // namespace
}  // namespace trainyard
