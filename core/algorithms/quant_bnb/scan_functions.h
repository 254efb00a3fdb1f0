// The passes of scan.h, compiled once for each instruction set. Nothing from the standard library
// may be used here: its functions would be compiled for the wider set and then be taken by others.
#pragma once

#include <cstdint>

#include "core/algorithms/quant_bnb/lanes.h"
#include "core/algorithms/quant_bnb/scan.h"

namespace trainyard::quant_bnb::TRAINYARD_ISA {

inline constexpr int kSpan = 2 * kLanes;  // both sides
inline constexpr uint32_t kRow = (uint32_t{1} << 31) - 1;
inline bool IsLast(uint32_t entry) { return static_cast<int32_t>(entry) < 0; }

template <typename T>
void StoreBest(const Scan& scan, int group, int constrained, int kind, const Lanes<T>& lanes) {
  alignas(64) T values[kSpan];
  lanes.Store(values);
  double* const to = scan.best + BestIndex(group, constrained, kind);
  for (int i = 0; i < kSpan; ++i) to[i] = static_cast<double>(values[i]);
}

// What a row adds to the lanes of a group.
template <typename T, bool kWeighted>
inline Lanes<T> Addend(const T* table, int code, [[maybe_unused]] T weight) {
  const Lanes<T> entry = Lanes<T>::Load(table + code * kSpan);
  if constexpr (kWeighted) {
    return entry & Lanes<T>::Of(weight);
  } else {
    return entry;
  }
}

// Given rows before a split, and whether they and those behind are enough.
template <typename T>
struct SplitSizes {
  Lanes<T> counted;
  Lanes<T> total;
  Lanes<T> least;

  explicit SplitSizes(const Scan& scan)
      : counted(Lanes<T>::Of(0)),
        total(scan.counts == nullptr ? Lanes<T>::Of(0)
                                     : Lanes<T>::Load(static_cast<const T*>(scan.count_totals))),
        least(Lanes<T>::Of(static_cast<T>(scan.min_count))) {}

  void Add(const Lanes<T>& mask, T count) { counted = counted + (mask & Lanes<T>::Of(count)); }

  // `value` where they are, else `other`.
  Lanes<T> Choose(const Lanes<T>& value, const Lanes<T>& other) const {
    using R = Register<T>;
    Lanes<T> chosen;
    for (int i = 0; i < Lanes<T>::kRegisters; ++i) {
      const auto enough = R::Both(R::AtLeast(counted.r[i], least.r[i]),
                                  R::AtLeast(total.r[i] - counted.r[i], least.r[i]));
      chosen.r[i] = R::Select(enough, value.r[i], other.r[i]);
    }
    return chosen;
  }
};

template <typename T, int kGroups, bool kWeighted>
void ScanBinary(const Scan& scan) {
  using L = Lanes<T>;
  const T* const table = static_cast<const T*>(scan.table);
  const T* const weights = static_cast<const T*>(scan.weights);
  L sum[kGroups];
  L greatest[kGroups];
  L least[kGroups];
  for (int g = 0; g < kGroups; ++g) sum[g] = greatest[g] = least[g] = L::Of(0);
  for (int i = 0; i < scan.count; ++i) {
    const uint32_t entry = scan.order[i];
    const uint32_t row = entry & kRow;
    const uint8_t* const codes = scan.codes + row * kGroups;
    T weight = 0;
    if constexpr (kWeighted) weight = weights[row];
    for (int g = 0; g < kGroups; ++g) {
      sum[g] = sum[g] + Addend<T, kWeighted>(table, codes[g], weight);
    }
    if (!IsLast(entry)) continue;
    for (int g = 0; g < kGroups; ++g) {
      greatest[g] = L::Max(greatest[g], sum[g]);
      least[g] = L::Min(least[g], sum[g]);
    }
  }
  for (int g = 0; g < kGroups; ++g) {
    StoreBest<T>(scan, g, 0, 0, greatest[g]);
    StoreBest<T>(scan, g, 0, 1, least[g]);
  }
}

template <typename T>
void ScanBinaryWithCounts(const Scan& scan) {
  using L = Lanes<T>;
  const T* const table = static_cast<const T*>(scan.table);
  const T* const weights = static_cast<const T*>(scan.weights);
  const T* const counts = static_cast<const T*>(scan.counts);
  SplitSizes<T> sizes(scan);
  const L zero = L::Of(0);
  L sum = zero;
  L greatest[2] = {zero, zero};
  L least[2] = {zero, zero};
  for (int i = 0; i < scan.count; ++i) {
    const uint32_t entry = scan.order[i];
    const uint32_t row = entry & kRow;
    const L mask = L::Load(table + scan.codes[row] * kSpan);
    sum = sum + (mask & L::Of(weights[row]));
    sizes.Add(mask, counts[row]);
    if (!IsLast(entry)) continue;
    greatest[0] = L::Max(greatest[0], sum);
    least[0] = L::Min(least[0], sum);
    const L allowed = sizes.Choose(sum, zero);
    greatest[1] = L::Max(greatest[1], allowed);
    least[1] = L::Min(least[1], allowed);
  }
  for (int constrained = 0; constrained < 2; ++constrained) {
    StoreBest<T>(scan, 0, constrained, 0, greatest[constrained]);
    StoreBest<T>(scan, 0, constrained, 1, least[constrained]);
  }
}

// The weight of the largest class of the rows seen so far, as they come one by one.
template <typename T, int kGroups, bool kWeighted>
class Majorities {
 public:
  // `counters`: [class][group][side][lane].
  Majorities(const Scan& scan, T* counters)
      : scan_(scan),
        table_(static_cast<const T*>(scan.table)),
        weights_(static_cast<const T*>(scan.weights)),
        counters_(counters) {
    const int size = kGroups * scan.class_count;
    for (int i = 0; i < size; ++i) Lanes<T>::Of(0).Store(counters + i * kSpan);
    for (int g = 0; g < kGroups; ++g) greatest[g] = Lanes<T>::Of(0);
  }

