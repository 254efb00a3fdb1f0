// Splits of a node by a few features drawn for it, as the trees of forests make them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/random.h"
#include "core/trees/growing_node.h"
#include "core/trees/node_rows.h"
#include "core/trees/rank_matrix.h"
#include "core/trees/rank_sort.h"
#include "core/trees/split_search.h"
#include "core/trees/stop_token.h"

namespace trainyard {

// What is random about a split.
struct SplitSampling {
  int features_per_node = 1;  // drawn without replacement; at least 1
  bool random_cuts = false;   // one random cut per feature instead of the best
};

// Finds splits. Features are drawn one after the other: those that are constant in the node count
// as drawn, but drawing goes on until one that varies was searched or all were drawn. Among splits
// equal within rounding the first drawn wins. Not thread-safe.
//
// Ranks of the node's rows are gathered, then counted where they span no more than there are rows,
// else sorted: O(rows) per feature. Random cuts take values, where the matrix has them, and sort
// nothing.
class SampledSplitter {
 public:
  // Everything must outlive it.
  SampledSplitter(const RankMatrix& ranks, const NodeRows& rows, const SplitSearcher& searcher,
                  const GrowthRules& rules, const SplitSampling& sampling, Rng& rng,
                  StopToken& stop);

  // A split of a splittable node; none where the drawn features allow none. `known` says how many
  // constant features need not be looked at: 0, or, where nodes are searched depth-first, what the
  // search of the node's parent left in it.
  // The threshold is missing: see FillThreshold.
  Split FindSplit(const GrowingNode& node, size_t& known);

  // To be called after FindSides, for speed.
  void FillThreshold(Split& split) const;

  // goes_left[i] = 1 where the row of position range.begin + i goes left; returns their number.
  uint32_t FindSides(const Split& split, RowRange range, std::vector<uint8_t>& goes_left);

 private:
  uint32_t FindSidesByValue(const Split& split, RowRange range, uint8_t* goes_left);
  void FetchThreshold(const Split& split) const;
  void KeepConstants(size_t known);
  std::span<const uint32_t> RowsOf(RowRange range) const;
  FeatureRanks GatherRanks(int32_t feature, RowRange range);
  // Each answers with the feature's split of the node, none where the limits allow none, and says
  // whether the feature is constant there.
  Split Search(int32_t feature, RowRange range, double tolerance, bool& constant);
  Split SearchBest(const FeatureRanks& feature, double tolerance);
  Split DrawCut(int32_t feature, RowRange range, double tolerance, bool& constant);
  Split DrawLevels(FeatureRanks& feature, double tolerance);
  void DrawSides(const FeatureRanks& feature);

  const RankMatrix& matrix_;
  const NodeRows& rows_;
  const SplitSearcher& searcher_;
  const GrowthRules& rules_;
  const SplitSampling sampling_;
  Rng& rng_;
  StopToken& stop_;
  std::vector<int32_t> features_;   // all that vary at all, in any order
  std::vector<int32_t> constants_;  // those known to be constant, from the root to the node
  std::vector<uint8_t> is_constant_;
  std::vector<uint32_t> ranks_;  // of the node's rows by one feature
  std::vector<double> values_;   // likewise
  std::vector<uint8_t> sides_;   // by level: absent, left, right
  RankSorter sorter_;
  std::vector<double> totals_;
  std::vector<Split> splits_;
};

}  // namespace trainyard
