// Sorts the rows of a node by the ranks of a feature.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/trees/presort.h"

namespace trainyard {

// Sorts again and again with the same memory. Not thread-safe.
class RankSorter {
 public:
  // Entries {first + i, ranks[i]} by rising rank, equal ranks by rising i. The ranks lie in [least,
  // greatest]. Up to 64 rows: the place of each entry is the number of smaller ones, counted
  // without branches; beyond: one or more passes of counting. O(rows) up to logarithms of the span
  // of the ranks. The answer lives until the next call.
  std::span<const OrderEntry> Sort(std::span<const uint32_t> ranks, uint32_t first, uint32_t least,
                                   uint32_t greatest);

 private:
  void SortFew(std::span<const uint32_t> ranks, uint32_t first, uint32_t least);
  void SortByBuckets(std::span<const uint32_t> ranks, uint32_t first, uint32_t least, int bits);
  void SortByDigits(std::span<const uint32_t> ranks, uint32_t first, uint32_t least, int bits);

  std::vector<OrderEntry> entries_;
  std::vector<OrderEntry> spare_;
  std::vector<uint32_t> counts_;
};

}  // namespace trainyard
