#include "core/trees/rank_sort.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>

namespace trainyard {
namespace {

constexpr size_t kFew = 64;         // up to so many rows are sorted by counting smaller ones
constexpr int kFewIndexBits = 6;    // of an index below kFew
constexpr size_t kManyRows = 4096;  // from here on the counters of one pass would leave the cache
constexpr int kMaxDigitBits = 11;
constexpr size_t kLanes = 8;

// Eight numbers that are worked on together.
using Lanes = int32_t __attribute__((vector_size(kLanes * sizeof(int32_t))));

// places[i] = number of keys below keys[i], for kBlocks * kLanes distinct keys.
template <size_t kBlocks>
void CountSmaller(const int32_t* keys, size_t count, int32_t* places) {
  Lanes own[kBlocks];
  Lanes smaller[kBlocks] = {};
  std::memcpy(own, keys, sizeof(own));
  for (size_t i = 0; i < count; ++i) {
    const Lanes key = keys[i] - Lanes{};
    for (size_t b = 0; b < kBlocks; ++b) smaller[b] -= own[b] > key;
  }
  std::memcpy(places, smaller, sizeof(smaller));
}

bool Before(const OrderEntry& a, const OrderEntry& b) {
  return a.rank != b.rank ? a.rank < b.rank : a.row < b.row;
}

void SortBucket(OrderEntry* first, OrderEntry* last) {
  constexpr ptrdiff_t kInsertion = 24;
  if (last - first > kInsertion) {
    std::sort(first, last, Before);
    return;
  }
  for (OrderEntry* entry = first + 1; entry < last; ++entry) {
    const OrderEntry moved = *entry;
    OrderEntry* to = entry;
    for (; to != first && to[-1].rank > moved.rank; --to) *to = to[-1];
    *to = moved;
  }
}

}  // namespace

std::span<const OrderEntry> RankSorter::Sort(std::span<const uint32_t> ranks, uint32_t first,
                                             uint32_t least, uint32_t greatest) {
  const size_t count = ranks.size();
  if (entries_.size() < count) {
    entries_.resize(std::max(count, kFew));
    spare_.resize(entries_.size());
  }
  const int bits = std::bit_width(greatest - least);
  if (count <= kFew && bits + kFewIndexBits < 31) {
    SortFew(ranks, first, least);
  } else if (count < kManyRows) {
    SortByBuckets(ranks, first, least, bits);
  } else {
    SortByDigits(ranks, first, least, bits);
  }
  return std::span(entries_).first(count);
}

void RankSorter::SortFew(std::span<const uint32_t> ranks, uint32_t first, uint32_t least) {
  const size_t count = ranks.size();
  alignas(32) int32_t keys[kFew] = {};
  alignas(32) int32_t places[kFew] = {};
  for (size_t i = 0; i < count; ++i) {
    keys[i] = static_cast<int32_t>(((ranks[i] - least) << kFewIndexBits) | i);
  }
  const size_t blocks = (count + kLanes - 1) / kLanes;
  for (size_t i = count; i < blocks * kLanes; ++i) keys[i] = std::numeric_limits<int32_t>::max();
  switch (blocks) {
    case 1:
      CountSmaller<1>(keys, count, places);
      break;
    case 2:
      CountSmaller<2>(keys, count, places);
      break;
    case 3:
      CountSmaller<3>(keys, count, places);
      break;
    case 4:
      CountSmaller<4>(keys, count, places);
      break;
    case 5:
      CountSmaller<5>(keys, count, places);
      break;
    case 6:
      CountSmaller<6>(keys, count, places);
      break;
    case 7:
      CountSmaller<7>(keys, count, places);
      break;
    default:
      CountSmaller<8>(keys, count, places);
      break;
  }
  for (size_t i = 0; i < count; ++i) {
    entries_[static_cast<size_t>(places[i])] = {first + static_cast<uint32_t>(i), ranks[i]};
  }
}

// One counting pass over about as many buckets as there are rows, then each bucket by itself.
void RankSorter::SortByBuckets(std::span<const uint32_t> ranks, uint32_t first, uint32_t least,
                               int bits) {
  const int shift = std::max(bits - static_cast<int>(std::bit_width(ranks.size())), 0);
  const size_t buckets = size_t{1} << (bits - shift);
  counts_.assign(buckets + 1, 0);
  for (const uint32_t rank : ranks) ++counts_[((rank - least) >> shift) + 1];
  for (size_t b = 1; b < buckets; ++b) counts_[b] += counts_[b - 1];
  for (size_t i = 0; i < ranks.size(); ++i) {
    entries_[counts_[(ranks[i] - least) >> shift]++] = {first + static_cast<uint32_t>(i), ranks[i]};
  }
  if (shift == 0) return;
  uint32_t begin = 0;
  for (size_t b = 0; b < buckets; ++b) {
    const uint32_t end = counts_[b];
    if (end - begin > 1) SortBucket(entries_.data() + begin, entries_.data() + end);
    begin = end;
  }
}

// Stable least-significant-digit radix sort with digits of equal width.
void RankSorter::SortByDigits(std::span<const uint32_t> ranks, uint32_t first, uint32_t least,
                              int bits) {
  const int passes = std::max((bits + kMaxDigitBits - 1) / kMaxDigitBits, 1);
  const int digit_bits = std::max((bits + passes - 1) / passes, 1);
  const size_t buckets = size_t{1} << digit_bits;
  const uint32_t mask = static_cast<uint32_t>(buckets - 1);
  counts_.assign(static_cast<size_t>(passes) * buckets, 0);
  for (const uint32_t rank : ranks) {
    for (int pass = 0; pass < passes; ++pass) {
      ++counts_[static_cast<size_t>(pass) * buckets +
                (((rank - least) >> (pass * digit_bits)) & mask)];
    }
  }
  for (int pass = 0; pass < passes; ++pass) {
    uint32_t* next = counts_.data() + static_cast<size_t>(pass) * buckets;
    uint32_t offset = 0;
    for (size_t b = 0; b < buckets; ++b) offset += std::exchange(next[b], offset);
    if (pass == 0) {
      for (size_t i = 0; i < ranks.size(); ++i) {
        entries_[next[(ranks[i] - least) & mask]++] = {first + static_cast<uint32_t>(i), ranks[i]};
      }
      continue;
    }
    for (size_t i = 0; i < ranks.size(); ++i) {
      const OrderEntry entry = entries_[i];
      spare_[next[((entry.rank - least) >> (pass * digit_bits)) & mask]++] = entry;
    }
    entries_.swap(spare_);
  }
}

}  // namespace trainyard
