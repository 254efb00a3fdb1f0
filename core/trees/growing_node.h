// Nodes while a tree grows, and the tree that they become.
#pragma once

#include <cstdint>
#include <vector>

#include "core/trees/node_rows.h"
#include "core/trees/split_search.h"
#include "core/trees/tree.h"
#include "trainyard/v1/hierarchical_shrinkage.pb.h"

namespace trainyard {

// Splits whose decreases differ by less than this share of N(t) i(t) are equal: rounding must not
// decide between features that divide the rows alike.
inline constexpr double kTieTolerance = 1e-12;

// A node of a growing tree.
struct GrowingNode {
  RowRange range;
  int32_t depth = 0;
  bool splittable = false;  // not yet a leaf by depth, size or purity
  double weight = 0;
  double impurity = 0;
  int32_t feature = -1;
  double threshold = 0;
  bool missing_left = false;
  int32_t left = -1;
  int32_t right = -1;
  std::vector<int32_t> left_levels;
};

// The limits of v1::CartOptions as they bear on nodes and splits.
class GrowthRules {
 public:
  // `options` must outlive it.
  explicit GrowthRules(const v1::CartOptions& options) : options_(options) {}

  // The root of a tree on all `rows`; to be called before anything else.
  GrowingNode MakeRoot(NodeRows& rows);

  // Prepares the rows of the children and measures them; records `split` in `node`, whose rows are
  // already divided at `middle`.
  void MakeChildren(const Split& split, uint32_t middle, NodeRows& rows, GrowingNode& node,
                    GrowingNode& left, GrowingNode& right) const;

  const SplitLimits& limits() const { return limits_; }

  // Whether the split reduces the impurity enough.
  bool Allows(const Split& split, double tolerance, const NodeRows& rows) const;

 private:
  void Measure(NodeRows& rows, GrowingNode& node) const;

  const v1::CartOptions& options_;
  SplitLimits limits_;
  double total_weight_ = 0;
};

// The tree of `nodes`, whose children are indices into them; numbered as they are, or depth-first
// with left before right. N and m are added up from the leaves' rows.
Tree AssembleTree(const std::vector<GrowingNode>& nodes, const NodeRows& rows, bool as_created);

}  // namespace trainyard
