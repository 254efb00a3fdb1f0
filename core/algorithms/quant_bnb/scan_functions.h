// The passes of scan.h, compiled once for each instruction set. Nothing from the standard library
// may be used here: its functions would be compiled for the wider set and then be taken by others.
#pragma once

#include <cstdint>

#include "core/algorithms/quant_bnb/lanes.h"
#include "core/algorithms/quant_bnb/scan.h"

namespace trainyard::quant_bnb::TRAINYARD_ISA {

inline constexpr uint32_t kRow = (uint32_t{1} << 31) - 1;
inline bool IsLast(uint32_t entry) { return static_cast<int32_t>(entry) < 0; }

template <typename T>
void StoreBest(const Scan& scan, int group, int side, int constrained, int kind, Lanes<T> lanes) {
  alignas(64) T values[kLanes];
  lanes.Store(values);
  double* const to = scan.best + BestIndex(group, side, constrained, kind);
  for (int i = 0; i < kLanes; ++i) to[i] = static_cast<double>(values[i]);
}

// What a row adds to the lanes of a group on a side.
template <typename T, bool kWeighted>
inline Lanes<T> Addend(const T* table, int code, int side, [[maybe_unused]] T weight) {
  const Lanes<T> entry = Lanes<T>::Load(table + (code * 2 + side) * kLanes);
  if constexpr (kWeighted) {
    return entry & Lanes<T>::Of(weight);
  } else {
    return entry;
  }
}

// Rows on either side of a split, and whether they are enough.
template <typename T, int kGroups>
struct SplitSizes {
  Lanes<T> counted[kGroups][2];
  Lanes<T> total[kGroups][2];
  Lanes<T> least;

