// The best split of a node by its histogram.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>

#include "core/trees/boosting/binned_features.h"
#include "core/trees/boosting/gradient_sums.h"

namespace trainyard {

// A set of codes, as 256 bits.
class CodeSet {
 public:
  bool Contains(size_t code) const { return (words_[code / 64] >> (code % 64) & 1) != 0; }
  void Insert(size_t code) { words_[code / 64] |= uint64_t{1} << (code % 64); }
  bool empty() const { return (words_[0] | words_[1] | words_[2] | words_[3]) == 0; }
  friend bool operator==(const CodeSet&, const CodeSet&) = default;

 private:
  std::array<uint64_t, 4> words_{};
};

// Bounds of a node's value, from monotone constraints above it.
struct ValueBounds {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
};

// Rules and constants of the search.
struct SplitRules {
  int64_t min_rows = 1;
  double min_hessian = 0;
  double l2 = 0;
  double category_smoothing = 0;
};

// A split of a node by one feature. Rows whose code is in `left_codes` go left.
struct HistogramSplit {
  int32_t feature = -1;  // -1: there is none
  // Greatest code of the values on the left of a numeric split.
  int32_t last_left_code = 0;
  // Whether rows of the node lack the feature.
  bool saw_missing = false;
  // Twice the loss reduction by the second-order approximation, > 0.
  double gain = 0;
  CodeSet left_codes;
  GradientSums left;
  GradientSums right;

  bool found() const { return feature >= 0; }
};

// -G / (H + l2), 0 where that is 0 / 0: the minimum of G v + (H + l2) v^2 / 2.
inline double NewtonStep(const GradientSums& sums, double l2) {
  const double curvature = sums.hessian + l2;
  return curvature > 0 ? -sums.gradient / curvature : 0;
}

// The best split of a node by one feature, if there is one with a gain. With score(G, H) = G^2 / (H
// + l2), the gain is score(left) + score(right) - score(node); under bounds or a monotone
// constraint the score is -(2 G v + (H + l2) v^2) with v the step held within the bounds, and
// splits whose sides are in the wrong order are left out. `sums` is the feature's part of the
// node's histogram, `node` the sums over the node. `direction` is -1, 0 or 1.
//
// Numbers: every cut between codes that both have rows of the node, missing values tried on both
// sides, and on a side of their own; equal gains go to missing values on the right, then to the
// lowest cut. Where bins between the sides have no rows of the node, the threshold is the bin's end
// nearest to their middle.
// Categories: the levels that the node has, in order of G / (H + smoothing); each cut of that
// order, either end going left, the levels without a bin of their own always right.
HistogramSplit FindHistogramSplit(const BinnedFeatures& features, int32_t feature,
                                  const GradientFormat& format, const int64_t* sums,
                                  const GradientSums& node, const SplitRules& rules,
                                  const ValueBounds& bounds, int direction);

}  // namespace trainyard
