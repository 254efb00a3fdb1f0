// The best split of one node by one feature.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "core/trees/node_rows.h"
#include "core/trees/presort.h"
#include "core/trees/stop_token.h"

namespace trainyard {

// Conditions on both sides of a split.
struct SplitLimits {
  int64_t min_rows = 1;
  double min_weight = 0;
};

// A rank above all others.
inline constexpr uint32_t kNoRank = std::numeric_limits<uint32_t>::max();

// A split of a node. Rows go left by `left_levels` when that is not empty, else by rank; searches
// leave the threshold to be filled in for the split that is chosen.
struct Split {
  int32_t feature = -1;  // -1: there is none
  double decrease = 0;   // N(t) i(t) - N(a) i(a) - N(b) i(b), in units of stored targets
  double left_weight = 0;
  double threshold = 0;
  uint32_t last_left_rank = 0;          // numeric: rows of rank <= this go left
  uint32_t first_right_rank = kNoRank;  // numeric: next in the node; kNoRank: only missing rows
  bool saw_missing = false;             // whether the node has missing values of the feature
  bool missing_left = false;
  std::vector<int32_t> left_levels;

  bool found() const { return feature >= 0; }
};

// A node's part of a feature's order; `row` of the entries is the position in NodeRows.
struct FeatureSegment {
  int32_t feature = 0;
  std::span<const OrderEntry> entries;
  uint32_t missing_rank = 0;
  bool categorical = false;
};

// The ranks of a node's rows by a feature, in node order; where there are missing values they have
// rank `missing_rank`, and all others lie in [least, greatest].
struct FeatureRanks {
  int32_t feature = 0;
  RowRange range;
  const uint32_t* ranks = nullptr;  // of position range.begin + i
  uint32_t least = 0;
  uint32_t greatest = 0;
  int64_t missing_rows = 0;
  uint32_t missing_rank = 0;
  bool categorical = false;

  bool constant() const {
    return missing_rows == range.size() || (missing_rows == 0 && least == greatest);
  }
};

// Scores splits for one criterion. Stateless between calls; thread-safe.
class SplitSearcher {
 public:
  virtual ~SplitSearcher() = default;

  // Sums over the rows of a node, to be handed to the searches.
  virtual void Totals(RowRange range, std::vector<double>& totals) const = 0;

  // The best split, or none when the feature is constant or the limits forbid all. Scores within
  // `tolerance` are equal. When `stop` is set the answer is meaningless.
  virtual Split Search(const FeatureSegment& segment, std::span<const double> totals,
                       const SplitLimits& limits, double tolerance, StopToken& stop) const = 0;

  // The same by sums for each rank from the least to the greatest, without sorting. For features
  // that are not constant() and whose ranks span little.
  virtual Split SearchByCounting(const FeatureRanks& feature, std::span<const double> totals,
                                 const SplitLimits& limits, double tolerance) const = 0;

  // The split between the present rows of rank <= `last_left_rank` and the others, the missing rows
  // on the side that scores better (the right one where they are equal); none where the limits
  // forbid it. Sets no levels.
  virtual Split ScoreCut(const FeatureRanks& feature, uint32_t last_left_rank,
                         std::span<const double> totals, const SplitLimits& limits,
                         double tolerance) const = 0;
};

// The searcher for the criterion, outputs and weights of `rows`, which must outlive it.
std::unique_ptr<SplitSearcher> MakeSplitSearcher(const NodeRows& rows);

// Of the best splits of a node's features, in order of preference, the best by the criterion: that
// of greatest decrease, or, for gain ratio, that of greatest decrease per bit of division among
// those of at least average decrease. Splits within `tolerance` are equal; entries not found() do
// not count. -1: there is none.
int ChooseSplit(v1::CartOptions::Criterion criterion, std::span<const Split> splits,
                double node_weight, double tolerance);

// The threshold of a numeric split, `values` being those of its feature by rank: infinity where
// only missing rows go right.
double ThresholdOf(const Split& split, std::span<const double> values);

// Threshold between neighbouring distinct values: the midpoint, or `lower` where it rounds to
// `upper` (or where there is no midpoint, between infinities).
double MidpointThreshold(double lower, double upper);

}  // namespace trainyard