  void Add(uint32_t row) {
    T weight = 0;
    if constexpr (kWeighted) weight = weights_[row];
    T* counter = counters_ + scan_.classes[row] * (kGroups * kSpan);
    const uint8_t* const codes = scan_.codes + row * kGroups;
    for (int g = 0; g < kGroups; ++g, counter += kSpan) {
      const Lanes<T> sum = Lanes<T>::Load(counter) + Addend<T, kWeighted>(table_, codes[g], weight);
      sum.Store(counter);
      greatest[g] = Lanes<T>::Max(greatest[g], sum);
    }
  }

  Lanes<T> greatest[kGroups];

 private:
  const Scan& scan_;
  const T* const table_;
  const T* const weights_;
  T* const counters_;
};

// Two walks over the rows, one from either end, whose work does not wait for one another. Where
// they come to a split first they note the majority on their side of it, and where they come to it
// second they add theirs.
template <typename T, int kGroups, bool kWeighted, bool kCounts>
class ClassesScan {
 public:
  using L = Lanes<T>;

  explicit ClassesScan(const Scan& scan)
      : scan_(scan),
        notes_(static_cast<T*>(scan.scratch) + 2 * kGroups * scan.class_count * kSpan),
        forward_(scan, static_cast<T*>(scan.scratch)),
        backward_(scan, static_cast<T*>(scan.scratch) + kGroups * scan.class_count * kSpan),
        sizes_{SplitSizes<T>(scan), SplitSizes<T>(scan)} {
    for (int g = 0; g < kGroups; ++g) best_[g] = constrained_[g] = L::Of(0);
  }

  void Run() {
    const int half = scan_.count / 2;
    for (int i = 0; i < half; ++i) {
      Forward<true>(i);
      Backward<true>(scan_.count - 1 - i);
    }
    if (scan_.count % 2 == 1) {
      Forward<true>(half);
      Backward<false>(half);
    }
    for (int i = scan_.count - half; i < scan_.count; ++i) {
      Forward<false>(i);
      Backward<false>(scan_.count - 1 - i);
    }
    for (int g = 0; g < kGroups; ++g) {
      StoreBest<T>(scan_, g, 0, 0, best_[g]);
      StoreBest<T>(scan_, g, 1, 0, constrained_[g]);
    }
  }

 private:
  template <bool kFirst>
  void Forward(int i) {
    const uint32_t entry = scan_.order[i];
    Add(forward_, 0, entry & kRow);
    if (IsLast(entry)) Meet<kFirst>(forward_, 0, i);
  }

  template <bool kFirst>
  void Backward(int i) {
    const uint32_t entry = scan_.order[i];
    if (IsLast(entry)) Meet<kFirst>(backward_, 1, i);
    Add(backward_, 1, entry & kRow);
  }

  void Add(Majorities<T, kGroups, kWeighted>& seen, [[maybe_unused]] int walk, uint32_t row) {
    seen.Add(row);
    if constexpr (kCounts) {
      const L mask = L::Load(static_cast<const T*>(scan_.table) + scan_.codes[row] * kSpan);
      sizes_[walk].Add(mask, static_cast<const T*>(scan_.counts)[row]);
    }
  }

