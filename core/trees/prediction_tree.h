// One tree in the layout that prediction walks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/trees/row_block.h"
#include "core/trees/tree.h"

namespace trainyard {

// Nodes in breadth-first order, siblings adjacent; a leaf is its own left child and every row goes
// left there. 8 bytes per node where indices and columns fit, else 12. Thresholds are rounded down
// to floats, as the rows are; where a row and a threshold are the same float, the doubles decide.
// Values are stored for leaves only, apart from the nodes. Agrees with FindLeaf in every case.
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

 private:
  // Left child, column and flags in one word.
  struct SmallNode {
    float threshold;
    uint32_t word;
    static constexpr int kColumnBits = 9;
    int32_t left() const { return static_cast<int32_t>(word >> (kColumnBits + 2)); }
    uint32_t column() const { return word & ((uint32_t{1} << kColumnBits) - 1); }
    bool missing_left() const { return (word >> kColumnBits & 1) != 0; }
    bool categorical() const { return (word >> (kColumnBits + 1) & 1) != 0; }
    static bool Fits(int64_t nodes, int64_t columns) {
      return nodes < (int64_t{1} << (32 - kColumnBits - 2)) &&
             columns <= (int64_t{1} << kColumnBits);
    }
    static SmallNode Make(float threshold, int32_t left, uint32_t column, bool missing_left,
                          bool categorical) {
      return {threshold, static_cast<uint32_t>(left) << (kColumnBits + 2) |
                             uint32_t{categorical} << (kColumnBits + 1) |
                             uint32_t{missing_left} << kColumnBits | column};
    }
  };
  struct LargeNode {
    float threshold;
    int32_t first;
    uint32_t word;
    int32_t left() const { return first; }
    uint32_t column() const { return word & ((uint32_t{1} << 30) - 1); }
    bool missing_left() const { return (word >> 31) != 0; }
    bool categorical() const { return (word >> 30 & 1) != 0; }
    static LargeNode Make(float threshold, int32_t left, uint32_t column, bool missing_left,
                          bool categorical) {
      return {threshold, left, uint32_t{missing_left} << 31 | uint32_t{categorical} << 30 | column};
    }
  };
  static_assert(sizeof(SmallNode) == 8 && sizeof(LargeNode) == 12);

  template <typename Node>
  void Compile(const Tree& tree, std::span<const int32_t> order,
               std::span<const int32_t> column_of_feature, std::vector<Node>& nodes);
  float AddLevels(std::span<const int32_t> levels);
  bool InLevels(float threshold, float value) const;
  template <typename Node>
  bool GoesRight(const Node& node, float value) const;
  template <typename Node, bool kGeneral, bool kExact>
  void Walk(const std::vector<Node>& nodes, const RowBlock& block, int32_t* leaves) const;
  template <typename Node>
  void Dispatch(const std::vector<Node>& nodes, const RowBlock& block, int32_t* leaves) const;

  size_t outputs_ = 1;
  std::vector<SmallNode> small_;  // one of the two is empty
  std::vector<LargeNode> large_;
  std::vector<double> thresholds_;  // by node
  std::vector<int32_t> leaf_;       // number of a leaf by node; -1 for inner nodes
  std::vector<int32_t> node_of_leaf_;
  std::vector<double> values_;
  // Per categorical split, at the index that its threshold holds as bits: number of words, words.
  std::vector<uint64_t> level_bits_;
};

}  // namespace trainyard
