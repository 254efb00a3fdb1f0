// One decision tree in arrays indexed by node: what is grown, shrunk, stored, printed and
// explained.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace trainyard {

// A binary tree. Node 0 is the root and parents precede children. Every array has one entry per
// node unless stated. The functions below only read; a tree that came from outside must have been
// checked by TreeFromProto first.
struct Tree {
  // Number of values per node: targets of a regression, classes of a classification; at least 1.
  int outputs = 1;
  // Feature that the node splits on; -1 for a leaf.
  std::vector<int32_t> feature;
  // Numeric split: rows with value <= threshold go left. Never NaN; may be infinite.
  std::vector<double> threshold;
  // Children; -1 for a leaf.
  std::vector<int32_t> left;
  std::vector<int32_t> right;
  // Whether rows with a missing value go left.
  std::vector<uint8_t> missing_left;
  // Categorical splits: `left_levels[level_begin[t], level_begin[t + 1])` are the level codes that
  // go left at t, ascending; all other levels go right. node_count() + 1 entries, or none when the
  // tree has no categorical split.
  std::vector<int32_t> level_begin;
  std::vector<int32_t> left_levels;
  // N(t): sum of the row weights that reach the node, > 0.
  std::vector<double> weight;
  // Number of rows that reach the node.
  std::vector<int64_t> row_count;
  // Impurity by the criterion that the tree was grown with.
  std::vector<double> impurity;
  // m(t): mean response or class shares, [node][output] row-major.
  std::vector<double> mean;
  // h(t): the value after shrinkage, likewise; equals `mean` in an unshrunk tree.
  std::vector<double> value;

  int node_count() const { return static_cast<int>(feature.size()); }
  bool is_leaf(int node) const { return left[static_cast<size_t>(node)] < 0; }
  // The level codes that go left; empty for a numeric split and for a leaf.
  std::span<const int32_t> LeftLevels(int node) const;
  bool is_categorical(int node) const { return !LeftLevels(node).empty(); }
  // m(t) and h(t) of one node.
  std::span<const double> MeanOf(int node) const { return Row(mean, node); }
  std::span<const double> ValueOf(int node) const { return Row(value, node); }

  int leaf_count() const;
  // Number of splits on the longest path.
  int depth() const;
  // Number of splits between the root and each node.
  std::vector<int32_t> NodeDepths() const;

  friend bool operator==(const Tree&, const Tree&) = default;

 private:
  std::span<const double> Row(const std::vector<double>& values, int node) const {
    const size_t width = static_cast<size_t>(outputs);
    return {values.data() + static_cast<size_t>(node) * width, width};
  }
};

// One feature of a table: numbers, or level codes of a category. The spans outlive their users.
struct FeatureColumn {
  // Numeric feature: one value per row, NaN where missing.
  std::span<const double> numbers;
  // Categorical feature: one code in [0, level_count) per row, -1 where missing.
  std::span<const int32_t> codes;
  bool categorical = false;
  int32_t level_count = 0;

  static FeatureColumn Numeric(std::span<const double> values) { return {values, {}, false, 0}; }
  static FeatureColumn Categorical(std::span<const int32_t> codes, int32_t level_count) {
    return {{}, codes, true, level_count};
  }
};

// Whether a row goes left at an inner node; `column` is the feature that the node splits on. Codes
// outside its levels are missing.
bool GoesLeft(const Tree& tree, int node, const FeatureColumn& column, int64_t row);

// The leaf that a row reaches, by a plain walk from the root. The reference for the fast predictor
// in tree_predictor.h.
int FindLeaf(const Tree& tree, std::span<const FeatureColumn> features, int64_t row);

}  // namespace trainyard