  template <bool kFirst>
  void Meet(const Majorities<T, kGroups, kWeighted>& seen, [[maybe_unused]] int walk, int i) {
    T* const note = notes_ + i * (kGroups * kSpan);
    for (int g = 0; g < kGroups; ++g) {
      if constexpr (kFirst) {
        seen.greatest[g].Store(note + g * kSpan);
      } else {
        const L both = L::Load(note + g * kSpan) + seen.greatest[g];
        best_[g] = L::Max(best_[g], both);
        if constexpr (kCounts) {
          constrained_[g] = L::Max(constrained_[g], sizes_[walk].Choose(both, L::Of(0)));
        }
      }
    }
  }

  const Scan& scan_;
  T* const notes_;
  Majorities<T, kGroups, kWeighted> forward_;
  Majorities<T, kGroups, kWeighted> backward_;
  SplitSizes<T> sizes_[2];  // with kCounts: of the rows that each walk has passed
  L best_[kGroups];
  L constrained_[kGroups];
};

template <typename T, int kGroups, bool kWeighted, bool kCounts>
void ScanClasses(const Scan& scan) {
  ClassesScan<T, kGroups, kWeighted, kCounts>(scan).Run();
}

// One group; scratch: [predicted][side][lane].
template <bool kCounts>
void ScanCosts(const Scan& scan) {
  using L = Lanes<double>;
  const L huge = L::Of(1e300);
  double* const sums = static_cast<double*>(scan.scratch);
  const int classes = scan.class_count;
  for (int p = 0; p < classes; ++p) L::Of(0).Store(sums + p * kSpan);
  const double* const table = static_cast<const double*>(scan.table);
  const double* const weights = static_cast<const double*>(scan.weights);
  L best[2] = {huge, huge};
  SplitSizes<double> sizes(scan);
  for (int i = 0; i < scan.count; ++i) {
    const uint32_t entry = scan.order[i];
    const uint32_t row = entry & kRow;
    const double* const row_costs = scan.costs + scan.classes[row] * classes;
    const L mask = L::Load(table + scan.codes[row] * kSpan);
    for (int p = 0; p < classes; ++p) {
      double* const at = sums + p * kSpan;
      (L::Load(at) + (mask & L::Of(weights[row] * row_costs[p]))).Store(at);
    }
    if constexpr (kCounts) sizes.Add(mask, static_cast<const double*>(scan.counts)[row]);
    if (!IsLast(entry)) continue;
    L before = huge;
    L behind = huge;
    for (int p = 0; p < classes; ++p) {
      const L sum = L::Load(sums + p * kSpan);
      before = L::Min(before, sum);
      behind = L::Min(behind, L::Load(scan.cost_totals + p * kSpan) - sum);
    }
    best[0] = L::Min(best[0], before + behind);
    if constexpr (kCounts) best[1] = L::Min(best[1], sizes.Choose(before + behind, huge));
  }
  StoreBest<double>(scan, 0, 0, 0, best[0]);
  StoreBest<double>(scan, 0, 1, 0, best[1]);
}

// A fraction, the greatest so far; fractions are compared without division.
struct GreatestFraction {
  using R = Register<double>;
  R numerator = R::Of(0);
  R denominator = R::Of(1);

  void Offer(R n, R d, R::Mask allowed) {
    const auto better = R::Both(allowed, R::Above(n * denominator, numerator * d));
    numerator = R::Select(better, n, numerator);
    denominator = R::Select(better, d, denominator);
  }
};

// Registers that are worked on in one pass, so that none waits for its own result; as many as there
// is room for.
#ifdef __AVX512BW__
inline constexpr int kBlock = 4;
#else
inline constexpr int kBlock = 2;
#endif

// One group, some of its lanes; kOutputs = 0: as many as the scan says, with the sums in the
// scratch: [output][register][lane].
template <int kOutputs, bool kCounts>
class RegressionScan {
 public:
  using R = Register<double>;
  static constexpr int kWidth = Lanes<double>::kWidth;
  static constexpr int kLanesOfBlock = kBlock * kWidth;

  RegressionScan(const Scan& scan, int lane)
      : scan_(scan), lane_(lane), outputs_(kOutputs == 0 ? scan.outputs : kOutputs) {
    for (int b = 0; b < kBlock; ++b) constrained_[b].numerator = R::Of(-1);
  }

