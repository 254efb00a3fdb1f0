// Orders of samples: every epoch is a permutation, positions are exact.
#include "core/nn/training/data_order.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace trainyard::nn {
namespace {

std::vector<int64_t> TakeAll(DataOrder& order, int64_t count) {
  const std::span<const int64_t> taken = order.Take(count);
  return {taken.begin(), taken.end()};
}

TEST(DataOrderTest, EveryEpochIsAnotherPermutation) {
  DataOrder order(20, 7);
  std::vector<int64_t> first = TakeAll(order, 20);
  EXPECT_EQ(order.epoch(), 1);
  std::vector<int64_t> second = TakeAll(order, 20);
  EXPECT_NE(first, second);
  std::vector<int64_t> all(20);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_THAT(first, testing::UnorderedElementsAreArray(all));
  EXPECT_THAT(second, testing::UnorderedElementsAreArray(all));
}

TEST(DataOrderTest, BatchesGoOnFromOneEpochIntoTheNext) {
  DataOrder whole(5, 7);
  DataOrder parts(5, 7);
  const std::vector<int64_t> expected = TakeAll(whole, 12);
  std::vector<int64_t> actual;
  for (const int64_t size : {3, 4, 5}) {
    for (const int64_t sample : TakeAll(parts, size)) actual.push_back(sample);
  }
  EXPECT_EQ(actual, expected);
  EXPECT_EQ(parts.epoch(), 2);
  EXPECT_EQ(parts.taken(), 12);
}

TEST(DataOrderTest, WithoutShufflingSamplesComeByNumber) {
  DataOrder order(3, 7, /*shuffled=*/false);
  EXPECT_THAT(TakeAll(order, 5), testing::ElementsAre(0, 1, 2, 0, 1));
}

TEST(DataOrderTest, GoesOnFromASavedPosition) {
  DataOrder order(5, 7);
  order.Take(8);
  ByteWriter writer;
  order.Save(writer);
  DataOrder resumed(5, 7);
  ByteReader reader(writer.bytes());
  resumed.Load(reader);
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(TakeAll(resumed, 9), TakeAll(order, 9));
}

TEST(DataOrderTest, APositionOfOtherDataIsRefused) {
  DataOrder order(5, 7);
  ByteWriter writer;
  order.Save(writer);
  DataOrder other(6, 7);
  ByteReader reader(writer.bytes());
  other.Load(reader);
  EXPECT_FALSE(reader.ok());
}

}  // namespace
}  // namespace trainyard::nn
