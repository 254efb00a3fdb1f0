#include "core/tensor/memory_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <thread>

#include "core/tensor/tensor_error.h"

extern "C" __attribute__((weak)) int __asan_address_is_poisoned(const volatile void* address);

namespace trainyard {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

size_t RoundUp(size_t bytes) { return (bytes + 63) / 64 * 64; }

// Counts what the pool holds.
class CountingSegments : public SegmentSource {
 public:
  explicit CountingSegments(size_t& held, size_t most) : held_(held), most_(most) {}
  void* Allocate(size_t bytes) override {
    if (held_ + bytes > most_) return nullptr;
    held_ += bytes;
    return segments_->Allocate(bytes);
  }
  void Free(void* segment, size_t bytes) override {
    held_ -= bytes;
    segments_->Free(segment, bytes);
  }

 private:
  const std::unique_ptr<SegmentSource> segments_ = HostSegments();
  size_t& held_;
  const size_t most_;
};

absl::Status StatusOfAllocation(MemoryPool& pool, size_t bytes) {
  try {
    pool.Free(pool.Allocate(bytes));
  } catch (const TensorError& error) {
    return error.status();
  }
  return absl::OkStatus();
}

TEST(MemoryPoolTest, BlocksAreAlignedAndApart) {
  MemoryPool pool(HostSegments());
  EXPECT_EQ(pool.Allocate(0), nullptr);
  pool.Free(nullptr);
  std::vector<char*> blocks;
  for (const size_t bytes : {1, 63, 64, 65, 1000, 3'000'000}) {
    blocks.push_back(static_cast<char*>(pool.Allocate(bytes)));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(blocks.back()) % 64, 0U);
    std::memset(blocks.back(), static_cast<int>(blocks.size()), bytes);
  }
  for (size_t i = 0; i < blocks.size(); ++i) EXPECT_EQ(blocks[i][0], static_cast<char>(i + 1));
}

TEST(MemoryPoolTest, AccountsForWhatIsInUse) {
  MemoryPool pool(HostSegments());
  void* const first = pool.Allocate(100);
  void* const second = pool.Allocate(64);
  EXPECT_EQ(pool.statistics().live_bytes, 192U);
  EXPECT_EQ(pool.statistics().peak_live_bytes, 192U);
  EXPECT_EQ(pool.statistics().reserved_bytes, 2 * kMiB);
  pool.Free(first);
  EXPECT_EQ(pool.statistics().live_bytes, 64U);
  EXPECT_EQ(pool.statistics().peak_live_bytes, 192U);
  pool.ResetPeak();
  EXPECT_EQ(pool.statistics().peak_live_bytes, 64U);
  pool.Free(second);
  EXPECT_EQ(pool.statistics().live_bytes, 0U);
}

TEST(MemoryPoolTest, FreedBlocksAreJoinedInAnyOrder) {
  for (const auto& order : std::vector<std::array<int, 3>>{
           {0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}) {
    size_t held = 0;
    MemoryPool pool(std::make_unique<CountingSegments>(held, 2 * kMiB));
    std::array<void*, 3> blocks{};
    for (void*& block : blocks) block = pool.Allocate(512 << 10);
    for (const int i : order) pool.Free(blocks[i]);
    // Only the joined whole has room.
    EXPECT_TRUE(StatusOfAllocation(pool, 2 * kMiB).ok());
  }
}

TEST(MemoryPoolTest, TakesTheSmallestBlockThatFits) {
  MemoryPool pool(HostSegments());
  void* const small = pool.Allocate(1024);
  void* const wall1 = pool.Allocate(64);
  void* const large = pool.Allocate(4096);
  void* const wall2 = pool.Allocate(64);
  pool.Free(large);
  pool.Free(small);
  EXPECT_EQ(pool.Allocate(1000), small);
  EXPECT_EQ(pool.Allocate(1100), large);
  pool.Free(wall1);
  pool.Free(wall2);
}

TEST(MemoryPoolTest, TheLimitIsKeptAndSaid) {
  MemoryPool pool(HostSegments(), 8 * kMiB);
  void* const block = pool.Allocate(5 * kMiB);
  const absl::Status status = StatusOfAllocation(pool, 4 * kMiB);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(),
            "memory for tensors ran out: 4194304 bytes were asked for, 5242880 are in use, the "
            "limit is 8388608");
  EXPECT_TRUE(StatusOfAllocation(pool, 2 * kMiB).ok());
  pool.Free(block);
  // Segments that nobody uses make room for a larger one.
  EXPECT_TRUE(StatusOfAllocation(pool, 8 * kMiB).ok());
}

