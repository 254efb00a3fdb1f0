// What the leaves of a tree add to interventional SHAP values, made once for all rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/trees/explain/shap_weights.h"
#include "core/trees/stop_token.h"
#include "core/trees/tree.h"

namespace trainyard {

// Against a fixed background, what a leaf adds to the features above it depends on a row only
// through the set of those features that fail, that is, whose conditions on the path to the leaf
// the row does not all satisfy. Per leaf and set, [leaf][set][feature], this holds the sum over the
// background rows of the weights, which the value of the leaf multiplies. Sets are bits, a
// feature's being its place in the order in which features come up on the path. Immutable after
// Fill and thread-safe.
class LeafTables {
 public:
  // A leaf with more features above it makes a table too large.
  static constexpr size_t kMostFeatures = 12;

  // Lays the tables of `tree` out; `used` are the features of the ensemble in ascending order.
  LeafTables(const Tree& tree, std::span<const int32_t> used);

  // Whether no leaf has more than kMostFeatures above it.
  bool possible() const { return possible_; }
  // Numbers of all tables.
  size_t size() const { return size_; }
  // Steps that Fill takes about, for so many background rows.
  double Work(int64_t background_rows) const;

  // Makes the tables; `goes_left` says per group of 64 background rows and node, [group][node],
  // which of them go left. Leaves them unfinished when asked to stop.
  void Fill(std::span<const uint64_t> goes_left, int64_t background_rows,
            const ShapWeights& weights, StopToken& stop);

  struct Leaf {
    int32_t node;
    uint32_t features;    // number of features above
    size_t first_column;  // of them in columns()
    size_t first_share;   // of its table in shares
  };
  std::span<const Leaf> leaves() const { return leaves_; }
  // The features above a leaf as indices among the used ones, in the order of their bits.
  const int32_t* ColumnsOf(const Leaf& leaf) const { return columns_.data() + leaf.first_column; }
  // One number per feature above the leaf.
  const double* SharesOf(const Leaf& leaf, uint32_t failed) const {
    return shares_.data() + leaf.first_share + size_t{failed} * leaf.features;
  }

  // Writes for every node the set of the features above that fail, where `goes_left(node)` says
  // whether the row goes left at an inner node.
  template <typename GoesLeft>
  void FindFailed(const GoesLeft& goes_left, std::span<uint32_t> failed) const {
    failed[0] = 0;
    for (const Split& split : splits_) {
      const uint32_t left = goes_left(split.node) ? 1 : 0;
      const uint32_t above = failed[static_cast<size_t>(split.node)];
      failed[static_cast<size_t>(split.left)] = above | (left ^ 1) << split.bit;
      failed[static_cast<size_t>(split.right)] = above | left << split.bit;
    }
  }
  size_t node_count() const { return node_count_; }

 private:
  struct Split {
    int32_t node;
    int32_t left;
    int32_t right;
    uint32_t bit;
  };

  void FillLeaf(const Leaf& leaf, std::span<const uint32_t> counts, const ShapWeights& weights);

  size_t node_count_;
  bool possible_ = true;
  size_t size_ = 0;
  std::vector<Split> splits_;  // parents first
  std::vector<Leaf> leaves_;
  std::vector<int32_t> columns_;
  std::vector<double> shares_;
};

}  // namespace trainyard
