#include "core/tensor/memory_pool.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "core/tensor/tensor_error.h"

extern "C" __attribute__((weak)) int __asan_address_is_poisoned(const volatile void* address);

namespace trainyard {
namespace {

TEST(MemoryPoolTest, HandsFreedBlocksOutAgainAndJoinsThem) {
  MemoryPool pool(HostSegments());
  void* const first = pool.Allocate(1000);
  void* const second = pool.Allocate(1000);
  void* const third = pool.Allocate(1000);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0);
  const MemoryStatistics full = pool.statistics();
  EXPECT_EQ(full.live_bytes, 3 * 1024);
  pool.Free(first);
  pool.Free(second);
  EXPECT_EQ(pool.Allocate(2048), first);
  EXPECT_EQ(pool.statistics().reserved_bytes, full.reserved_bytes);
  pool.Free(first);
  pool.Free(third);
  EXPECT_EQ(pool.statistics().live_bytes, 0);
  EXPECT_EQ(pool.statistics().peak_live_bytes, 3 * 1024);
  pool.ReleaseUnused();
  EXPECT_EQ(pool.statistics().reserved_bytes, 0);
}

TEST(MemoryPoolTest, RefusesMoreThanItsLimit) {
  MemoryPool pool(HostSegments(), size_t{4} << 20);
  void* const block = pool.Allocate(size_t{3} << 20);
  try {
    pool.Allocate(size_t{3} << 20);
    ADD_FAILURE() << "no error";
  } catch (const TensorError& error) {
    EXPECT_EQ(error.status().code(), absl::StatusCode::kResourceExhausted);
  }
  pool.Free(block);
  EXPECT_NE(pool.Allocate(size_t{4} << 20), nullptr);
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
