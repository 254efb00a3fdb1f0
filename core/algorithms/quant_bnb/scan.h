// One pass over a node's rows in the order of a child's feature, for a batch of thresholds at the
// node: what the best split by that feature achieves on either side of each of them.
#pragma once

#include <cstdint>

namespace trainyard::quant_bnb {

// Thresholds of one group; they belong to one feature of the node.
inline constexpr int kLanes = 16;
// Groups that one pass can serve.
inline constexpr int kMaxGroups = 2;

// How rows are added up.
enum class ScanType { kInt16, kInt32, kDouble };

// The input and output of one pass. Pointers to lanes are aligned to 64 bytes. T is the type of the
// pass; "side" is 0 for rows left of a threshold, 1 for the others; the code of a row in a group is
// the number of the group's thresholds that the row lies right of, 0 to kLanes.
struct Scan {
  // Rows by ascending value, kLastOfValue set on the last of each.
  const uint32_t* order;
  int count;
  int groups;
  // [row][group]. ScanBinary without weights: 2 x code + class, else the code.
  const uint8_t* codes;
  // [code][side][lane] of T: what a row adds to each lane (1 or 0; ScanBinary without weights: -1
  // for class 1), or, where there are weights, a mask of all or no bits.
  const void* table;
  // T by row; null for 1. ScanBinary: negative for class 1.
  const void* weights;
  // Rows that each row stands for, T by row; null where leaves of any size are allowed.
  const void* counts;
  // [group][side][lane] of T, with counts: rows in all; and the least that a leaf may have.
  const void* count_totals;
  double min_count;

  // More than two classes: the class of each row and their number.
  const uint16_t* classes;
  int class_count;
  // ScanCosts: [true class][predicted class]; [group][predicted][side][lane]: cost in all.
  const double* costs;
  const double* cost_totals;

  // Regression: targets summed over a row times its weight, [row][output]; means over all rows of a
  // side [group][output][side][lane]; weights of all rows [group][side][lane]; and what the product
  // of the weights of two leaves is above where neither is empty, likewise.
  const double* sums;
  int outputs;
  const double* means;
  const double* weight_totals;
  const double* least_products;

  // Room for ScratchBytes().
  void* scratch;

  // [group][constrained][kind][side][lane]: the best over the splits at ends of values, none
  // included; with counts also over those alone that leave min_count rows on either side
  // (constrained = 1). Binary: kind 0 and 1 are the greatest and the least of weight of class 0 -
  // weight of class 1 left of a split. Classes: kind 0 is the greatest weight of rows in the
  // largest class of their leaf. Costs: the least cost. Regression: with u and v the weights of the
  // two leaves and d the sum of the targets' distances from the side's mean in one of them, kind 0
  // / kind 1 is the greatest (sum over outputs of d^2) / (u v), constrained with kind 0 < 0 where
  // there is no split.
  double* best;
};

inline constexpr int kBestKinds = 2;

// Index in Scan::best of side 0, lane 0.
constexpr int BestIndex(int group, int constrained, int kind) {
  return ((group * 2 + constrained) * kBestKinds + kind) * 2 * kLanes;
}
inline constexpr int kBestSize = kMaxGroups * 2 * kBestKinds * 2 * kLanes;

// The passes, by instruction set.
struct ScanFunctions {
  void (*binary)(const Scan& scan, ScanType type);
  void (*classes)(const Scan& scan, ScanType type);
  void (*costs)(const Scan& scan);
  void (*regression)(const Scan& scan);
};

// Bytes of scratch for a pass.
int64_t ScratchBytes(int rows, int groups, int class_count, ScanType type);

// The fastest functions that this machine can run.
const ScanFunctions& FastestScans();
// Those for any machine that the program runs on, for tests.
const ScanFunctions& Avx2Scans();

}  // namespace trainyard::quant_bnb