  explicit SplitSizes(const Scan& scan) : least(Lanes<T>::Of(static_cast<T>(scan.min_count))) {
    const T* const totals = static_cast<const T*>(scan.count_totals);
    for (int g = 0; g < kGroups; ++g) {
      for (int side = 0; side < 2; ++side) {
        counted[g][side] = Lanes<T>::Of(0);
        total[g][side] = Lanes<T>::Load(totals + (g * 2 + side) * kLanes);
      }
    }
  }
  void Add(int g, int side, Lanes<T> mask, T count) {
    counted[g][side] = counted[g][side] + (mask & Lanes<T>::Of(count));
  }
  Lanes<T> Enough(int g, int side) const {
    return Lanes<T>::AtLeast(counted[g][side], least) &
           Lanes<T>::AtLeast(total[g][side] - counted[g][side], least);
  }
};

template <typename T, int kGroups, bool kWeighted>
void ScanBinary(const Scan& scan) {
  using L = Lanes<T>;
  const T* const table = static_cast<const T*>(scan.table);
  const T* const weights = static_cast<const T*>(scan.weights);
  L sum[kGroups][2];
  L greatest[kGroups][2];
  L least[kGroups][2];
  for (int g = 0; g < kGroups; ++g) {
    for (int side = 0; side < 2; ++side) {
      sum[g][side] = greatest[g][side] = least[g][side] = L::Of(0);
    }
  }
  for (int i = 0; i < scan.count; ++i) {
    const uint32_t entry = scan.order[i];
    const uint32_t row = entry & kRow;
    const uint8_t* const codes = scan.codes + row * kGroups;
    T weight = 0;
    if constexpr (kWeighted) weight = weights[row];
    for (int g = 0; g < kGroups; ++g) {
      for (int side = 0; side < 2; ++side) {
        sum[g][side] = sum[g][side] + Addend<T, kWeighted>(table, codes[g], side, weight);
      }
    }
    if (!IsLast(entry)) continue;
    for (int g = 0; g < kGroups; ++g) {
      for (int side = 0; side < 2; ++side) {
        greatest[g][side] = L::Max(greatest[g][side], sum[g][side]);
        least[g][side] = L::Min(least[g][side], sum[g][side]);
      }
    }
  }
  for (int g = 0; g < kGroups; ++g) {
    for (int side = 0; side < 2; ++side) {
      StoreBest<T>(scan, g, side, 0, 0, greatest[g][side]);
      StoreBest<T>(scan, g, side, 0, 1, least[g][side]);
    }
  }
}

template <typename T>
void ScanBinaryWithCounts(const Scan& scan) {
  using L = Lanes<T>;
  const T* const table = static_cast<const T*>(scan.table);
  const T* const weights = static_cast<const T*>(scan.weights);
  const T* const counts = static_cast<const T*>(scan.counts);
  SplitSizes<T, 1> sizes(scan);
  L sum[2];
  L greatest[2][2];
  L least[2][2];
  for (int side = 0; side < 2; ++side) {
    sum[side] = L::Of(0);
    for (int constrained = 0; constrained < 2; ++constrained) {
      greatest[side][constrained] = least[side][constrained] = L::Of(0);
    }
  }
  for (int i = 0; i < scan.count; ++i) {
    const uint32_t entry = scan.order[i];
    const uint32_t row = entry & kRow;
    for (int side = 0; side < 2; ++side) {
      const L mask = L::Load(table + (scan.codes[row] * 2 + side) * kLanes);
      sum[side] = sum[side] + (mask & L::Of(weights[row]));
      sizes.Add(0, side, mask, counts[row]);
    }
    if (!IsLast(entry)) continue;
    for (int side = 0; side < 2; ++side) {
      greatest[side][0] = L::Max(greatest[side][0], sum[side]);
      least[side][0] = L::Min(least[side][0], sum[side]);
      const L allowed = sizes.Enough(0, side) & sum[side];
      greatest[side][1] = L::Max(greatest[side][1], allowed);
      least[side][1] = L::Min(least[side][1], allowed);
    }
  }
  for (int side = 0; side < 2; ++side) {
    for (int constrained = 0; constrained < 2; ++constrained) {
      StoreBest<T>(scan, 0, side, constrained, 0, greatest[side][constrained]);
      StoreBest<T>(scan, 0, side, constrained, 1, least[side][constrained]);
    }
  }
}

// The weight of the largest class of the rows seen so far, as they come one by one.
template <typename T, int kGroups, bool kWeighted>
class Majorities {
 public:
  Majorities(const Scan& scan, T* counters)
      : scan_(scan),
        table_(static_cast<const T*>(scan.table)),
        weights_(static_cast<const T*>(scan.weights)),
        counters_(counters) {
    const int size = kGroups * 2 * scan.class_count;
    for (int i = 0; i < size; ++i) Lanes<T>::Of(0).Store(counters + i * kLanes);
    for (int g = 0; g < kGroups; ++g) greatest[g][0] = greatest[g][1] = Lanes<T>::Of(0);
  }

  void Add(uint32_t row) {
    T weight = 0;
    if constexpr (kWeighted) weight = weights_[row];
    T* counter = counters_ + scan_.classes[row] * (kGroups * 2 * kLanes);
    for (int g = 0; g < kGroups; ++g) {
      for (int side = 0; side < 2; ++side, counter += kLanes) {
        const Lanes<T> sum =
            Lanes<T>::Load(counter) +
            Addend<T, kWeighted>(table_, scan_.codes[row * kGroups + g], side, weight);
        sum.Store(counter);
        greatest[g][side] = Lanes<T>::Max(greatest[g][side], sum);
      }
    }
  }

  Lanes<T> greatest[kGroups][2];

