// Optimal trees by trying everything, from the definition of the problem: the reference of the
// searches. Shares no code with them.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/algorithms/quant_bnb/optimal_tree.h"
#include "core/trees/tree.h"
#include "trainyard/v1/quant_bnb.pb.h"

namespace trainyard {

// Tries all trees on at most 64 rows of positive weight. A node splits a number between any two
// distinct values of its rows, or its present from its missing values; a category one level against
// the rest, or the present against the missing; missing values go to either side. Sets of rows are
// bits of a word.
class BruteForce {
 public:
  // Both outlive it.
  BruteForce(const OptimalTreeInput& input, const v1::QuantBnbSpec& spec);

  // The least loss of any tree of at most `depth` splits from root to leaf, penalty included.
  double OptimalLoss(int depth);
  // The loss of the tree, penalty included, its rows led by FindLeaf and its leaves predicting what
  // is best for them. Infinite where a split leaves fewer rows on a side than min_samples_leaf.
  double LossOf(const Tree& tree) const;
  // Loss of a leaf with these rows.
  double LeafLoss(uint64_t rows) const;
  // All rows of positive weight.
  uint64_t rows() const { return all_; }

 private:
  struct Column {
    std::vector<int> present;  // rows with a value, by ascending value
    uint64_t missing = 0;
  };

  double Best(uint64_t rows, int depth);
  // The left sides of all splits of the rows, each once.
  std::vector<uint64_t> LeftSides(uint64_t rows) const;
  void AddNumberSides(size_t column, uint64_t rows, std::vector<uint64_t>& sides) const;
  void AddLevelSides(size_t column, uint64_t rows, std::vector<uint64_t>& sides) const;
  double ClassLoss(uint64_t rows) const;
  double SquaredLoss(uint64_t rows) const;
  double WeightOf(int row) const;
  size_t TableRow(int row) const;

  const OptimalTreeInput& input_;
  const v1::QuantBnbSpec& spec_;
  uint64_t all_ = 0;
  std::vector<Column> columns_;
  std::vector<std::unordered_map<uint64_t, double>> known_;  // by depth
};

}  // namespace trainyard
