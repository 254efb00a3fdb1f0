#include "core/trees/rank_sort.h"

#include <algorithm>
#include <random>
#include <tuple>

#include "gtest/gtest.h"

namespace trainyard {
namespace {

// Reference: std::stable_sort.
TEST(RankSorterTest, SortsLikeAStableSort) {
  std::mt19937_64 random(5);
  RankSorter sorter;
  for (const size_t count : {1, 2, 7, 8, 9, 31, 64, 65, 300, 4095, 4096, 20000}) {
    for (const uint64_t span : {1ull, 2ull, 50ull, 1000ull, 1000000ull, 4294967295ull}) {
      for (const bool clustered : {false, true}) {
        const uint32_t offset = static_cast<uint32_t>(4294967295ull - span) / 2;
        std::vector<uint32_t> ranks(count);
        for (uint32_t& rank : ranks) {
          // Clustered: nearly all ranks in one bucket.
          const uint64_t width =
              clustered && random() % 50 != 0 ? std::min<uint64_t>(span, 40) : span;
          rank = offset + static_cast<uint32_t>(random() % width);
        }
        std::vector<OrderEntry> expected;
        for (size_t i = 0; i < count; ++i) {
          expected.push_back({100 + static_cast<uint32_t>(i), ranks[i]});
        }
        std::stable_sort(expected.begin(), expected.end(),
                         [](const auto& a, const auto& b) { return a.rank < b.rank; });
        const auto [least, greatest] = std::minmax_element(ranks.begin(), ranks.end());
        const std::span<const OrderEntry> sorted = sorter.Sort(ranks, 100, *least, *greatest);
        ASSERT_EQ(sorted.size(), count);
        for (size_t i = 0; i < count; ++i) {
          ASSERT_EQ(std::tie(sorted[i].row, sorted[i].rank),
                    std::tie(expected[i].row, expected[i].rank))
              << count << " rows, span " << span << ", entry " << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace trainyard