TEST(MemoryPoolTest, AnExhaustedSourceIsAnErrorAndNoCrash) {
  size_t held = 0;
  MemoryPool pool(std::make_unique<CountingSegments>(held, 4 * kMiB));
  void* const block = pool.Allocate(kMiB);
  EXPECT_EQ(StatusOfAllocation(pool, 4 * kMiB).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(StatusOfAllocation(pool, 2 * kMiB).ok());
  pool.Free(block);
}

TEST(MemoryPoolTest, GivesUnusedSegmentsBack) {
  size_t held = 0;
  {
    MemoryPool pool(std::make_unique<CountingSegments>(held, size_t{1} << 40));
    void* const kept = pool.Allocate(10 * kMiB);
    pool.Free(pool.Allocate(20 * kMiB));
    pool.ReleaseUnused();
    EXPECT_EQ(held, pool.statistics().reserved_bytes);
    EXPECT_LT(held, 20 * kMiB);
    EXPECT_GE(held, 10 * kMiB);
    pool.Free(kept);
    pool.ReleaseUnused();
    EXPECT_EQ(held, 0U);
    pool.Allocate(1);
  }
  EXPECT_EQ(held, 0U);
}

TEST(MemoryPoolTest, ASecondRoundNeedsNoNewSegment) {
  MemoryPool pool(HostSegments());
  size_t reserved = 0;
  for (int round = 0; round < 3; ++round) {
    std::vector<void*> blocks;
    for (size_t i = 1; i < 200; ++i) blocks.push_back(pool.Allocate(i * 997));
    for (void* block : blocks) pool.Free(block);
    if (round == 0) reserved = pool.statistics().reserved_bytes;
    EXPECT_EQ(pool.statistics().reserved_bytes, reserved);
  }
}

// Random requests beside a map of what is in use: blocks never overlap, keep what was written into
// them, and the accounts are right.
TEST(MemoryPoolTest, RandomRequestsBesideAModel) {
  size_t held = 0;
  MemoryPool pool(std::make_unique<CountingSegments>(held, size_t{1} << 40));
  struct Used {
    size_t bytes;
    unsigned char mark;
  };
  std::map<unsigned char*, Used> model;
  std::mt19937 random(1);
  size_t live = 0;
  size_t peak = 0;
  for (int step = 0; step < 20'000; ++step) {
    if (model.size() < 300 && random() % 5 < 3) {
      const size_t bytes = random() % 10 == 0 ? random() % 400'000 + 1 : random() % 2000 + 1;
      auto* const block = static_cast<unsigned char*>(pool.Allocate(bytes));
      ASSERT_EQ(reinterpret_cast<uintptr_t>(block) % 64, 0U);
      const auto next = model.lower_bound(block);
      ASSERT_TRUE(next == model.end() || block + bytes <= next->first);
      ASSERT_TRUE(next == model.begin() ||
                  std::prev(next)->first + std::prev(next)->second.bytes <= block);
      const auto mark = static_cast<unsigned char>(random());
      block[0] = mark;
      block[bytes - 1] = mark;
      model[block] = {bytes, mark};
      live += RoundUp(bytes);
      peak = std::max(peak, live);
    } else if (!model.empty()) {
      auto chosen = model.begin();
      std::advance(chosen, random() % model.size());
      const auto& [block, used] = *chosen;
      ASSERT_EQ(block[0], used.mark);
      ASSERT_EQ(block[used.bytes - 1], used.mark);
      live -= RoundUp(used.bytes);
      pool.Free(block);
      model.erase(chosen);
    }
    if (step % 5000 == 4999) pool.ReleaseUnused();
    const MemoryStatistics statistics = pool.statistics();
    ASSERT_EQ(statistics.live_bytes, live);
    ASSERT_EQ(statistics.peak_live_bytes, peak);
    ASSERT_EQ(statistics.reserved_bytes, held);
  }
  for (const auto& [block, used] : model) pool.Free(block);
  pool.ReleaseUnused();
  EXPECT_EQ(held, 0U);
}

TEST(MemoryPoolTest, ThreadsMayShareAPool) {
  MemoryPool pool(HostSegments());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&pool, t] {
      for (int i = 0; i < 500; ++i) {
        auto* const block = static_cast<int*>(pool.Allocate(100 + 64 * (i % 7)));
        *block = t;
        auto* const other = static_cast<int*>(pool.Allocate(5000));
        *other = t;
        EXPECT_EQ(*block, t);
        pool.Free(block);
        pool.Free(other);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(pool.statistics().live_bytes, 0U);
}

TEST(MemoryPoolTest, AddressSanitizerKnowsWhichBytesAreInUse) {
  if (__asan_address_is_poisoned == nullptr) GTEST_SKIP() << "built without AddressSanitizer";
  MemoryPool pool(HostSegments());
  auto* const block = static_cast<std::byte*>(pool.Allocate(100));
  EXPECT_FALSE(__asan_address_is_poisoned(block));
  EXPECT_FALSE(__asan_address_is_poisoned(block + 99));
  EXPECT_TRUE(__asan_address_is_poisoned(block + 100));
  EXPECT_TRUE(__asan_address_is_poisoned(block + 128));
  pool.Free(block);
  EXPECT_TRUE(__asan_address_is_poisoned(block));
}

}  // namespace
}  // namespace trainyard
