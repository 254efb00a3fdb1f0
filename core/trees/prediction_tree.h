// One tree in the layout that prediction walks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/trees/row_block.h"
#include "core/trees/tree.h"

namespace trainyard {

// The nodes of a tree from the root down, siblings adjacent.
std::vector<int32_t> BreadthFirst(const Tree& tree);

// Nodes in breadth-first order, siblings adjacent; the split above a leaf says that a leaf follows.
// 8 bytes per node where indices and columns fit, else 12. Thresholds are rounded down to floats,
// as the rows are; where a row and a threshold are the same float, the doubles decide. Values are
// stored for leaves only, apart from the nodes. Agrees with FindLeaf in every case.
class PredictionTree {
 public:
  // `column_of_feature` maps the features of the tree to the columns of the blocks to come.
  PredictionTree(const Tree& tree, std::span<const int32_t> column_of_feature);

  // Number of the leaf, from 0, that each row of the block reaches.
  void FindLeaves(const RowBlock& block, int32_t* leaves) const;

  // The node of the original tree that a leaf is.
  int32_t NodeOf(int32_t leaf) const { return node_of_leaf_[static_cast<size_t>(leaf)]; }
  // h of a leaf, one per output of the tree.
  const double* ValuesOf(int32_t leaf) const {
    return values_.data() + static_cast<size_t>(leaf) * outputs_;
  }
  size_t outputs() const { return outputs_; }
  // The tree again, its nodes numbered as in BreadthFirst: splits, and the values h of leaves;
  // those of other nodes are 0. Without weights, counts, impurities and means.
  Tree Restore(std::span<const int32_t> feature_of_column) const;
  int64_t leaf_count() const { return static_cast<int64_t>(node_of_leaf_.size()); }

 private:
  struct Split {
    float threshold = 0;
    uint32_t left = 0;  // even; the right child follows
    uint32_t column = 0;
    bool missing_left = false;
    bool categorical = false;
    bool left_is_leaf = false;
    bool right_is_leaf = false;
  };
  static constexpr int kFlagBits = 4;
  // Column and flags of a split, in the low bits of a word.
  template <int kColumnBits>
  struct Word {
    uint32_t bits;
    static constexpr int kBits = kColumnBits + kFlagBits;
    static Word Of(const Split& split) {
      return {split.column | uint32_t{split.missing_left} << kColumnBits |
              uint32_t{split.categorical} << (kColumnBits + 1) |
              uint32_t{split.left_is_leaf} << (kColumnBits + 2) |
              uint32_t{split.right_is_leaf} << (kColumnBits + 3)};
    }
    uint32_t column() const { return bits & ((uint32_t{1} << kColumnBits) - 1); }
    bool missing_left() const { return (bits >> kColumnBits & 1) != 0; }
    bool categorical() const { return (bits >> (kColumnBits + 1) & 1) != 0; }
    bool leaf_follows(bool right) const {
      return (bits >> (kColumnBits + 2 + int{right}) & 1) != 0;
    }
  };
  // Half the left child above the rest of the word; of a leaf, its number.
  struct SmallNode : Word<9> {
    float threshold;
    static constexpr int kLeftBits = 32 - kBits;
    uint32_t left() const { return bits >> kBits << 1; }
    uint32_t leaf() const { return bits; }
    static bool Fits(int64_t nodes, int64_t columns) {
      return nodes < (int64_t{1} << (kLeftBits + 1)) &&
             columns <= (int64_t{1} << (kBits - kFlagBits));
    }
    static SmallNode Of(const Split& split) {
      return {{Word::Of(split).bits | split.left / 2 << kBits}, split.threshold};
    }
    static SmallNode Leaf(uint32_t number) { return {{number}, 0}; }
  };
  struct LargeNode : Word<32 - kFlagBits> {
    float threshold;
    uint32_t first;
    uint32_t left() const { return first; }
    uint32_t leaf() const { return first; }
    static LargeNode Of(const Split& split) {
      return {Word::Of(split), split.threshold, split.left};
    }
    static LargeNode Leaf(uint32_t number) { return {{0}, 0, number}; }
  };
  static_assert(sizeof(SmallNode) == 8 && sizeof(LargeNode) == 12);

  // What the rows of a block can hold that a comparison of numbers does not decide.
  enum class Special { kNone, kMissing, kMissingAndLevels };

  template <typename Node>
  void Compile(const Tree& tree, std::span<const int32_t> column_of_feature,
               std::vector<Node>& nodes);
  void AddLeaf(const Tree& tree, int32_t node);
  template <typename Node>
  void RestoreFrom(const std::vector<Node>& nodes, std::span<const int32_t> feature_of_column,
                   Tree& tree) const;
  float AddLevels(std::span<const int32_t> levels);
  void RestoreLevels(float threshold, std::vector<int32_t>& levels) const;
  bool InLevels(float threshold, float value) const;
  template <Special kSpecial, typename Node>
  bool GoesRight(const Node& node, float value) const;
  template <Special kSpecial, bool kExact, typename Node>
  void Walk(const std::vector<Node>& nodes, const RowBlock& block, int32_t* leaves) const;
  template <typename Node>
  void Dispatch(const std::vector<Node>& nodes, const RowBlock& block, int32_t* leaves) const;

  size_t outputs_ = 1;
  int least_depth_ = 0;           // splits above the highest leaf
  std::vector<SmallNode> small_;  // one of the two is empty
  std::vector<LargeNode> large_;
  std::vector<double> thresholds_;  // by place in the nodes
  std::vector<int32_t> node_of_leaf_;
  std::vector<double> values_;
  // Per categorical split, at the index that its threshold holds as bits: number of words, words.
  std::vector<uint64_t> level_bits_;
};

}  // namespace trainyard