 private:
  const Scan& scan_;
  const T* const table_;
  const T* const weights_;
  T* const counters_;  // [class][group][side][lane]
};

// Forwards the majorities left of every split are noted, backwards those right of it are added.
template <typename T, int kGroups, bool kWeighted, bool kCounts>
void ScanClasses(const Scan& scan) {
  using L = Lanes<T>;
  T* const counters = static_cast<T*>(scan.scratch);
  T* const before = counters + kGroups * 2 * scan.class_count * kLanes;
  T* note = before;
  {
    Majorities<T, kGroups, kWeighted> seen(scan, counters);
    for (int i = 0; i < scan.count; ++i) {
      seen.Add(scan.order[i] & kRow);
      if (!IsLast(scan.order[i])) continue;
      for (int g = 0; g < kGroups; ++g) {
        for (int side = 0; side < 2; ++side, note += kLanes) seen.greatest[g][side].Store(note);
      }
    }
  }
  L best[kGroups][2];
  L constrained[kGroups][2];
  for (int g = 0; g < kGroups; ++g) {
    for (int side = 0; side < 2; ++side) best[g][side] = constrained[g][side] = L::Of(0);
  }
  Majorities<T, kGroups, kWeighted> seen(scan, counters);
  SplitSizes<T, kGroups>* sizes = nullptr;
  alignas(64) unsigned char sizes_room[kCounts ? sizeof(SplitSizes<T, kGroups>) : 1];
  if constexpr (kCounts)
    sizes = ::new (static_cast<void*>(sizes_room)) SplitSizes<T, kGroups>(scan);
  for (int i = scan.count - 1; i >= 0; --i) {
    const uint32_t row = scan.order[i] & kRow;
    if (IsLast(scan.order[i])) {
      note -= kGroups * 2 * kLanes;
      for (int g = 0; g < kGroups; ++g) {
        for (int side = 0; side < 2; ++side) {
          const L both = L::Load(note + (g * 2 + side) * kLanes) + seen.greatest[g][side];
          best[g][side] = L::Max(best[g][side], both);
          if constexpr (kCounts) {
            constrained[g][side] = L::Max(constrained[g][side], sizes->Enough(g, side) & both);
          }
        }
      }
    }
    seen.Add(row);
    if constexpr (kCounts) {
      const T* const table = static_cast<const T*>(scan.table);
      for (int g = 0; g < kGroups; ++g) {
        for (int side = 0; side < 2; ++side) {
          const L mask = L::Load(table + (scan.codes[row * kGroups + g] * 2 + side) * kLanes);
          sizes->Add(g, side, mask, static_cast<const T*>(scan.counts)[row]);
        }
      }
    }
  }
  for (int g = 0; g < kGroups; ++g) {
    for (int side = 0; side < 2; ++side) {
      StoreBest<T>(scan, g, side, 0, 0, best[g][side]);
      StoreBest<T>(scan, g, side, 1, 0, constrained[g][side]);
    }
  }
}

// One group; scratch: [side][predicted][lane].
template <bool kCounts>
void ScanCosts(const Scan& scan) {
  using L = Lanes<double>;
  constexpr double kHuge = 1e300;
  double* const sums = static_cast<double*>(scan.scratch);
  const int classes = scan.class_count;
  for (int i = 0; i < 2 * classes; ++i) L::Of(0).Store(sums + i * kLanes);
  const double* const table = static_cast<const double*>(scan.table);
  const double* const weights = static_cast<const double*>(scan.weights);
  L counted[2] = {L::Of(0), L::Of(0)};
  L best[2][2] = {{L::Of(kHuge), L::Of(kHuge)}, {L::Of(kHuge), L::Of(kHuge)}};
  for (int i = 0; i < scan.count; ++i) {
    const uint32_t entry = scan.order[i];
    const uint32_t row = entry & kRow;
    const double* const row_costs = scan.costs + scan.classes[row] * classes;
    for (int side = 0; side < 2; ++side) {
      const L mask = L::Load(table + (scan.codes[row] * 2 + side) * kLanes);
      for (int p = 0; p < classes; ++p) {
        double* const at = sums + (side * classes + p) * kLanes;
        (L::Load(at) + (mask & L::Of(weights[row] * row_costs[p]))).Store(at);
      }
      if constexpr (kCounts) {
        counted[side] =
            counted[side] + (mask & L::Of(static_cast<const double*>(scan.counts)[row]));
      }
    }
    if (!IsLast(entry)) continue;
    for (int side = 0; side < 2; ++side) {
      L left = L::Of(kHuge);
      L right = L::Of(kHuge);
      for (int p = 0; p < classes; ++p) {
        const L sum = L::Load(sums + (side * classes + p) * kLanes);
        left = L::Min(left, sum);
        right = L::Min(right, L::Load(scan.cost_totals + (side * classes + p) * kLanes) - sum);
      }
      best[side][0] = L::Min(best[side][0], left + right);
      if constexpr (kCounts) {
        const L least = L::Of(scan.min_count);
        const L total = L::Load(static_cast<const double*>(scan.count_totals) + side * kLanes);
        const L allowed =
            L::AtLeast(counted[side], least) & L::AtLeast(total - counted[side], least);
        best[side][1] = L::Min(best[side][1], L::Select(allowed, left + right, L::Of(kHuge)));
      }
    }
  }
  for (int side = 0; side < 2; ++side) {
    StoreBest<double>(scan, 0, side, 0, 0, best[side][0]);
    StoreBest<double>(scan, 0, side, 1, 0, best[side][1]);
  }
}

// A fraction, the greatest so far; fractions are compared without division.
struct GreatestFraction {
  Doubles numerator;
  Doubles denominator;

