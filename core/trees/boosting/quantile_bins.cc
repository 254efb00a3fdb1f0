#include "core/trees/boosting/quantile_bins.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <utility>

#include "core/trees/split_search.h"

namespace trainyard {
namespace {

// A distinct value and the weight of the rows that have it.
struct DistinctValue {
  double value;
  double weight;
};

uint64_t KeyOf(double value) {
  const uint64_t bits = std::bit_cast<uint64_t>(value == 0 ? 0.0 : value);
  return (bits >> 63) != 0 ? ~bits : bits | (uint64_t{1} << 63);
}

double ValueOf(uint64_t key) {
  return std::bit_cast<double>((key >> 63) != 0 ? key & ~(uint64_t{1} << 63) : ~key);
}

struct WeightedKey {
  uint64_t key;
  double weight;
};
uint64_t KeyOf(const WeightedKey& entry) { return entry.key; }
uint64_t Identity(uint64_t key) { return key; }

// Stable least-significant-digit radix sort; digits that all keys share are skipped.
template <typename Entry, typename Key>
void RadixSort(std::vector<Entry>& entries, const Key& key_of, StopToken& stop) {
  constexpr int kDigitBits = 11;
  constexpr size_t kDigits = 6;
  constexpr uint64_t kMask = (uint64_t{1} << kDigitBits) - 1;
  if (entries.size() < 1024) {
    std::stable_sort(entries.begin(), entries.end(),
                     [&](const Entry& a, const Entry& b) { return key_of(a) < key_of(b); });
    return;
  }
  std::vector<std::array<uint32_t, kMask + 1>> counts(kDigits);
  for (const Entry& entry : entries) {
    uint64_t key = key_of(entry);
    for (size_t d = 0; d < kDigits; ++d, key >>= kDigitBits) ++counts[d][key & kMask];
  }
  std::vector<Entry> sorted(entries.size());
  for (size_t d = 0; d < kDigits && !stop.Ask(); ++d) {
    const int shift = kDigitBits * static_cast<int>(d);
    std::array<uint32_t, kMask + 1>& count = counts[d];
    if (count[(key_of(entries.front()) >> shift) & kMask] == entries.size()) continue;
    uint32_t offset = 0;
    for (uint32_t& c : count) offset += std::exchange(c, offset);
    for (const Entry& entry : entries) sorted[count[(key_of(entry) >> shift) & kMask]++] = entry;
    entries.swap(sorted);
  }
}

std::vector<DistinctValue> DistinctValues(std::span<const double> values,
                                          std::span<const double> weights, StopToken& stop) {
  std::vector<DistinctValue> distinct;
  const auto add = [&](uint64_t key, double weight) {
    const double value = ValueOf(key);
    if (distinct.empty() || distinct.back().value != value) distinct.push_back({value, 0});
    distinct.back().weight += weight;
  };
  if (weights.empty()) {
    std::vector<uint64_t> keys;
    keys.reserve(values.size());
    for (const double value : values) {
      if (!std::isnan(value)) keys.push_back(KeyOf(value));
    }
    RadixSort(keys, Identity, stop);
    for (const uint64_t key : keys) add(key, 1);
    return distinct;
  }
  std::vector<WeightedKey> keys;
  keys.reserve(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isnan(values[i]) && weights[i] > 0) keys.push_back({KeyOf(values[i]), weights[i]});
  }
  RadixSort(
      keys, [](const WeightedKey& entry) { return KeyOf(entry); }, stop);
  for (const WeightedKey& entry : keys) add(entry.key, entry.weight);
  return distinct;
}

}  // namespace

std::vector<double> QuantileThresholds(std::span<const double> values,
                                       std::span<const double> weights, int max_bins,
                                       StopToken& stop) {
  const std::vector<DistinctValue> distinct = DistinctValues(values, weights, stop);
  std::vector<double> thresholds;
  const auto cut_after = [&](size_t i) {
    thresholds.push_back(MidpointThreshold(distinct[i].value, distinct[i + 1].value));
  };
  const size_t limit = static_cast<size_t>(max_bins);
  if (distinct.size() <= limit) {
    for (size_t i = 0; i + 1 < distinct.size(); ++i) cut_after(i);
    return thresholds;
  }
  double total = 0;
  for (const DistinctValue& d : distinct) total += d.weight;
  const double large = total / max_bins;
  double rest = 0;  // weight of the values that share bins, from here on
  double rest_bins = max_bins;
  for (const DistinctValue& d : distinct) {
    if (d.weight >= large) {
      --rest_bins;
    } else {
      rest += d.weight;
    }
  }
  double filled = 0;  // weight in the open bin
  for (size_t i = 0; i + 1 < distinct.size() && thresholds.size() + 1 < limit; ++i) {
    const bool own = distinct[i].weight >= large;
    filled += distinct[i].weight;
    const double share = rest / std::max(rest_bins, 1.0);
    const bool next_own = distinct[i + 1].weight >= large;
    if (!own && filled < share && !(next_own && filled >= share / 2)) continue;
    cut_after(i);
    if (!own) {
      rest -= filled;
      --rest_bins;
    }
    filled = 0;
  }
  return thresholds;
}

}  // namespace trainyard
