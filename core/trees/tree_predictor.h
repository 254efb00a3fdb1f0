// Fast application of trees to many rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/trees/ensemble.h"
#include "core/trees/tree.h"

namespace trainyard {

// Trees in a layout for prediction: 16 bytes per node, siblings adjacent, in breadth-first order;
// rows are taken in blocks whose features are gathered once, and eight rows walk a tree together,
// which hides the latency of memory. Agrees with FindLeaf in every case. Immutable and thread-safe.
class TreePredictor {
 public:
  // The trees have equal `outputs` and are valid (grown here, or checked by TreeFromProto).
  TreePredictor(std::span<const Tree> trees, TreeCombination combination);

  int tree_count() const { return static_cast<int>(trees_.size()); }
  int outputs() const { return outputs_; }

  // Node number of the leaf that each row reaches, [row][tree] row-major. `features` are indexed as
  // in the trees, `rows` are indices into their columns.
  void FindLeaves(std::span<const FeatureColumn> features, std::span<const int64_t> rows,
                  std::span<int32_t> leaves) const;

  // Combined values h of rows [begin, begin + values.size() / outputs()), [row][output] row-major.
  void Predict(std::span<const FeatureColumn> features, int64_t begin,
               std::span<double> values) const;

 private:
  // Rows go to `left` or `left + 1`; a leaf is its own left child and every row goes left.
  struct Node {
    double threshold;  // categorical: number of the first word in `level_bits_`, as bits
    int32_t left;
    uint32_t column;  // index into `used_features_`, and the flags below
  };
  static_assert(sizeof(Node) == 16);
  static constexpr uint32_t kMissingLeft = uint32_t{1} << 31;
  static constexpr uint32_t kCategorical = uint32_t{1} << 30;

  struct CompiledTree {
    std::vector<Node> nodes;
    std::vector<int32_t> number;  // in the tree this was made from, by index into `nodes`
    std::vector<double> values;   // of the nodes, [index][output]
    bool has_categories = false;
  };

  CompiledTree Compile(const Tree& tree, std::span<const int32_t> column_of_feature);
  Node CompileNode(const Tree& tree, int node, std::span<const int32_t> column_of_feature);
  template <bool kCategories>
  bool GoesRight(const Node& node, double value) const;
  template <bool kCategories>
  void Walk(const CompiledTree& tree, const double* block, int64_t rows, int32_t* indices) const;
  // Calls `visit(tree, first, count, indices)` for every block of rows and tree.
  template <typename RowOf, typename Visit>
  void ForEachBlock(std::span<const FeatureColumn> features, int64_t count, const RowOf& row_of,
                    const Visit& visit) const;

  int outputs_ = 1;
  TreeCombination combination_;
  std::vector<int32_t> used_features_;
  std::vector<CompiledTree> trees_;
  std::vector<uint64_t> level_bits_;  // per categorical split: number of words, then the words
};

}  // namespace trainyard