  void Offer(Doubles n, Doubles d, Doubles::Mask allowed) {
    const Doubles::Mask better =
        Doubles::Both(allowed, Doubles::Above(n * denominator, numerator * d));
    numerator = Doubles::Select(better, n, numerator);
    denominator = Doubles::Select(better, d, denominator);
  }
};

// One group, one target, the lanes of one register, on one side.
struct SumAndWeight {
  Doubles sum = Doubles::Of(0);
  Doubles weight = Doubles::Of(0);

  // Offers the two leaves of a split here. Their numerators are added over the common denominator.
  template <bool kCounts>
  void OfferSplit(Doubles total_sum, Doubles total_weight, GreatestFraction& best,
                  [[maybe_unused]] GreatestFraction& constrained,
                  [[maybe_unused]] Doubles::Mask enough) const {
    const Doubles other_sum = total_sum - sum;
    const Doubles other_weight = total_weight - weight;
    const Doubles numerator = sum * sum * other_weight + other_sum * other_sum * weight;
    const Doubles denominator = weight * other_weight;
    // Negative by rounding, or zero: one side is empty.
    const Doubles::Mask split = Doubles::Above(denominator, Doubles::Of(0));
    best.Offer(numerator, denominator, split);
    if constexpr (kCounts) constrained.Offer(numerator, denominator, Doubles::Both(split, enough));
  }
};

template <bool kCounts>
void ScanOneTarget(const Scan& scan) {
  const double* const table = static_cast<const double*>(scan.table);
  const double* const weights = static_cast<const double*>(scan.weights);
  [[maybe_unused]] const double* const counts = static_cast<const double*>(scan.counts);
  for (int lane = 0; lane < kLanes; lane += Doubles::kCount) {
    SumAndWeight state[2];
    Doubles counted[2] = {Doubles::Of(0), Doubles::Of(0)};
    Doubles total_sum[2];
    Doubles total_weight[2];
    Doubles total_count[2] = {Doubles::Of(0), Doubles::Of(0)};
    GreatestFraction best[2];
    GreatestFraction constrained[2];
    for (int side = 0; side < 2; ++side) {
      total_sum[side] = Doubles::Load(scan.sum_totals + side * kLanes + lane);
      total_weight[side] = Doubles::Load(scan.weight_totals + side * kLanes + lane);
      if constexpr (kCounts) {
        total_count[side] =
            Doubles::Load(static_cast<const double*>(scan.count_totals) + side * kLanes + lane);
      }
      best[side] = {Doubles::Of(0), Doubles::Of(1)};
      constrained[side] = {Doubles::Of(-1), Doubles::Of(1)};
    }
    for (int i = 0; i < scan.count; ++i) {
      const uint32_t entry = scan.order[i];
      const uint32_t row = entry & kRow;
      const double* const masks = table + scan.codes[row] * 2 * kLanes + lane;
      for (int side = 0; side < 2; ++side) {
        const Doubles mask = Doubles::Load(masks + side * kLanes);
        state[side].sum = state[side].sum + (mask & Doubles::Of(scan.sums[row]));
        state[side].weight = state[side].weight + (mask & Doubles::Of(weights[row]));
        if constexpr (kCounts) counted[side] = counted[side] + (mask & Doubles::Of(counts[row]));
      }
      if (!IsLast(entry)) continue;
      for (int side = 0; side < 2; ++side) {
        Doubles::Mask enough{};
        if constexpr (kCounts) {
          const Doubles least = Doubles::Of(scan.min_count);
          enough = Doubles::Both(Doubles::AtLeast(counted[side], least),
                                 Doubles::AtLeast(total_count[side] - counted[side], least));
        }
        state[side].OfferSplit<kCounts>(total_sum[side], total_weight[side], best[side],
                                        constrained[side], enough);
      }
    }
    for (int side = 0; side < 2; ++side) {
      best[side].numerator.Store(scan.best + BestIndex(0, side, 0, 0) + lane);
      best[side].denominator.Store(scan.best + BestIndex(0, side, 0, 1) + lane);
      constrained[side].numerator.Store(scan.best + BestIndex(0, side, 1, 0) + lane);
      constrained[side].denominator.Store(scan.best + BestIndex(0, side, 1, 1) + lane);
    }
  }
}

// One group, several targets; scratch: [side][output][lane of one register].
template <bool kCounts>
void ScanTargets(const Scan& scan) {
  constexpr int kWidth = Doubles::kCount;
  const double* const table = static_cast<const double*>(scan.table);
  const double* const weights = static_cast<const double*>(scan.weights);
  double* const sums = static_cast<double*>(scan.scratch);
  const int outputs = scan.outputs;
  for (int lane = 0; lane < kLanes; lane += kWidth) {
    for (int i = 0; i < 2 * outputs; ++i) Doubles::Of(0).Store(sums + i * kWidth);
    Doubles weight[2] = {Doubles::Of(0), Doubles::Of(0)};
    Doubles counted[2] = {Doubles::Of(0), Doubles::Of(0)};
    GreatestFraction best[2];
    GreatestFraction constrained[2];
    for (int side = 0; side < 2; ++side) {
      best[side] = {Doubles::Of(0), Doubles::Of(1)};
      constrained[side] = {Doubles::Of(-1), Doubles::Of(1)};
    }
    for (int i = 0; i < scan.count; ++i) {
      const uint32_t entry = scan.order[i];
      const uint32_t row = entry & kRow;
      const double* const masks = table + scan.codes[row] * 2 * kLanes + lane;
      for (int side = 0; side < 2; ++side) {
        const Doubles mask = Doubles::Load(masks + side * kLanes);
        for (int o = 0; o < outputs; ++o) {
          double* const at = sums + (side * outputs + o) * kWidth;
          (Doubles::Load(at) +
           (mask & Doubles::Of(
                       scan.sums[row * static_cast<uint32_t>(outputs) + static_cast<uint32_t>(o)])))
              .Store(at);
        }
        weight[side] = weight[side] + (mask & Doubles::Of(weights[row]));
        if constexpr (kCounts) {
          counted[side] =
              counted[side] + (mask & Doubles::Of(static_cast<const double*>(scan.counts)[row]));
        }
      }
      if (!IsLast(entry)) continue;
      for (int side = 0; side < 2; ++side) {
        Doubles own = Doubles::Of(0);
        Doubles other = Doubles::Of(0);
        for (int o = 0; o < outputs; ++o) {
          const Doubles sum = Doubles::Load(sums + (side * outputs + o) * kWidth);
          const Doubles rest =
              Doubles::Load(scan.sum_totals + (side * outputs + o) * kLanes + lane) - sum;
          own = own + sum * sum;
          other = other + rest * rest;
        }
        const Doubles other_weight =
            Doubles::Load(scan.weight_totals + side * kLanes + lane) - weight[side];
        const Doubles denominator = weight[side] * other_weight;
        const Doubles numerator = own * other_weight + other * weight[side];
        const Doubles::Mask split = Doubles::Above(denominator, Doubles::Of(0));
        best[side].Offer(numerator, denominator, split);
        if constexpr (kCounts) {
          const Doubles least = Doubles::Of(scan.min_count);
          const Doubles rest =
              Doubles::Load(static_cast<const double*>(scan.count_totals) + side * kLanes + lane) -
              counted[side];
          constrained[side].Offer(
              numerator, denominator,
              Doubles::Both(split, Doubles::Both(Doubles::AtLeast(counted[side], least),
                                                 Doubles::AtLeast(rest, least))));
        }
      }
    }
    for (int side = 0; side < 2; ++side) {
      best[side].numerator.Store(scan.best + BestIndex(0, side, 0, 0) + lane);
      best[side].denominator.Store(scan.best + BestIndex(0, side, 0, 1) + lane);
      constrained[side].numerator.Store(scan.best + BestIndex(0, side, 1, 0) + lane);
      constrained[side].denominator.Store(scan.best + BestIndex(0, side, 1, 1) + lane);
    }
  }
}

template <typename T>
void BinaryOf(const Scan& scan) {
  if (scan.counts != nullptr) {
    ScanBinaryWithCounts<T>(scan);
  } else if (scan.weights != nullptr) {
    scan.groups == 2 ? ScanBinary<T, 2, true>(scan) : ScanBinary<T, 1, true>(scan);
  } else {
    scan.groups == 2 ? ScanBinary<T, 2, false>(scan) : ScanBinary<T, 1, false>(scan);
  }
}

template <typename T>
void ClassesOf(const Scan& scan) {
  if (scan.counts != nullptr) {
    ScanClasses<T, 1, true, true>(scan);
  } else if (scan.weights != nullptr) {
    scan.groups == 2 ? ScanClasses<T, 2, true, false>(scan) : ScanClasses<T, 1, true, false>(scan);
  } else {
    scan.groups == 2 ? ScanClasses<T, 2, false, false>(scan)
                     : ScanClasses<T, 1, false, false>(scan);
  }
}

inline void Binary(const Scan& scan, ScanType type) {
  switch (type) {
    case ScanType::kInt16:
      return BinaryOf<int16_t>(scan);
    case ScanType::kInt32:
      return BinaryOf<int32_t>(scan);
    case ScanType::kDouble:
      return BinaryOf<double>(scan);
  }
}

inline void Classes(const Scan& scan, ScanType type) {
  switch (type) {
    case ScanType::kInt16:
      return ClassesOf<int16_t>(scan);
    case ScanType::kInt32:
      return ClassesOf<int32_t>(scan);
    case ScanType::kDouble:
      return ClassesOf<double>(scan);
  }
}

inline void Costs(const Scan& scan) {
  scan.counts != nullptr ? ScanCosts<true>(scan) : ScanCosts<false>(scan);
}

inline void Regression(const Scan& scan) {
  if (scan.outputs == 1) {
    scan.counts != nullptr ? ScanOneTarget<true>(scan) : ScanOneTarget<false>(scan);
  } else {
    scan.counts != nullptr ? ScanTargets<true>(scan) : ScanTargets<false>(scan);
  }
}

inline constexpr ScanFunctions kFunctions = {Binary, Classes, Costs, Regression};

}  // namespace trainyard::quant_bnb::TRAINYARD_ISA