  void Run() {
    if constexpr (kOutputs != 1) {
      for (int i = 0; i < outputs_ * kBlock; ++i) R::Of(0).Store(Sum(0, 0) + i * kWidth);
    }
    const double* const table = static_cast<const double*>(scan_.table) + lane_;
    const double* const weights = static_cast<const double*>(scan_.weights);
    for (int i = 0; i < scan_.count; ++i) {
      const uint32_t entry = scan_.order[i];
      const uint32_t row = entry & kRow;
      const double* const masks = table + scan_.codes[row] * kSpan;
      const double* const targets = scan_.sums + row * static_cast<uint32_t>(outputs_);
      const bool last = IsLast(entry);
      for (int b = 0; b < kBlock; ++b) {
        const R mask = R::Load(masks + b * kWidth);
        AddTargets(mask, targets, b);
        weight_[b] = weight_[b] + (mask & R::Of(weights[row]));
        if constexpr (kCounts) {
          count_[b] = count_[b] + (mask & R::Of(static_cast<const double*>(scan_.counts)[row]));
        }
      }
      if (!last) continue;
      for (int b = 0; b < kBlock; ++b) Offer(SquaredDistance(b), b);
    }
    for (int b = 0; b < kBlock; ++b) {
      Store(best_[b], 0, b);
      Store(constrained_[b], 1, b);
    }
  }

 private:
  double* Sum(int output, int b) {
    double* const sums = kOutputs == 0 ? static_cast<double*>(scan_.scratch) : own_sums_;
    return sums + (output * kBlock + b) * kWidth;
  }

  void AddTargets(R mask, const double* targets, int b) {
    if constexpr (kOutputs == 1) {
      sum_[b] = sum_[b] + (mask & R::Of(targets[0]));
    } else {
      for (int o = 0; o < outputs_; ++o) {
        (R::Load(Sum(o, b)) + (mask & R::Of(targets[o]))).Store(Sum(o, b));
      }
    }
  }

  R SquaredDistance(int b) {
    const int at = lane_ + b * kWidth;
    if constexpr (kOutputs == 1) {
      const R distance = R::SubtractProduct(sum_[b], R::Load(scan_.means + at), weight_[b]);
      return distance * distance;
    } else {
      R square = R::Of(0);
      for (int o = 0; o < outputs_; ++o) {
        const R mean = R::Load(scan_.means + o * kSpan + at);
        const R distance = R::SubtractProduct(R::Load(Sum(o, b)), mean, weight_[b]);
        square = square + distance * distance;
      }
      return square;
    }
  }

  void Offer(R square, int b) {
    const int at = lane_ + b * kWidth;
    const R product = weight_[b] * (R::Load(scan_.weight_totals + at) - weight_[b]);
    const auto split = R::Above(product, R::Load(scan_.least_products + at));
    best_[b].Offer(square, product, split);
    if constexpr (kCounts) {
      const R least = R::Of(scan_.min_count);
      const R total = R::Load(static_cast<const double*>(scan_.count_totals) + at);
      const auto enough =
          R::Both(R::AtLeast(count_[b], least), R::AtLeast(total - count_[b], least));
      constrained_[b].Offer(square, product, R::Both(split, enough));
    }
  }

  void Store(const GreatestFraction& fraction, int constrained, int b) const {
    const int at = lane_ + b * kWidth;
    fraction.numerator.Store(scan_.best + BestIndex(0, constrained, 0) + at);
    fraction.denominator.Store(scan_.best + BestIndex(0, constrained, 1) + at);
  }

  static constexpr int kOwnSums = kOutputs < 2 ? 1 : kOutputs * kBlock;

  const Scan& scan_;
  const int lane_;
  const int outputs_;
  alignas(64) double own_sums_[kOwnSums * kWidth];
  R sum_[kBlock] = {};  // of the only output
  R weight_[kBlock] = {};
  R count_[kBlock] = {};
  GreatestFraction best_[kBlock];
  GreatestFraction constrained_[kBlock];
};

template <int kOutputs, bool kCounts>
void ScanTargets(const Scan& scan) {
  using Part = RegressionScan<kOutputs, kCounts>;
  for (int lane = 0; lane < kSpan; lane += Part::kLanesOfBlock) Part(scan, lane).Run();
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
  const bool counts = scan.counts != nullptr;
  switch (scan.outputs) {
    case 1:
      return counts ? ScanTargets<1, true>(scan) : ScanTargets<1, false>(scan);
    case 2:
      return counts ? ScanTargets<2, true>(scan) : ScanTargets<2, false>(scan);
    case 3:
      return counts ? ScanTargets<3, true>(scan) : ScanTargets<3, false>(scan);
    default:
      return counts ? ScanTargets<0, true>(scan) : ScanTargets<0, false>(scan);
  }
}

inline constexpr ScanFunctions kFunctions = {Binary, Classes, Costs, Regression};

}  // namespace trainyard::quant_bnb::TRAINYARD_ISA
